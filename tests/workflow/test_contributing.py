"""What CONTRIBUTING.md says about adding things, done: each patch is small, applies, and works in the workflow."""

import re

import h5py
import pandas as pd
import pytest
from conftest import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
PATCHES = dict(re.findall(r"^## (?:A|An) ([\w ]+)\n.*?^```diff\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL))


def apply(checkout, name):
    """Apply a patch by its lines alone: where a file stands otherwise by now, the block that is not there is named."""
    for target, hunks in re.findall(r"^\+\+\+ b/(.*)\n((?:(?!---).*\n)*)", PATCHES[name], flags=re.MULTILINE):
        path = checkout.folder / target
        text = path.read_text() if path.exists() else ""
        for hunk in re.split(r"^@@.*@@\n", hunks, flags=re.MULTILINE)[1:]:
            lines = hunk.splitlines(keepends=True)
            old, new = ("".join(line[1:] for line in lines if line[0] in kept) for kept in (" -", " +"))
            assert text.count(old) == 1 or not old, f"CONTRIBUTING.md, {name}: {target} has no such lines:\n{old}"
            text = text.replace(old, new) if old else new
        path.write_text(text)


def test_there_is_a_patch_for_each():
    assert set(PATCHES) == {"figure", "data set", "encoder", "model", "metric", "claim of a paper"}


@pytest.mark.parametrize("name", PATCHES)
def test_each_takes_at_most_20_lines_a_claim_25(name):
    added = [line for line in PATCHES[name].splitlines() if re.match(r"\+(?!\+\+ )", line)]
    assert 0 < len(added) <= (25 if "claim" in name else 20)


def test_a_figure(finished):
    apply(finished, "figure")
    finished.snakemake("--", "fig_effective")
    folder = finished.folder / "results/smoke/report"
    assert set(pd.read_csv(folder / "fig_effective.csv")["space"]) == {"pixel", "vae"}
    assert (folder / "fig_effective.png").read_bytes().startswith(b"\x89PNG")
    assert finished.reruns() == {"report"}


def test_a_data_set(checkout):
    apply(checkout, "data set")
    checkout.edit("tests/workflow/smoke.yaml", "name: digits", "name: squares")
    checkout.snakemake("--", "results/smoke/data/pixel/latents.h5")
    with h5py.File(checkout.folder / "results/smoke/data/pixel/latents.h5") as store:
        assert len(store["labels"]) == 100


def test_an_encoder(checkout):
    apply(checkout, "encoder")
    checkout.edit("tests/workflow/smoke.yaml", "{kind: identity}", "{kind: half}")
    checkout.snakemake("--", "results/smoke/data/pixel/latents.h5")
    with h5py.File(checkout.folder / "results/smoke/data/pixel/latents.h5") as store:
        assert store["latents"].shape[1:] == (1, 4, 4)


def test_a_model(finished):
    apply(finished, "model")
    finished.snakemake("--", "fig7")
    assert "M" in set(pd.read_csv(finished.folder / "results/smoke/report/fig7.csv")["model"])


def test_a_metric(finished):
    apply(finished, "metric")
    finished.snakemake("--", "results/smoke/evaluation/pixel/tab2.csv")
    table = pd.read_csv(finished.folder / "results/smoke/evaluation/pixel/tab2.csv")
    assert (table["mean_shift"] > 0).all()


def test_a_claim_of_a_paper(finished):
    apply(finished, "claim of a paper")
    finished.snakemake("--", "claims")
    table = pd.read_csv(finished.folder / "results/smoke/report/claims.csv", dtype={"arxiv": str})
    ours = table[table["id"] == "targets-aligned-at-half"]
    assert set(ours["case"]) == {"pixel", "vae"}
    assert set(ours["group"]) == {"Statements of others"}
    assert set(ours["arxiv"]) == {"2506.03719"}
    page = (finished.folder / "results/smoke/report/claims.html").read_text()
    assert '<option value="2506.03719">arXiv 2506.03719</option>' in page
