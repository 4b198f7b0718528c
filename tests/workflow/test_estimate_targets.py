"""The estimate counts the jobs that Snakemake would run."""

import re

import pytest


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """(a checkout in which nothing has run, {line's first word: its number of jobs} of `snakemake estimate`)."""
    from conftest import Checkout

    checkout = Checkout(tmp_path_factory.mktemp("estimate"))
    output = checkout.snakemake("--quiet", "--", "estimate").stdout
    found = re.findall(r"^(\w+) +(?:[\w, -]+? +)?(\d+) +[\d,]+ ", output, flags=re.MULTILINE)
    return checkout, {name: int(jobs) for name, jobs in found}


@pytest.mark.parametrize("target", ["fig2", "fig7", "fig5", "tab1", "tab_reconstruction"])
def test_a_target_has_the_jobs_of_the_dry_run(printed, target):
    checkout, jobs = printed
    output = checkout.snakemake("--dry-run", "--quiet", "rules", "--", target).stdout
    planned = int(re.search(r"^total +(\d+)$", output, flags=re.MULTILINE)[1])
    assert jobs[target] == planned - 1  # all but the drawing


def test_nothing_is_made(printed):
    checkout, _ = printed
    assert [path.name for path in (checkout.folder / "results").rglob("*") if path.is_file()] == ["estimate.log"]
