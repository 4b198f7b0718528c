"""A copy of the checkout in which the whole workflow has run once, at its smallest size."""

import compileall
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import cluster as slurm
import forks
import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[2]
PARTS = (
    "Snakefile",
    ".test",
    "slurm",
    "profiles",
    "workflow",
    "config",
    "envs",
    "src",
    "tests/workflow/smoke.yaml",
    "tests/workflow/faults.yaml",
)


FIRST = "test_slurm_faults"  # what takes longest: the rest fits beside it


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: (item.path.stem != FIRST, item.path.parent.name != "workflow"))


@cache
def snakemakes():
    """What starts Snakemake for the tests of this process."""
    return forks.Server()


@cache
def compile_sources():
    """Compile the package here, once, rather than in every checkout; times and with them bytecode are copied."""
    compileall.compile_dir(ROOT / "src", quiet=2)


def pytest_sessionfinish():
    if snakemakes.cache_info().currsize:
        snakemakes().close()


class Checkout:
    """A working copy that a test may edit, with Snakemake at hand."""

    def __init__(self, folder):
        self.folder = folder
        compile_sources()
        for part in PARTS:
            source, target = ROOT / part, folder / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_symlink():
                target.symlink_to(source.readlink())
            elif source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.pyc.*", "*.egg-info"))
            else:
                shutil.copy2(source, target)

    def snakemake(
        self, *arguments, configfile="tests/workflow/smoke.yaml", check=True, where=("--cores", "2"), environment=None,
        forked=True,
    ):  # fmt: skip
        """Run Snakemake here; the finished process, its output as text. Not ``forked``, it is started as by a shell."""
        arguments = [*where, *(["--configfile", configfile] if configfile else []), *arguments]
        if forked:
            done = snakemakes().run(arguments, self.folder, environment)
        else:
            done = subprocess.run(
                [sys.executable, "-m", "snakemake", *arguments], cwd=self.folder, env=environment, capture_output=True,
                text=True, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def reruns(self, *targets, config=()):
        """Names of the rules that a dry run would execute, without `all`."""
        arguments = ["--config", *config] if config else []
        output = self.snakemake("--dry-run", *arguments, "--quiet", "rules", "--", *targets).stdout
        return set(re.findall(r"^(\w+) +\d+$", output, flags=re.MULTILINE)) - {"all", "total"}

    def edit(self, path, old, new):
        file = self.folder / path
        text = file.read_text()
        assert old in text, f"{old!r} is not in {path}"
        file.write_text(text.replace(old, new, 1))


@pytest.fixture(scope="session")
def cluster():
    """A Slurm of this machine; where there is none, the tests that need it say so."""
    if reason := slurm.missing():
        pytest.skip(reason)
    with slurm.Cluster.start() as running:
        yield running


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory):
    """Folder in which the smoke configuration has run; one for all processes of `pytest -n`."""
    common = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        common = common.parent
    folder, done = common / "smoke", common / "smoke.done"
    with FileLock(common / "smoke.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a process that failed
            # By a process of its own: sets have another order there, which must not matter to whoever runs on.
            Checkout(folder).snakemake(forked=False)
            done.touch()
    return folder


@pytest.fixture
def finished(smoke_run, tmp_path):
    """The finished smoke run in a copy of its own (times kept, so that nothing looks newer than it is)."""
    folder = tmp_path / "checkout"
    shutil.copytree(smoke_run, folder, symlinks=True)
    copy = object.__new__(Checkout)
    copy.folder = folder
    return copy


@pytest.fixture
def checkout(tmp_path):
    """A checkout in which nothing has run."""
    return Checkout(tmp_path)
