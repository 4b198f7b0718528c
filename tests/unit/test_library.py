"""The library without the workflow: a wheel, installed with what it declares and nothing else, and what it imports."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from environments import applies, distributions, environment
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
LARGEST = 1_000_000  # bytes of the wheel
# Modules of docs/api.md that need the extra `workflow`; the page says so.
OF_THE_WORKFLOW = {
    "twostage.evaluation.features",
    "twostage.evaluation.memorization",
    "twostage.report.claims.claim",
    "twostage.report.claims.verdicts",
    "twostage.sampling.context",
    "twostage.sampling.run",
    "twostage.sampling.trajectory",
    "twostage.training.loop",
}
PAGE = (ROOT / "docs/api.md").read_text(encoding="utf-8")
EXAMPLE = (ROOT / "README.md").read_text(encoding="utf-8").partition("## As a library\n")[2].partition("\n## ")[0]
# Run after the example: the package's place, then the modules that cannot be imported.
AFTER = """
import importlib, twostage
print(twostage.__file__)
for name in {modules}:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        assert not error.name.startswith("twostage"), error
        print(name)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy of what it is made of."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder / "dist", folder)
    (path,) = (folder / "dist").iterdir()
    return path


@pytest.fixture(scope="module")
def requirements(wheel):
    """What the wheel declares that it needs: texts of requirements, and those of its extra `workflow`."""
    with zipfile.ZipFile(wheel) as file:
        (name,) = (name for name in file.namelist() if name.endswith(".dist-info/METADATA"))
        declared = [Requirement(text) for text in message_from_bytes(file.read(name)).get_all("Requires-Dist")]
    plain = [str(one) for one in declared if applies(one)]
    return plain, [str(one) for one in declared if applies(one, ["workflow"]) and not applies(one)]


@pytest.fixture(scope="module")
def python(wheel, requirements, tmp_path_factory):
    """The Python of a fresh environment after `pip install . scikit-learn`, as README has it."""
    python = environment(tmp_path_factory.mktemp("fresh") / "environment", [*requirements[0], "scikit-learn"])
    pip("--python", python, "install", "--no-deps", "--no-index", wheel)
    pip("--python", python, "check")
    return python


def pip(*arguments):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_is_small(wheel):
    assert wheel.stat().st_size < LARGEST


def test_it_declares_what_the_oracle_needs_and_no_more(requirements):
    names = {Requirement(text).name for text in requirements[0]}
    assert names == {"h5py", "jaxtyping", "numpy", "safetensors", "scipy", "torch", "tqdm"}


def test_a_fresh_environment_runs_the_readmes_example_and_has_the_interface(python, tmp_path):
    assert "pip install . scikit-learn" in EXAMPLE
    program, printed = re.search(r"```python\n(.*?)```\n+```\n(.*?)```", EXAMPLE, flags=re.DOTALL).groups()
    program += AFTER.format(modules=re.findall(r"^::: (\S+)", PAGE, flags=re.MULTILINE))
    # Outside the checkout, so that nothing of it is found by chance.
    done = subprocess.run([python, "-I", "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines, found = printed.splitlines(), done.stdout.splitlines()
    assert found[: len(lines)] == lines
    file, *missing = found[len(lines) :]
    assert Path(file).is_relative_to(python.parents[1])
    assert set(missing) == OF_THE_WORKFLOW


def test_the_page_says_which_modules_need_the_workflow():
    said = PAGE.partition("\n## ")[0]
    assert set(re.findall(r"`(twostage\.[\w.]+)`", said)) == OF_THE_WORKFLOW


def test_importing_the_oracle_imports_nothing_of_the_workflow(requirements):
    """Where all is installed, as for whoever develops the project."""
    plain, workflow = requirements
    light = distributions(plain)
    heavy = [found for name, found in distributions(workflow).items() if name not in light]
    names = {file.parts[0].removesuffix(".py") for distribution in heavy for file in distribution.files}
    assert {"pandas", "snakemake", "diffusers", "PIL", "sklearn"} <= names
    program = "import json, sys, twostage.oracle; print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT / "src", capture_output=True, text=True, check=True)
    assert not names & set(json.loads(done.stdout))
