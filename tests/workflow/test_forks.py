"""A start of Snakemake by a fork (``forks``) does what a start by the shell does, and leaves nothing to the next."""

import re

import pytest


@pytest.mark.parametrize(
    "arguments",
    [
        ("--dry-run", "--", "fig3"),
        ("--dry-run", "--config", "sead=1"),
        ("--cores", "1", "--summary"),
    ],
)
def test_it_ends_and_speaks_as_by_the_shell(checkout, arguments):
    ours, theirs = (checkout.snakemake(*arguments, check=False, forked=forked) for forked in (True, False))
    assert ours.returncode == theirs.returncode
    assert words(ours.stdout) == words(theirs.stdout)
    assert words(ours.stderr) == words(theirs.stderr)
    assert ours.stdout + ours.stderr


def words(text):
    """What is said, but for when, and in which order a set has it."""
    text = re.sub(r"\d\d:\d\d:\d\d|\d+(\.\d+)? seconds?|T\d{6}\.\d+|[\da-f-]{36}", "", text)
    return sorted(re.split(r"[,;\s]+", text))


def test_each_start_imports_what_its_checkout_has_by_then(checkout):
    assert checkout.snakemake("--dry-run", "--", "fig3").returncode == 0
    path = checkout.folder / "src/twostage/config/__init__.py"
    kept = path.read_text(encoding="utf-8")
    path.write_text(kept + "\n\nraise SystemExit(7)\n", encoding="utf-8")
    assert checkout.snakemake("--dry-run", "--", "fig3", check=False).returncode == 7
    path.write_text(kept, encoding="utf-8")
    assert checkout.snakemake("--dry-run", "--", "fig3").returncode == 0
