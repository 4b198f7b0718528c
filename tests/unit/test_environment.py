"""The environment files agree with each other and name no registry."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def locked_versions(python="3.12"):
    versions = {}
    for line in (ROOT / "envs/requirements.txt").read_text().splitlines():
        if match := re.match(r"([\w.-]+)==(\S+?)(?: ; (.*?))? \\$", line):
            name, version, marker = match.groups()
            if not marker or f"< '{python}'" not in marker:
                versions[name.lower()] = version
    return versions


def conda_pins(name):
    environment = yaml.safe_load((ROOT / "envs" / name).read_text())
    return dict(pin.split("==") for pin in environment["dependencies"][-1]["pip"])


@pytest.mark.parametrize("name", ["twostage.yaml", "report.yaml"])
def test_conda_environments_pin_what_the_lock_pins(name):
    lock = locked_versions()
    assert conda_pins(name) == {package: lock[package] for package in conda_pins(name)}


def test_the_conda_environment_has_every_dependency_of_the_workflow():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = project["dependencies"] + project["optional-dependencies"]["workflow"]
    assert {re.match(r"[\w.-]+", text)[0] for text in declared} == set(conda_pins("twostage.yaml"))


def test_the_report_environment_has_no_torch():
    assert "torch" not in conda_pins("report.yaml")


def test_every_requirement_is_hashed_and_no_registry_is_named():
    text = (ROOT / "envs/requirements.txt").read_text()
    blocks = re.split(r"\n(?=[\w.-]+==)", text.strip())
    assert len(blocks) > 50
    assert all("--hash=sha256:" in block for block in blocks)
    assert not re.search(r"index-url|find-links|https?://", text)


def test_the_package_ships_every_file_that_it_reads():
    package = ROOT / "src/twostage"
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    shipped = {
        path
        for name, patterns in settings.items()
        for pattern in patterns
        for path in (ROOT / "src" / name.replace(".", "/")).glob(pattern)
    }
    others = {path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert shipped == others
    assert len(shipped) > 10


def test_what_the_workflow_catalogue_and_github_read_is_there():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text(encoding="utf-8"))["usage"]
    assert usage["software-stack-deployment"]["conda"] is True
    assert usage["mandatory-flags"]["flags"] == ""
    for name in ("workflow/Snakefile", "workflow/schemas/config.schema.yaml", ".test/config/config.yaml"):
        assert (ROOT / name).is_file()
    (job,) = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"].values()
    assert job["steps"][-1] == {"run": ".ci/run"}
