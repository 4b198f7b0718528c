"""Every way into the workflow runs the same workflow: both Snakefiles, a module of a checkout, of GitHub, the
catalogue."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from conftest import snakemakes
from environments import environment

NOTHING = "Nothing to be done"
# What there is where the catalogue reads workflows: Snakemake, and what conda's package of it brings.
CATALOGUE = ("snakemake", "pandas", "numpy")
# As snakedeploy writes it.
MODULE = """\
configfile: "{configfile}"

module twostage:
    snakefile: {snakefile}
    config: config

use rule * from twostage
"""


def planned(checkout, *arguments, configfile="tests/workflow/smoke.yaml"):
    """{rule: number of jobs} that a run would start."""
    return counted(checkout.snakemake("--dry-run", "--quiet", "rules", *arguments, configfile=configfile).stdout)


def counted(said):
    """{rule: number of jobs} of a table that Snakemake prints."""
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", said, flags=re.MULTILINE)}


@pytest.fixture
def mine(tmp_path):
    """A folder of someone's own, with the smoke configuration as snakedeploy would put it there."""
    folder = tmp_path / "mine"
    (folder / "workflow").mkdir(parents=True)
    (folder / "config").mkdir()
    return folder


def deploy(checkout, mine, snakefile):
    shutil.copy(checkout.folder / "tests/workflow/smoke.yaml", mine / "config/config.yaml")
    text = MODULE.format(configfile="config/config.yaml", snakefile=snakefile)
    (mine / "workflow/Snakefile").write_text(text)


def snakemake(folder, *arguments, environment=None):
    """Run Snakemake in a folder: what it said."""
    done = snakemakes().run(["--cores", "1", *arguments], folder, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_what_has_run_by_one_way_in_is_done_for_every_other(finished):
    module = MODULE.format(configfile="tests/workflow/smoke.yaml", snakefile='"workflow/Snakefile"')
    (finished.folder / "mine.smk").write_text(module)
    for snakefile, configfile in (("Snakefile", ...), ("workflow/Snakefile", ...), ("mine.smk", None)):
        given = {} if configfile is ... else {"configfile": configfile}
        done = finished.snakemake("--dry-run", "--snakefile", snakefile, **given)
        assert NOTHING in done.stdout + done.stderr, f"{snakefile}: {done.stdout}"


def test_a_module_elsewhere_runs_all_that_the_checkout_runs(checkout, mine):
    deploy(checkout, mine, f'"{checkout.folder}/workflow/Snakefile"')
    there = planned(checkout, "--directory", mine, "--snakefile", mine / "workflow/Snakefile", configfile=None)
    assert there == planned(checkout)
    assert there["report"] == 1


def test_rules_of_a_module_feed_rules_of_ones_own(checkout, mine):
    smoke = yaml.safe_load((checkout.folder / "tests/workflow/smoke.yaml").read_text())
    (mine / "config/config.yaml").write_text(yaml.safe_dump({"twostage": smoke}))
    (mine / "workflow/Snakefile").write_text(
        f"""\
configfile: "config/config.yaml"

module twostage:
    snakefile: "{checkout.folder}/workflow/Snakefile"
    config: config["twostage"]

use rule * from twostage as twostage_*

rule mine:
    default_target: True
    input: rules.twostage_fig3.output.csv
    output: "mine.txt"
    shell: "wc -l {{input}} > {{output}}"
"""
    )
    snakemake(mine)
    assert int((mine / "mine.txt").read_text().split()[0]) > 10


@pytest.fixture
def github(checkout, tmp_path):
    """The environment of a machine on which the checkout is https://github.com/lab/twostage, version v1."""
    if shutil.which("git") is None:
        pytest.skip("no git on this machine")
    settings = {f"GIT_{role}_{what}": "lab" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    settings |= {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{tmp_path}/hub/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    repository = tmp_path / "hub/lab/twostage"
    shutil.copytree(
        checkout.folder, repository, symlinks=True, ignore=shutil.ignore_patterns("hub", "mine", "__pycache__")
    )
    found = {**os.environ, **settings}
    for words in (["init", "-q"], ["add", "--all"], ["commit", "-qm", "a version"], ["tag", "v1"]):
        subprocess.run(["git", *words], cwd=repository, env=found, check=True)
    return found


def test_a_module_on_github_runs_all_that_the_checkout_runs(checkout, mine, github):
    deploy(checkout, mine, 'github("lab/twostage", path="workflow/Snakefile", tag="v1")')
    for ways in ([], ["--snakefile", "gh:lab/twostage@v1", "--configfile", "config/config.yaml"]):
        said = snakemake(mine, "--dry-run", "--quiet", "rules", *ways, environment=github)
        assert counted(said) == planned(checkout)
    # The package, the captions and the environments come from the commit, not from this machine.
    (commit,) = (mine / ".snakemake/twostage").iterdir()
    assert (commit / "src/twostage/oracle/posterior.py").is_file()


def test_a_single_file_on_github_is_refused(checkout, mine, github):
    deploy(checkout, mine, 'github("lab/twostage", path="Snakefile", tag="v1")')
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--dry-run"]
    done = subprocess.run(command, cwd=mine, capture_output=True, text=True, env=github)
    assert done.returncode == 1
    assert "expected a module of workflow/Snakefile" in done.stdout + done.stderr


def test_the_catalogue_lints_and_draws_the_workflow_without_its_packages(checkout, tmp_path):
    python = environment(tmp_path / "catalogue", CATALOGUE)
    for arguments in (["--lint"], ["--forceall", "-s", "workflow/Snakefile", "-d", ".test", "-c", "1", "--rulegraph"]):
        command = [python, "-m", "snakemake", *arguments]
        done = subprocess.run(command, cwd=checkout.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("digraph")
    assert "train_XL" in done.stdout
