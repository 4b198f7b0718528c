"""The estimate: operations against closed forms, rows against the configuration, hours against the hardware."""

import copy
from pathlib import Path

import pytest
import yaml

from twostage.config import load
from twostage.estimate import Costs, autoencoder_flops, lightningdit_cost, report
from twostage.sampling.experiments import plans_for

ROOT = Path(__file__).parents[2]
PLANS = {"tab1": plans_for("tab1", {"models": ["XL", "B"], "splits": [0.2]}, steps=50)}


def costs(**changes):
    raw = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    raw["experiments"] = {"tab1": raw["experiments"]["tab1"]}
    for path, value in changes.items():
        *parents, key = path.split("__")
        block = raw
        for parent in parents:
            block = block.setdefault(parent, {})
        block[key] = value
    return Costs(load(copy.deepcopy(raw)), PLANS)


def row(found, rule, where="pixel"):
    (only,) = [each for each in found.rows if each.rule == rule and each.where == where]
    return only


def test_lightningdit_is_counted_layer_by_layer():
    hidden, depth, tokens, channels, classes = 384, 12, 256, 32, 1000
    flops, parameters = lightningdit_cost((channels, 16, 16), classes, 1, hidden, depth, 6)
    assert parameters == pytest.approx(33.0e6, rel=0.02)  # FORMATS: S has 33.0 million
    inner = int(2 / 3 * 4 * hidden)
    block = tokens * (4 * hidden**2 + 3 * hidden * inner + 2 * tokens * hidden) + 6 * hidden**2
    ends = tokens * 2 * hidden * channels + 2 * hidden**2 + 256 * hidden + hidden**2
    assert flops == pytest.approx(2 * (depth * block + ends), rel=1e-3)


def test_a_convolutional_autoencoder_is_counted():
    inward, outward = autoencoder_flops("sd-vae", (64, 64, 3))
    first = 2 * 64 * 64 * 9 * 3 * 128  # of the encoder's first convolution alone
    assert outward > inward > 100 * first
    assert autoencoder_flops("identity", (64, 64, 3)) == (0, 0)
    assert autoencoder_flops("sd-vae", (128, 128, 3))[0] == pytest.approx(4 * inward, rel=0.05)


def test_training_is_three_passes_over_every_sample():
    found = costs()
    forward = lightningdit_cost((1, 8, 8), 10, 2, 32, 2, 2)[0]
    assert row(found, "train_S").samples == 1000 * 64
    assert row(found, "train_S").flops == 3 * 1000 * 64 * forward
    assert row(costs(training__target="oracle"), "train_S").flops > row(found, "train_S").flops
    assert row(found, "train_XL").samples == 1400 * 64


def test_plans_are_counted_part_by_part():
    found = costs()
    row_of_tab1 = row(found, "sample_tab1")
    assert row_of_tab1.samples == 400 * 3 * 4
    forward = [lightningdit_cost((1, 8, 8), 10, 2, width, depth, 4)[0] for width, depth in ((96, 4), (64, 3))]
    assert row_of_tab1.flops == pytest.approx(400 * 3 * 4 * 50 * sum(forward) / 2)


def test_hours_follow_from_the_hardware():
    one = row(costs(), "train_XL")
    found = costs(estimate__cpu_gflops=50, estimate__cpu_utilisation=0.5)
    assert found.hours(one) == (0.0, pytest.approx(one.flops / 25e9 / 3600))
    on_gpu = costs(jobs__training={"gpu": 4, "threads": 8}, estimate__gpu_float32_tflops=60)
    gpu, cpu = on_gpu.hours(one)
    assert gpu == pytest.approx(one.flops / (60e12 * 0.35) / 3600)
    assert cpu == pytest.approx(gpu / 4 * 8)
    bf16 = costs(jobs__training={"gpu": 1}, training__precision="bf16")
    assert bf16.hours(row(bf16, "train_XL"))[0] == pytest.approx(one.flops / (989e12 * 0.35) / 3600)


def test_an_imported_model_is_not_trained():
    found = costs(models__XL={"hidden_size": 96, "depth": 4, "num_heads": 4, "checkpoint": {"vae": "weights/XL.pt"}})
    assert row(found, "import_XL", "vae").flops == 0
    assert row(found, "train_XL", "pixel").flops > 0


def test_a_target_costs_what_it_needs_and_nothing_else():
    found = costs()
    rules = lambda *paths: {(each.rule, each.where) for each in found.of_target(paths)}  # noqa: E731
    assert rules("synthetic/top1.csv") == {("synthetic", "")}
    assert rules("oracle/vae/posterior.csv") == {("autoencoder", "vae"), ("encode", "vae"), ("posterior", "vae")}
    trained = {(f"train_{model}", "pixel") for model in ("XL", "B")}
    needed = {("encode", "pixel"), ("posterior", "pixel"), ("sample_tab1", "pixel"), ("evaluate", "pixel, tab1")}
    assert rules("evaluation/pixel/tab1.csv") == trained | needed | {("classifier", "")}


def test_the_report_sums_its_rows():
    found = costs()
    text = report(found, {"fig3": ["synthetic/top1.csv"]})
    everything = next(line for line in text.splitlines() if line.startswith("everything"))
    assert f"{sum(each.samples for each in found.rows):,}" in everything
    assert text.splitlines()[-1].startswith("fig3")
    assert "1,438 training and 359 held-out images, 10 classes" in text
