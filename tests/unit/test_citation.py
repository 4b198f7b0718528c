"""CITATION.cff: the form of the Citation File Format 1.2.0, which GitHub and Zenodo read, and the facts in it."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
PAPER = CITATION["preferred-citation"]
# What the format allows beside these is not used; a misspelt key would be read by nobody.
SOFTWARE_KEYS = {
    "cff-version", "message", "title", "abstract", "type", "license", "version", "authors", "keywords",
    "preferred-citation",
}  # fmt: skip
PAPER_KEYS = {"type", "title", "authors", "year", "conference", "collection-title", "identifiers", "url"}


def test_it_has_the_keys_of_the_format():
    assert CITATION["cff-version"] == "1.2.0"
    assert set(CITATION) == SOFTWARE_KEYS
    assert set(PAPER) == PAPER_KEYS
    assert (CITATION["type"], PAPER["type"]) == ("software", "conference-paper")
    assert [set(author) for author in CITATION["authors"]] == [{"name"}]
    assert all(set(author) == {"family-names", "given-names"} for author in PAPER["authors"])
    assert set(PAPER["conference"]) == {"name"}
    assert type(PAPER["year"]) is int


def test_it_says_what_the_project_says():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert CITATION["version"] == project["version"]
    assert CITATION["license"] == project["license"]
    assert PAPER["url"] == project["urls"]["Paper"]
    number = re.search(r"arXiv (\d{4}\.\d{5})", project["description"])[1]
    assert PAPER["url"].endswith(number)
    assert PAPER["identifiers"][0]["value"] == f"10.48550/arXiv.{number}"
    assert PAPER["title"] in project["description"]
