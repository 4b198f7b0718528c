"""Committed results: what is published of a run, and the README's pictures drawn from it."""

import json
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from twostage.provenance import sha256, write_provenance
from twostage.report import publish
from twostage.report.figures import style

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "docs/results/digits"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Path("results/toy")
    for name in ("oracle/x/posterior.csv", "report/fig2.csv", "report/large.csv"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("t\n0\n" if name != "report/large.csv" else "t\n" * publish.MOST)
    write_provenance(folder / "oracle/x/posterior.csv", seed=3)
    write_provenance(folder / "report/fig2.csv", inputs=[folder / "oracle/x/posterior.csv"])
    (folder / "config.yaml").write_text("run: toy\n")
    return folder


def test_small_csvs_are_published_with_what_made_them_and_no_machine(run, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/gone.csv").write_text("old")
    assert publish.publish(run, tmp_path / "docs") == ["fig2.csv"]
    assert {path.name for path in (tmp_path / "docs").iterdir()} == {"fig2.csv", "config.yaml", "PROVENANCE.json"}
    made = json.loads((tmp_path / "docs/PROVENANCE.json").read_text())
    assert made["files"]["fig2.csv"]["sha256"] == sha256(tmp_path / "docs/fig2.csv")
    assert made["behind"]["results/toy/oracle/x/posterior.csv"]["seed"] == 3
    assert "machine" not in json.dumps(made)


def test_a_folder_without_a_report_is_refused_in_one_line(tmp_path, capsys):
    assert publish.main([str(tmp_path), str(tmp_path / "docs")]) == 1
    assert "holds no finished report" in capsys.readouterr().err
    assert not (tmp_path / "docs").exists()


def test_the_committed_csvs_are_those_that_the_provenance_tells_of():
    made = json.loads((PUBLISHED / "PROVENANCE.json").read_text())
    assert {path.name for path in PUBLISHED.glob("*.csv")} == set(made["files"])
    for name, record in made["files"].items():
        assert sha256(PUBLISHED / name) == record["sha256"], name


@pytest.mark.parametrize("name", ["fig2", "fig7", "tab1"])
def test_the_pictures_of_the_readme_are_drawn_from_the_committed_csvs(name, tmp_path):
    assert f"docs/pictures/{name}.png" in (ROOT / "README.md").read_text()
    picture = import_module(f"twostage.report.figures.{name}").figure(pd.read_csv(PUBLISHED / f"{name}.csv"))
    with style.look():
        picture.savefig(tmp_path / "again.png", dpi=100)
    drawn, kept = (
        matplotlib.image.imread(path) for path in (tmp_path / "again.png", ROOT / f"docs/pictures/{name}.png")
    )
    assert drawn.shape == kept.shape
    assert np.abs(drawn - kept).mean() < 1e-3  # fonts may be rasterised a little differently elsewhere


@pytest.mark.parametrize("path", sorted((ROOT / "docs/pictures").glob("*.svg")), ids=lambda path: path.name)
def test_a_drawing_of_the_documentation_is_one_that_a_browser_shows(path):
    assert ElementTree.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"
