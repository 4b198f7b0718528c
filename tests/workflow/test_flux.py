"""The optional Flux stage (App. H) through the workflow, on a tiny random pipeline of the true classes."""

import json

import pandas as pd
import pytest
import yaml
from tiny_flux import save_tiny_flux

from twostage.provenance import provenance_path

FLUX = {"prompts": ["a cat", "two dogs"], "steps": 6, "height": 16, "width": 16, "precision": "float32"}


@pytest.fixture
def configure(checkout):
    """A function that writes the smoke configuration with a flux block and returns its path."""

    def write(**flux):
        config = yaml.safe_load((checkout.folder / "tests/workflow/smoke.yaml").read_text())
        (checkout.folder / "flux.yaml").write_text(yaml.safe_dump(config | {"flux": FLUX | flux}))
        return "flux.yaml"

    return write


def test_the_figure_is_made_from_a_folder_and_needs_no_other_stage(checkout, configure):
    pytest.importorskip("transformers")
    save_tiny_flux(checkout.folder / "pipeline")
    checkout.snakemake("--", "fig_flux", configfile=configure(model="pipeline", shifts=[1, 0.3]))
    results = checkout.folder / "results/smoke"
    assert sorted(path.name for path in results.iterdir()) == ["benchmarks", "logs", "report", "samples"]
    table = pd.read_csv(results / "report/fig_flux.csv")
    assert sorted(table["shift"].dropna().unique()) == [0.3, 1]
    for suffix in ("png", "pdf"):
        assert (results / f"report/fig_flux.{suffix}").stat().st_size > 1000
    assert json.loads(provenance_path(results / "samples/flux.h5").read_text())["source"] == "pipeline"


def test_only_a_configuration_that_asks_for_it_runs_it(checkout, configure):
    (checkout.folder / "pipeline").mkdir()
    (checkout.folder / "pipeline/model_index.json").write_text("{}")
    listed = checkout.snakemake("--dry-run", "--quiet", "rules", configfile=configure(model="pipeline")).stdout
    assert "fig_flux" in listed
    assert "flux" not in checkout.snakemake("--dry-run", "--quiet", "rules").stdout


def test_weights_that_are_not_there_are_one_clear_line(checkout, configure, monkeypatch):
    done = checkout.snakemake("--dry-run", configfile=configure(model="no/such"), check=False)
    line = "config: flux: model is 'no/such': no such folder, and a hub id needs `revision`, a pinned commit"
    assert line in done.stdout + done.stderr
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # the error of a hub out of reach, without half a minute of trying again
    done = checkout.snakemake("--", "fig_flux", configfile=configure(model="no/such", revision="0" * 40), check=False)
    assert done.returncode != 0
    assert f"error: no/such at revision {'0' * 40} could not be fetched" in done.stdout + done.stderr
    assert not (checkout.folder / "results/smoke/samples").exists()
