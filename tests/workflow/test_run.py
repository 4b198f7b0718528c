"""The whole workflow for real, at its smallest size."""

import json
import shutil
import subprocess
import sys

import cluster as slurm
import h5py
import numpy as np
import pandas as pd
import pytest

from twostage.provenance import provenance_path, sha256

ARTEFACTS = {".csv", ".json", ".jsonl", ".h5", ".safetensors", ".png", ".pdf", ".html"}


def test_a_finished_run_has_nothing_to_do(finished):
    done = finished.snakemake()
    assert "Nothing to be done" in done.stdout + done.stderr


def test_the_report_is_one_page_that_asks_the_network_for_nothing(finished):
    page = (finished.folder / "results/smoke/report.html").read_text()
    assert "fig2" in page
    assert 'src="http' not in page
    assert '<link href="http' not in page


def test_on_slurm_it_comes_to_the_same(finished, checkout):
    if reason := slurm.missing():
        pytest.skip(reason)
    where = ("--profile", "slurm", "--slurm-init-seconds-before-status-checks", "1", "--jobs", "2")
    gpus = ("--set-resources", *(f"{rule}:gpu=1" for rule in ("train_B", "train_XL", "sample_tab1")))
    table = "results/smoke/evaluation/pixel/tab1.csv"
    for part in ("data/pixel", "oracle/pixel", "evaluation/classifier"):  # as made without Slurm; from here on with it
        shutil.copytree(finished.folder / "results/smoke" / part, checkout.folder / "results/smoke" / part)
    with slurm.Cluster.start() as cluster:
        checkout.snakemake(*gpus, "--", table, where=where, environment=cluster.environment)
        jobs = cluster.run("squeue", "--noheader", "--states=all", "--format=%T").splitlines()
    assert jobs == 4 * ["COMPLETED"]
    assert (checkout.folder / table).read_bytes() == (finished.folder / table).read_bytes()
    for snapshot in (checkout.folder / "results/smoke/training/pixel").glob("*/step-*.safetensors"):
        assert snapshot.read_bytes() == (finished.folder / snapshot.relative_to(checkout.folder)).read_bytes()
    for model in ("B", "XL"):
        events = checkout.folder / f"results/smoke/training/pixel/{model}/state/events.jsonl"
        start = json.loads(events.read_text().splitlines()[0])
        assert start["gpus"] in ("0", "1")
        assert start["processes"] == 1


def test_every_artefact_has_provenance_that_matches_it(finished):
    results = finished.folder / "results/smoke"
    artefacts = [
        path
        for stage in ("data", "oracle", "synthetic", "training", "samples", "evaluation", "report")
        for path in (results / stage).rglob("*")
        # `state` is a training's own, to resume from.
        if path.suffix in ARTEFACTS and not path.name.endswith(".provenance.json") and path.parent.name != "state"
    ]
    assert len(artefacts) > 50
    for path in artefacts:
        record = json.loads(provenance_path(path).read_text())
        assert record["sha256"] == sha256(path), path
        assert record["versions"]["twostage"], path


def test_a_run_is_verified_and_a_file_that_was_changed_is_named(finished):
    def verify():
        command = [sys.executable, "-m", "twostage.provenance", "verify", "results/smoke"]
        return subprocess.run(command, cwd=finished.folder, capture_output=True, text=True)

    done = verify()
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("0 problems\n")
    table = finished.folder / "results/smoke/evaluation/pixel/tab1.csv"
    table.write_text(table.read_text() + "\n")
    done = verify()
    assert done.returncode == 1
    line, summary = done.stdout.splitlines()
    assert line.startswith("results/smoke/evaluation/pixel/tab1.csv: sha256 is")
    assert summary.endswith("1 problem")


def test_another_models_file_is_refused_by_name(finished):
    training = finished.folder / "results/smoke/training/pixel"
    for taken, place, why in (
        (
            "XL/step-0000004.safetensors",
            "B/step-0000004.safetensors",
            "a model of hidden_size 16; expected hidden_size 8",
        ),
        (
            "S/step-0000004.safetensors",
            "S_oracle/step-0000004.safetensors",
            "training target cfm; expected target oracle",
        ),
        ("B/step-0000002.safetensors", "B/step-0000004.safetensors", "training step 2; expected step 4"),
    ):
        kept = (training / place).read_bytes()
        (training / place).write_bytes((training / taken).read_bytes())
        (finished.folder / "results/smoke/training/pixel/oracle_loss.csv").unlink(missing_ok=True)
        done = finished.snakemake("--", "results/smoke/training/pixel/oracle_loss.csv", check=False)
        assert done.returncode == 1
        assert f"{place}: " in done.stdout + done.stderr
        assert why in done.stdout + done.stderr
        (training / place).write_bytes(kept)


def test_every_rule_leaves_a_log_and_a_benchmark(finished):
    results = finished.folder / "results/smoke"
    benchmarks = {
        path.relative_to(results / "benchmarks").with_suffix("") for path in (results / "benchmarks").rglob("*.tsv")
    }
    logs = {path.relative_to(results / "logs").with_suffix("") for path in (results / "logs").rglob("*.log")}
    assert len(benchmarks) > 20
    assert logs == benchmarks


def test_the_measured_split_flows_into_the_plans(finished):
    results = finished.folder / "results/smoke"
    split = json.loads((results / "oracle/pixel/transition.json").read_text())["split"]
    table = pd.read_csv(results / "evaluation/pixel/tab1.csv")
    assert 0 < split < 1
    assert np.allclose(table["split"], split)


def test_a_split_fixed_in_the_configuration_is_used_and_retrains_nothing(finished):
    reruns = finished.reruns(config=["split=0.25"])
    assert {"sample_tab1", "evaluate", "tab1", "claims"} <= reruns
    assert not any(rule.startswith(("train_", "posterior", "encode")) for rule in reruns)
    finished.snakemake("--config", "split=0.25", "--", "results/smoke/samples/pixel/tab1-fixed-XL-B/shard-0.h5")
    with h5py.File(finished.folder / "results/smoke/samples/pixel/tab1-fixed-XL-B/shard-0.h5") as file:
        assert [part["stop"] for part in json.loads(file.attrs["plan"])["parts"]] == [0.25, 1.0]


def test_the_table_has_four_rows_and_three_seeds(finished):
    table = pd.read_csv(finished.folder / "results/smoke/evaluation/pixel/tab1.csv")
    assert table["plan"].nunique() == 4
    assert sorted(table["seed"].unique()) == [0, 1, 2]
