"""The estimate: operations against closed forms, rows against the configuration, hours against the hardware."""

import copy
import dataclasses
import json
import math
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from twostage.config import load
from twostage.estimate import Costs, report
from twostage.estimate.evaluations import evaluations, followed_evaluations, resolved
from twostage.estimate.gaussian import fit_flops, velocity_flops
from twostage.estimate.networks import (
    _lightningdit_cost,
    autoencoder_flops,
    classifier_flops,
    flux_flops,
    lightningdit_cost,
)
from twostage.estimate.oracle import sweep_flops
from twostage.estimate.oracle_target import spared
from twostage.estimate.training import oracle_overhead
from twostage.flow import interpolate
from twostage.model.operations import forward_flops
from twostage.model.sizes import SIZES
from twostage.oracle import posterior
from twostage.oracle.law import transition_time
from twostage.oracle.settled import nearest_other, settled_times
from twostage.sampling.context import Context
from twostage.sampling.experiments import plans_for
from twostage.sampling.run import _groups_of_same_samples, _run_group

ROOT = Path(__file__).parents[2]
PLANS_OF_FIG5 = list(plans_for("fig5", {"model": "B"}))
PLANS = {"tab1": plans_for("tab1", {"models": ["XL", "B"], "splits": [0.2]}, steps=50)}


def costs(plans=PLANS, **changes):
    raw = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    raw["experiments"] = {name: raw["experiments"].get(name, {}) for name in plans}
    for path, value in changes.items():
        *parents, key = path.split("__")
        block = raw
        for parent in parents:
            block = block.setdefault(parent, {})
        block[key] = value
    return Costs(load(copy.deepcopy(raw)), plans)


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


@pytest.mark.parametrize(
    "sizes",
    [
        ((8, 8), 1, 2, 96, 4, 4),
        ((16, 16), 32, 1, 384, 12, 6),
        ((32, 32), 4, 2, 1152, 28, 16),
        ((8, 12), 1, 2, 96, 4, 4),
    ],
)
def test_the_closed_form_is_what_torch_counts(sizes):
    sides, channels, patch, hidden, depth, heads = sizes
    counted = lightningdit_cost((channels, *sides), 10, patch, hidden, depth, heads)[0]
    model = {"input_size": sides, "in_channels": channels, "patch_size": patch, "hidden_size": hidden, "depth": depth}
    assert forward_flops(model) == counted


def test_further_blocks_cost_what_the_second_does():
    sizes = (4, 8, 8), 10, 2, 32
    assert lightningdit_cost(*sizes, 5, 2) == _lightningdit_cost(*sizes, 5, 2)


def test_a_convolutional_autoencoder_is_counted():
    inward, outward = autoencoder_flops("sd-vae", (64, 64, 3), (4, 8, 8))
    first = 2 * 64 * 64 * 9 * 3 * 128  # of the encoder's first convolution alone
    assert outward > inward > 100 * first
    assert autoencoder_flops("identity", (64, 64, 3), (3, 64, 64)) == (0, 0)
    assert autoencoder_flops("sd-vae", (128, 128, 3), (4, 16, 16))[0] == pytest.approx(4 * inward, rel=0.05)


def test_training_is_three_passes_over_every_sample():
    found = costs()
    forward = lightningdit_cost((1, 8, 8), 10, 2, 32, 2, 2)[0]
    assert row(found, "train_S").samples == 1000 * 64
    assert row(found, "train_S").flops == 3 * 1000 * 64 * forward
    assert row(costs(training__target="oracle"), "train_S").flops > row(found, "train_S").flops
    assert row(found, "train_XL").samples == 1400 * 64


def test_an_oracle_target_is_counted_where_it_is_computed_and_its_distances_once():
    plain, found = costs(), costs(training__target="oracle", estimate__oracle_skipped=0.25)
    stored, dim, seen = 1438, 64, 1000 * 64
    velocities = 4 * dim * (0.9 * stored / 10 + 0.1 * stored)
    distances = 2 * dim * (stored**2 + stored**2 / 10)
    extra = row(found, "train_S").flops - row(plain, "train_S").flops
    assert extra == pytest.approx(0.75 * seen * velocities + distances)
    ratio = found.hours(row(found, "train_S"))[1] / plain.hours(row(plain, "train_S"))[1]
    assert oracle_overhead(found.setting, "pixel", "S") == pytest.approx(ratio)
    assert f"x_1 - x_0: pixel S {ratio:.2f}, " in report(found, {}, {})
    assert "oracle velocity" not in report(costs(models__S_oracle__target="cfm"), {}, {})


def imagenet(**changes):
    """Costs of the paper's setting, ``changes`` as in ``costs``."""
    raw = yaml.safe_load((ROOT / "config/imagenet256.yaml").read_text())
    for path, value in changes.items():
        block, key = path.split("__")
        raw.setdefault(block, {})[key] = value
    return Costs(load(raw), {})


def test_an_oracle_target_takes_time_beside_its_products_in_latents_read_calls_and_exchanges():
    """On GPUs, of ImageNet's 42 GB: each of 8 reads its share twice for 16 steps, and its classes' latents."""
    found = imagenet()
    s = row(found, "train_S_oracle", "vavae")
    blocks = 250000 / 16
    owned, bandwidth = 1281167 * 8192 * 4 / 8, 3.35e12
    products = 16 * 512 * 0.2 * 0.1 * 4 * 1281167 / 8 * 8192 / (67e12 * 0.35)
    assert products > 2 * owned / bandwidth  # of the dropped classes: reading them is hidden
    points = 16 * 512 * 0.2 * 0.9 / 8
    classes = 125 * (1 - np.exp(-points / 125))
    reading = classes * 2 * (owned / 125) / bandwidth - points * 4 * 1281.167 * 8192 / (67e12 * 0.35)
    logits = 160 * 16 * 512 * 0.2 * 0.1 * 1281167 / 8 / bandwidth
    calls = 5e-6 * (350 + 4 * classes)
    exchanges = 4e-4 + 2 * (points + 16 * 512 * 0.2 * 0.1) * 8192 * 4 / 5e10
    assert s.gpu_seconds == pytest.approx(8 * blocks * (reading + logits + calls + exchanges))
    assert s.cpu_seconds == 0
    seldom = imagenet(training__class_drop=0.001)  # so few points that reading all latents takes longer than products
    again = row(seldom, "train_S_oracle", "vavae")
    left = 2 * owned / bandwidth - products / 100
    assert left > 0
    assert again.gpu_seconds > 8 * blocks * left


def test_oracle_supervision_of_the_paper_s_models_is_affordable():
    found = [oracle_overhead(imagenet().setting, "vavae", model) for model in ("S", "B", "XL")]
    assert all(1 < ratio < most for ratio, most in zip(found, (1.4, 1.15, 1.05)))
    measured = imagenet(estimate__oracle_skipped=0.82).setting  # as on latents of this shape
    assert oracle_overhead(measured, "vavae", "S") < 1.4
    assert oracle_overhead(imagenet(estimate__oracle_skipped=0.0).setting, "vavae", "S") > 2.7


def test_as_many_points_are_spared_the_second_product_as_are_counted(monkeypatch):
    """Points before the time from which nothing is asked, in two parts of the data, as two processes hold them."""
    count, points, multiplied = 10000, 128, []
    draw = torch.Generator().manual_seed(0)
    data, x_0 = (torch.randn(n, 256, generator=draw) for n in (count, points))
    until = settled_times(nearest_other(data[:points], [data]), count).double()
    t = until * (torch.arange(points) + 0.5)[torch.randperm(points, generator=draw)] / points
    x_t = interpolate(x_0, data[:points], t)
    add = posterior.weighted_sum
    monkeypatch.setattr(posterior, "weighted_sum", lambda some, rows: multiplied.append(len(some)) or add(some, rows))
    for part in data.split(count // 2):
        posterior.Oracle(part).part_of_velocity(x_t, t, -x_0.double().square().sum(1) / 2)
    counted = np.mean([spared(1 - each, count, count / 2) for each in until.tolist()])
    found = 1 - sum(multiplied) / (2 * points)
    assert 0.2 < counted < found < 0.8
    assert spared(0.0, count, count / 2) == spared(0.8, 1000, 1000) == 0


def test_plans_are_counted_part_by_part_and_what_they_share_once():
    found = costs()
    row_of_tab1 = row(found, "sample_tab1")
    assert row_of_tab1.samples == 400 * 3 * 4
    forward = [lightningdit_cost((1, 8, 8), 10, 2, width, depth, 4)[0] for width, depth in ((96, 4), (64, 3))]
    # Each model takes the first 10 of 50 steps once for two plans, and the other 40 in each of two.
    assert row_of_tab1.flops == pytest.approx(400 * 3 * (10 + 2 * 40) * sum(forward))


def test_hours_follow_from_the_hardware():
    one = row(costs(), "train_XL")
    found = costs(estimate__cpu_gflops=50, estimate__cpu_utilisation=0.5)
    assert found.hours(one) == (0.0, pytest.approx(one.flops / 25e9 / 3600))
    gpus = {"gpu": 4, "threads": 8}
    on_gpu = costs(jobs__training=gpus, training__precision="float32", estimate__gpu_float32_tflops=60)
    gpu, cpu = on_gpu.hours(one)
    assert gpu == pytest.approx(one.flops / (60e12 * 0.35) / 3600)
    assert cpu == pytest.approx(gpu / 4 * 8)


def test_float64_products_cost_what_the_card_makes_of_them():
    like_float32 = costs(jobs__oracle={"gpu": 1})
    game_card = costs(jobs__oracle={"gpu": 1}, estimate__gpu_float64_tflops=67 / 64)
    assert row(game_card, "posterior").flops > row(like_float32, "posterior").flops
    more = sweep_flops(1, 1300, 8192, wide=64) - sweep_flops(1, 1300, 8192)
    assert more == 63 * 2 * (2 * 1300 * 8192)  # of a sweep, its two products alone
    on_cpu = costs(estimate__gpu_float64_tflops=1)
    assert row(on_cpu, "posterior").flops == row(like_float32, "posterior").flops


@pytest.mark.parametrize(("precision", "rate"), [("auto", 989), ("bf16", 989), ("float32", 67)])
def test_training_on_a_gpu_is_in_bf16_unless_it_is_told_otherwise(precision, rate):
    found = costs(jobs__training={"gpu": 1}, training__precision=precision)
    one = row(found, "train_XL")
    assert found.hours(one)[0] == pytest.approx(one.flops / (rate * 1e12 * 0.35) / 3600)


def test_of_sampling_the_networks_alone_are_in_bf16():
    found = costs({"fig5": plans_for("fig5", {"model": "B"})}, sampling__precision="bf16")
    one = row(found, "sample_fig5")
    counts = evaluations(resolved(found.setting.plans["fig5"], None), Counter({n: 150 for n in PLANS_OF_FIG5}))
    assert one.bf16_flops == counts["B"] * lightningdit_cost((1, 8, 8), 10, 2, 64, 3, 4)[0]
    assert one.flops - one.bf16_flops == counts["oracle"] * 4 * 143.8 * 64


def test_an_imported_model_is_not_trained():
    found = costs(models__XL={"hidden_size": 96, "depth": 4, "num_heads": 4, "checkpoint": {"vae": "weights/XL.pt"}})
    assert row(found, "import_XL", "vae").flops == 0
    assert row(found, "train_XL", "pixel").flops > 0


def test_a_model_of_another_code_is_built_and_costs_what_it_is_said_to_be_like():
    mine = {"factory": "mine:build", "like": "B", "normalisation": "store", "spaces": ["pixel"]}
    found, usual = costs(models__Mine=mine, models__B={**SIZES["B"]}), costs(models__B={**SIZES["B"]})
    assert not [each for each in found.rows if each.rule == "train_Mine"]
    built, (with_mine, without) = row(found, "build_Mine"), (row(each, "oracle_loss") for each in (found, usual))
    assert built.flops == 10 * found.setting.forward("pixel", "B")
    assert "training/pixel/Mine/" in with_mine.needs
    assert with_mine.flops > without.flops
    assert row(found, "oracle_loss", "vae").flops == row(usual, "oracle_loss", "vae").flops


def test_a_target_costs_what_it_needs_and_nothing_else():
    found = costs()
    rules = lambda *paths: {(each.rule, each.where) for each in found.of_target(paths)}  # noqa: E731
    assert rules("synthetic/top1.csv") == {("synthetic", "")}
    assert rules("oracle/vae/posterior.csv") == {("autoencoder", "vae"), ("encode", "vae"), ("posterior", "vae")}
    trained = {(f"train_{model}", "pixel") for model in ("XL", "B")}
    needed = {("encode", "pixel"), ("sample_tab1", "pixel"), ("evaluate", "pixel, tab1")}  # the split is a number
    assert rules("evaluation/pixel/tab1.csv") == trained | needed | {("classifier", "")}


def test_the_report_sums_what_its_targets_need():
    found = costs()
    targets = {"fig3": ["synthetic/top1.csv"], "tab1": ["evaluation/pixel/tab1.csv"]}
    text = report(found, targets, {"tab_reconstruction": ["evaluation/pixel/reconstruction.csv"]})
    counted = [*found.of_target(targets["fig3"]), *found.of_target(targets["tab1"])]
    everything = next(line for line in text.splitlines() if line.startswith("everything"))
    assert everything.split()[1:3] == [str(len(counted)), f"{sum(each.samples for each in counted):,}"]
    rules, _, alone = text.partition("everything")
    assert "reconstruction" not in rules
    assert "memorization" not in rules
    assert "tab_reconstruction           on demand" in alone
    assert "1,438 training and 359 held-out images, 10 classes" in text


# ---------------------------------------------------------------------------------------------------------- evaluations

MIXED = {
    "own": {"parts": [{"field": "B", "stop": "split", "guidance": 2, "interval": [0.1, "split"]}, {"field": "XL"}]},
    "heun": {"solver": "heun", "parts": [{"field": "B", "guidance": 3, "channels": 1, "interval": [0.3, 0.8]}]},
    "shifted": {"parts": [{"field": "B", "shift": 0.3, "guidance": 2, "interval": [0.0, 0.2]}]},
    "resumed": {"start": {"resume": 0.4, "split": "held_out"}, "parts": [{"field": "XL"}]},
    "jumped": {
        "start": {"gaussian": 0.4},
        "follow": True,
        "parts": [{"field": "gaussian", "stop": 0.8}, {"field": "B"}],
    },
}


def sampled(plans, samples):
    """{field: rows seen} when the sampler itself runs the plans, with fields that count, in batches of 3."""
    seen, context = Counter(), object.__new__(Context)

    def field(name):
        def count(x, t, y):
            seen[name] += len(x)
            return torch.zeros_like(x)

        count.dropped_label = 9
        return count

    context.plans, context.fields = plans, {name: field(name) for name in ("B", "XL", "oracle", "gaussian")}
    context.labels = lambda items: torch.from_numpy(items[:, 2])
    followed = lambda n: (np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool))  # noqa: E731
    begun = lambda plan, n: followed(n) if plan.resumes else None  # noqa: E731
    context.begin = lambda plan, items: (torch.zeros(len(items), 4), begun(plan, len(items)))
    context._heaviest, context.decode = (lambda _, __, y: followed(len(y))), (lambda x: x)

    class Written:
        def __init__(self, count):
            self.items = np.zeros((count, 3), dtype=np.int64)

        def write(self, *_):
            pass

    written = {name: Written(samples[name]) for name in plans}
    for group in _groups_of_same_samples(written):
        _run_group(group, written, context, batch_size=3)
    return seen


@pytest.mark.parametrize(
    "content",
    [
        MIXED,
        plans_for("fig5", {"model": "B", "oracle_samples": 11}),
        plans_for("tab1", {"models": ["XL", "B"]}),
        plans_for("tab3", {"model": "B"}, solver="heun"),
        plans_for("tab3", {"model": "B", "from_data": ["transition", "class"], "beside": [{"model": "XL"}]}),
    ],
    ids=["mixed", "fig5", "tab1", "tab3", "from data"],
)
def test_evaluations_are_those_of_the_sampler(content):
    plans = resolved(content, 0.37, {"transition": (0.3, 0.65), "class": (0.12, 0.53)})
    samples = {name: plan.samples or 7 for name, plan in plans.items()}
    assert evaluations(plans, samples) == sampled(plans, samples)


def test_trajectories_are_followed_whole_for_every_seed():
    plans = {"fig8": plans_for("fig8", {"models": ["XL"]}, solver="heun", steps=10)}
    found = followed_evaluations(resolved(plans["fig8"], None), 5)
    assert found == {"XL": 5 * 19, "oracle": 5 * 19}
    one, three = (row(costs(plans, experiments__fig8__seeds=seeds), "follow_fig8") for seeds in ([0], [0, 1, 2]))
    assert (one.samples, three.samples) == (2 * 150, 6 * 150)
    assert three.flops == pytest.approx(3 * one.flops)


def test_references_are_the_models_on_all_paths_and_the_exact_velocities_there():
    given = {"models": ["S", "XL"], "samples": 40, "times": 11, "seeds": [0, 1], "spaces": ["pixel"]}
    found = costs({}, experiments__fig_references=given)
    setting, each, pairs, curves = found.setting, 50 + 2 * 11, 2 * 40, 4 + 5  # 50 steps; two kinds of straight paths
    networks = pairs * each * (4 * setting.forward("pixel", "S") + 5 * setting.forward("pixel", "XL"))
    exact = pairs * 11 * (2 + curves) * (setting.oracle_velocity("pixel") + velocity_flops(setting, "pixel"))
    references = row(found, "references")
    assert references.samples == pairs
    assert references.flops == pytest.approx(networks + exact + fit_flops(setting, "pixel"))
    assert references.disk == 4 * 3 * pairs * 11 * 3 * curves
    assert [row.where for row in found.rows if row.rule == "references"] == ["pixel"]
    made = {each.rule for each in found.of_target(["samples/pixel/fig_references.h5"])}
    assert {"references", "train_S", "train_XL", "encode"} <= made


def test_a_plans_own_samples_come_before_the_experiments():
    plans = {
        "tab_plans": {"tab_plans-few": {"samples": 10, "parts": [{"field": "B"}]}, "tab_plans-b": MIXED["shifted"]}
    }
    found = costs(
        plans, experiments__tab_plans={"plans": {"few": {"parts": [{"field": "B"}]}}, "samples": 100, "seeds": [0, 1]}
    )
    assert row(found, "sample_tab_plans").samples == 2 * (10 + 100)
    assert row(found, "evaluate", "pixel, tab_plans").samples == 2 * (10 + 100)


# ---------------------------------------------------------------------------------------------------------------- split


def test_the_split_is_the_configurations_else_the_measured_one_else_the_laws(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    value, source = costs().setting.split("pixel")
    assert source == "law"
    assert value == pytest.approx(transition_time(np.ones(64), 143.8), abs=1e-9)
    path = tmp_path / "results/digits/oracle/pixel/transition.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"split": 0.48}))
    assert costs().setting.split("pixel") == (0.48, "measured")
    assert costs().setting.split("vae")[1] == "law"
    assert costs(split=0.3).setting.split("pixel") == (0.3, "fixed")


def test_windows_are_guessed_until_they_are_measured(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    guess = costs(split=0.99).setting.windows("pixel")
    assert all(0 < low < high < 1 for low, high in guess.values())
    path = tmp_path / "results/digits/oracle/pixel/windows.json"
    path.parent.mkdir(parents=True)
    measured = {"low": 0.3, "high": 0.6, "source": "law.csv"}
    path.write_text(json.dumps({"transition": measured, "class": {"missing": "one class"}}))
    assert costs(split=0.99).setting.windows("pixel") == guess | {"transition": (0.3, 0.6)}


# ----------------------------------------------------------------------------------------------------------- evaluation


def test_features_of_the_training_images_are_taken_once():
    found = costs(evaluation__features=["inception"])
    assert [each.where for each in found.rows if each.rule == "reference"] == ["inception"]
    assert row(found, "reference", "inception").flops == pytest.approx(1438 * 2 * 5.7e9)
    assert row(found, "evaluate", "pixel, tab1").flops == pytest.approx(4800 * 2 * 5.7e9)
    target = found.of_target(["evaluation/pixel/tab1.csv"])
    assert {"reference", "fetch_weights"} <= {each.rule for each in target}
    given = costs(evaluation={"features": ["inception"], "references": {"inception": "adm.npz"}})
    assert "reference" not in {each.rule for each in given.of_target(["evaluation/pixel/tab1.csv"])}


def test_held_out_images_are_measured_as_samples_are():
    plans = {"fig_samples": plans_for("fig_samples", {"models": ["XL"]})}
    found = row(costs(plans), "memorization", "pixel, fig_samples")
    assert found.samples == 100 + 359
    features = classifier_flops((8, 8, 1), 32, 10)
    distances = 2 * (100 + 359) * 1438 * (64 + 128)
    assert found.flops == pytest.approx((100 + 359 + 1438) * features + distances)


def test_a_gpu_waits_for_resizing_and_for_distances_but_not_for_reading():
    jobs = {"evaluation": {"gpu": 1, "threads": 4}}
    found = costs(evaluation__features=["inception"], jobs=jobs)
    one, images = row(found, "reference", "inception"), 1438
    alone = images * 2 * 5.7e9 / (67e12 * 0.35)
    assert found.hours(one)[0] == pytest.approx((alone + images * 0.006 / 4) / 3600)
    reading = dataclasses.replace(one, cpu_seconds=one.cpu_seconds + 1000)
    assert found.hours(reading)[0] == pytest.approx((images * 0.006 + 1000) / 4 / 3600)
    one, width, spatial = row(found, "evaluate", "pixel, tab1"), 2048, 2023
    sets = len(PLANS["tab1"]) * len(found.config.sampling.seeds)  # each of its own distance
    count = one.samples / sets
    frechet = lambda count, width: 3 * count * width**2 + 11 * 3 * min(count, width) ** 2 * width  # noqa: E731
    distances = frechet(count, width) + 4 * count**2 * width + frechet(count, spatial) + count * 1008 * width
    assert one.cpu_seconds == one.waited_seconds
    assert one.cpu_seconds == pytest.approx(one.samples * 0.006 + sets * 2 * distances / 40e9)


def test_distances_of_classes_cost_their_images_once_and_only_when_requested():
    found = costs()
    one, plans, images = row(found, "class_distances", "pixel, tab1"), len(PLANS["tab1"]), 1438
    assert one.samples == images + row(found, "evaluate", "pixel, tab1").samples
    assert one.flops == pytest.approx(one.samples * classifier_flops((8, 8, 1), 32, 10))
    own = 400 * len(found.config.sampling.seeds) // 10  # of a plan and class
    distances = 3 * own * 128**2 + 11 * 3 * min(own, 128) ** 2 * 128
    reading = found.config.estimate.image_seconds * images * (found.config.data.name == "image_folder")
    assert one.waited_seconds == pytest.approx(plans * 10 * 2 * distances / 40e9)
    assert one.cpu_seconds == pytest.approx(one.waited_seconds + reading)
    rules = lambda *paths: {(each.rule, each.where) for each in found.of_target(paths)}  # noqa: E731
    assert ("class_distances", "pixel, tab1") in rules("evaluation/pixel/classes/tab1.csv")
    assert {rule for rule, _ in rules("evaluation/pixel/classes/tab1.csv")} & {"evaluate", "memorization"} == set()
    assert "class_distances" not in {rule for rule, _ in rules("evaluation/pixel/tab1.csv")}


# ------------------------------------------------------------------------------------------------ what is not there yet


def test_it_counts_without_the_images_where_their_numbers_are_given():
    data = {"name": "image_folder", "path": "no/such", "image_size": 8, "images": 100, "held_out_images": 10}
    found = costs(data=data)
    assert found.setting.images == {"train": 100, "held_out": 10}
    assert "There is no folder no/such: 1,000 classes are assumed" in report(
        found, {"f": ["data/pixel/latents.h5"]}, {}
    )
    assert costs(data={**data, "classes": 5}).setting.class_size == 20


def test_a_tiny_encoders_channels_are_its_weights(tmp_path):
    from diffusers import AutoencoderTiny
    from safetensors.torch import save_file

    path = tmp_path / "tiny.safetensors"
    data = {"name": "cifar10", "path": "data", "image_size": 32}
    spaces = {"pixel": {"encoder": {"kind": "tiny", "weights": str(path)}}}
    assert costs(data=data, spaces=spaces).setting.latent_shape("pixel") == (4, 4, 4)
    save_file(AutoencoderTiny(latent_channels=16).state_dict(), path)
    assert costs(data=data, spaces=spaces).setting.latent_shape("pixel") == (16, 4, 4)


def test_flux_is_counted_on_its_own_networks(tmp_path):
    tiny = {"num_layers": 1, "num_single_layers": 1, "attention_head_dim": 8, "num_attention_heads": 2}
    tiny |= {"in_channels": 8, "joint_attention_dim": 16, "pooled_projection_dim": 16, "axes_dims_rope": [2, 2, 4]}
    levels = {"block_out_channels": [8, 8], "layers_per_block": 1, "latent_channels": 2, "norm_num_groups": 4}
    levels |= {"down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2}
    for part, content in (("transformer", tiny), ("vae", levels)):
        (tmp_path / part).mkdir()
        (tmp_path / part / "config.json").write_text(json.dumps(content))
    flux = {"model": str(tmp_path), "prompts": ["a", "b", "c"], "shifts": [1, 0.5], "times": [0, 0.5, 1]}
    found = costs(flux=flux | {"steps": 6, "height": 16, "width": 16}, jobs__flux={"gpu": 1})
    transformer, decoder = flux_flops(str(tmp_path), 16, 16)
    assert transformer > 2 * 512 * 16 * 16  # of the text's projection alone
    one = row(found, "flux", "")
    assert one.flops == pytest.approx(3 * 2 * 6 * transformer + (3 * 2 + 3 * 2) * decoder)
    assert found.hours(one)[0] == pytest.approx(one.flops / (989e12 * 0.35) / 3600)
    assert [each.rule for each in found.of_target(["samples/flux.csv"])] == ["flux"]
    hub = costs(flux={"model": "some/model", "revision": "0" * 40, "height": 64, "width": 64, "steps": 1})
    assert [each.rule for each in hub.of_target(["samples/flux.csv"])] == ["fetch_flux", "flux"]
    assert math.isfinite(row(hub, "flux", "").flops)


def test_torch_is_imported_when_something_is_counted_and_not_before():
    code = "import sys, twostage.estimate; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
