"""Committed results: what is published of a run, and the pictures of README and docs drawn from it."""

import json
import re
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
PUBLISHED = sorted(path.parent for path in (ROOT / "docs/results").glob("*/PROVENANCE.json"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PICTURES = sorted((ROOT / "docs/pictures").glob("*/*.png"))


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


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda path: path.name)
def test_the_committed_csvs_are_those_that_the_provenance_tells_of(folder):
    made = json.loads((folder / "PROVENANCE.json").read_text())
    assert {path.name for path in folder.glob("*.csv")} == set(made["files"])
    for name, record in made["files"].items():
        assert sha256(folder / name) == record["sha256"], name


@pytest.mark.parametrize("kept", PICTURES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_pictures_of_the_documentation_are_drawn_from_the_committed_csvs(kept, tmp_path):
    run, name = kept.parent.name, kept.stem
    table = pd.read_csv(ROOT / f"docs/results/{run}/{name}.csv")
    picture = import_module(f"twostage.report.figures.{name}").figure(table)
    with style.look():
        picture.savefig(tmp_path / "again.png", dpi=100)
    drawn, kept = (matplotlib.image.imread(path) for path in (tmp_path / "again.png", kept))
    assert drawn.shape == kept.shape
    assert np.abs(drawn - kept).mean() < 1e-3  # fonts may be rasterised a little differently elsewhere


def test_every_picture_that_a_page_shows_is_there_and_every_picture_is_shown():
    shown = {
        page.parent / place
        for page in PAGES
        for place in re.findall(r"\]\(([^)\s]+\.(?:png|svg|gif|jpe?g|webp))\)", page.read_text(encoding="utf-8"))
        if "://" not in place
    }
    assert shown == {path for path in (ROOT / "docs/pictures").rglob("*") if path.is_file()}


@pytest.mark.parametrize("path", sorted((ROOT / "docs/pictures").glob("*.svg")), ids=lambda path: path.name)
def test_a_drawing_of_the_documentation_is_one_that_a_browser_shows(path):
    assert ElementTree.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"
