"""The stages of the oracle on small stores: what they write, streamed as in memory, and that they reproduce."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from data_examples import write_random_store

from twostage.data.latents import LatentStore, write_store
from twostage.oracle import ClassOracle, Oracle, sweep
from twostage.oracle.law import spectrum, transition_time
from twostage.oracle.panels import measure_synthetic
from twostage.oracle.study import measure_nsweep, measure_posterior
from twostage.provenance import provenance_path

LABELS = (0,) * 30 + (1,) * 25 + (3,) * 1
TIMES = np.linspace(0, 1, 21)
SMALL, TINY = 0.01, 0.004  # megabytes: half of them does not hold 56 samples of 96 bytes, or 25


@pytest.fixture(params=[False, True], ids=["plain", "with flips"])
def store(request, tmp_path):
    path = tmp_path / "pixel" / "latents.h5"
    path.parent.mkdir()
    write_random_store(path, labels=LABELS, flips=request.param)
    return LatentStore.open(path)


@pytest.mark.parametrize("label", [None, 0, 1])
def test_a_streamed_store_is_the_tensor_it_holds(store, label):
    torch.manual_seed(0)
    data = store.class_data(label)
    streamed = Oracle(store, label, budget_mb=TINY)
    assert not streamed.samples.in_memory
    x_t = torch.randn(4, *data.shape[1:])
    for t in (0.0, 0.3, 0.8, 0.97):
        expected = Oracle(data).log_weights(x_t, t).exp()
        torch.testing.assert_close(streamed.log_weights(x_t, t).exp(), expected, rtol=0, atol=4e-6)
        velocity = Oracle(data).velocity(x_t, t)
        assert (streamed.velocity(x_t, t) - velocity).norm() < 4e-6 * velocity.norm()
    index = torch.tensor([0, len(data) - 1, len(data) // 2])
    arguments = (index, torch.randn(3, *data.shape[1:]), TIMES)
    found = sweep(store, *arguments, label=label, budget_mb=TINY)
    expected = sweep(data, *arguments)
    for name in ("top1", "self_weight", "effective_samples", "mse"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-5, atol=1e-300)
    np.testing.assert_allclose(spectrum(store, label, budget_mb=TINY), spectrum(data), atol=1e-10)


def test_class_oracle_on_a_store(store):
    y, x_t = torch.tensor([1, 0, 3]), torch.randn(3, *store.shape[1:])
    found = ClassOracle(store).velocity(x_t, 0.6, y)
    for k in range(3):
        expected = Oracle(store.class_data(int(y[k]))).velocity(x_t[k : k + 1], 0.6)
        torch.testing.assert_close(found[k : k + 1], expected)
    with pytest.raises(ValueError, match="label 2 has no samples"):
        ClassOracle(store).velocity(x_t, 0.6, 2)
    with pytest.raises(ValueError, match="class 2 has no samples"):
        Oracle(store, label=2)
    with pytest.raises(ValueError, match="label is 9"):
        sweep(store, [0], x_t[:1], TIMES, label=9)
    with pytest.raises(ValueError, match="labels go with a tensor"):
        ClassOracle(store, store.labels)


def test_posterior_stage(store, tmp_path):
    arguments = {"times": TIMES, "pairs_per_class": 12, "pairs_unconditional": 6, "seed": 3, "bootstrap": 50}
    table = measure_posterior(store.path, tmp_path / "oracle", **arguments)
    written = pd.read_csv(tmp_path / "oracle" / "posterior.csv")
    pd.testing.assert_frame_equal(written.astype({"label": str}), table.astype({"label": str}), check_dtype=False)
    statistics = ("top1", "self_weight", "effective_samples", "mse", "mse_offset")
    expected = ["conditioning", "label", "n", "dim", "t", "pairs"]
    assert list(table.columns) == [*expected, *[f"{name}{end}" for name in statistics for end in ("", "_sem")], "class"]
    copies = 2 if store.has_flips else 1
    assert table.groupby(["conditioning", "label"], sort=False).n.first().to_dict() == {
        ("class", 0): 30 * copies,
        ("class", 1): 25 * copies,
        ("class", 3): copies,
        ("class", "pooled"): 25 * copies,
        ("all", -1): 56 * copies,
    }
    asked = {*np.round(TIMES, 9), 0.02, 0.04, 0.06, 0.08, 0.95, 0.98, 0.99}
    for _, rows in table.groupby(["conditioning", "label"]):
        assert asked <= set(rows.t.round(9))
    pooled = table[table.label == "pooled"].set_index("t")
    each = table[(table.conditioning == "class") & (table.label != "pooled")].groupby("t")
    np.testing.assert_allclose(pooled.mse, each.mse.mean())
    assert (pooled.pairs == 36).all()
    if copies == 1:
        alone = table[table.label == 3]
        assert (alone.self_weight == 1).all()
        assert (alone.mse == 0).all()

    transition = json.loads((tmp_path / "oracle" / "transition.json").read_text())
    assert transition["space"] == "pixel"
    assert transition["dim"] == 24
    assert [each["label"] for each in transition["classes"]] == [0, 1, 3]
    assert [each["class"] for each in transition["classes"]] == ["0", "1", "3"]
    for entry in (*transition["classes"][:2], transition["unconditional"]):
        assert set(entry) - {"class"} == {"label", "n", "measured", "interval", "predicted", "curve_error"}
        assert entry["interval"][0] <= entry["measured"] <= entry["interval"][1]
        assert entry["predicted"] == pytest.approx(entry["measured"], abs=0.2)
    assert 0 < transition["split_interval"][0] <= transition["split"] <= transition["split_interval"][1] < 1
    typical = transition["spectrum"]
    medians = sorted(entry["predicted"] for entry in transition["classes"])
    assert transition_time(typical["eigenvalues"], typical["n"]) == pytest.approx(medians[1])
    law = pd.read_csv(tmp_path / "oracle" / "law.csv", dtype={"label": str})
    assert list(law.columns) == [
        "conditioning",
        "label",
        "n",
        "dim",
        "t",
        "measured",
        "measured_sem",
        "predicted",
        "class",
    ]
    np.testing.assert_array_equal(law.measured, table.self_weight)
    entry = transition["classes"][0]
    of_class = law[(law.conditioning == "class") & (law.label == "0")]
    assert entry["curve_error"] == pytest.approx((of_class.measured - of_class.predicted).abs().max())
    told = pd.read_csv(tmp_path / "oracle" / "information.csv")
    assert list(dict.fromkeys(told.conditioning)) == ["class", "all", "label"]
    ends = told.groupby("conditioning").last()
    sizes = copies * np.array([30, 25, 1])
    assert ends.total["all"] == pytest.approx(np.log(sizes.sum()))
    assert ends.total["class"] == pytest.approx(np.average(np.log(sizes), weights=sizes))
    # the six pairs over all data need not be of every class
    assert 0 < ends.total["label"] <= np.log(3)
    np.testing.assert_allclose(told.by_entropy + told.left, told.total)
    for name in ("posterior.csv", "law.csv", "information.csv", "transition.json"):
        made = json.loads(provenance_path(tmp_path / "oracle" / name).read_text())
        assert made["seed"] == 3
        assert str(store.path) in made["inputs"]

    again = measure_posterior(store.path, tmp_path / "again", **arguments)
    pd.testing.assert_frame_equal(again, table)
    streamed = measure_posterior(store.path, tmp_path / "streamed", **arguments, budget_mb=SMALL)
    pd.testing.assert_frame_equal(streamed, table, rtol=1e-5)


def test_posterior_stage_without_the_unconditional_part(store, tmp_path):
    table = measure_posterior(
        store.path, tmp_path / "oracle", times=TIMES, pairs_per_class=3, pairs_unconditional=0, seed=0, bootstrap=10
    )
    assert set(table.conditioning) == {"class"}
    assert "unconditional" not in json.loads((tmp_path / "oracle" / "transition.json").read_text())


def test_pairs_use_each_sample_as_often_as_any_other(store, tmp_path, monkeypatch):
    """Fewer pairs than samples: none twice; more: each once before any comes again."""
    from twostage.oracle import study

    seen, plain = [], study.sweep
    monkeypatch.setattr(
        study, "sweep", lambda samples, index, *a, **k: (seen.append(index), plain(samples, index, *a, **k))[1]
    )
    count = 30 * (2 if store.has_flips else 1)
    for pairs in (20, count + 5):
        seen.clear()
        measure_posterior(
            store.path, tmp_path / "o", times=TIMES, pairs_per_class=pairs, pairs_unconditional=0, seed=0, bootstrap=5
        )
        times_used = np.bincount(seen[0], minlength=count)
        assert times_used.max() - times_used.min() == 1


def test_nsweep_stage(store, tmp_path):
    output = tmp_path / "oracle" / "nsweep.csv"
    table = measure_nsweep(store.path, output, sizes=[5, 20, 50, 5000], pairs=20, repeats=2, seed=0, labels=[0, 1])
    assert list(table.columns) == ["pool", "label", "n", "dim", "measured", "lo", "hi", "predicted", "class"]
    pd.testing.assert_frame_equal(pd.read_csv(output), table)
    sizes = table.groupby(["pool", "label"]).n.apply(list).to_dict()
    fits = [5, 20, 50] if store.has_flips else [5, 20]
    assert sizes == {("class", 0): fits, ("class", 1): fits, ("pooled", -1): [5, 20, 50]}
    for _, group in table.groupby(["pool", "label"]):
        assert group.measured.is_monotonic_increasing
        assert group.predicted.is_monotonic_increasing
    assert ((table.lo <= table.measured) & (table.measured <= table.hi)).all()
    assert (table.predicted - table.measured).abs().max() < 0.15
    assert provenance_path(output).exists()
    with pytest.raises(ValueError, match="sizes are"):
        measure_nsweep(store.path, output, sizes=[1], pairs=5, repeats=1, seed=0)


def test_synthetic_stage(tmp_path):
    arguments = {
        "times": np.linspace(0, 1, 11),
        "trials": 30,
        "seed": 0,
        "dimension_panel": {"size": 40, "dims": [8, 32]},
        "size_panel": {"dim": 16, "sizes": [10, 100]},
        "law_grid": [(16, 50)],
        "bootstrap": 50,
    }
    table = measure_synthetic(tmp_path / "synthetic", **arguments)
    assert list(table.columns) == ["panel", "dim", "size", "t", "trials", "top1", "top1_sem", "precision"]
    assert table.groupby(["panel", "dim", "size", "precision"]).trials.first().to_dict() == {
        ("dimension", 8, 40, "exact"): 30,
        ("dimension", 8, 40, "bfloat16"): 30,
        ("dimension", 32, 40, "exact"): 30,
        ("dimension", 32, 40, "bfloat16"): 30,
        ("size", 16, 10, "exact"): 30,
        ("size", 16, 10, "bfloat16"): 30,
        ("size", 16, 100, "exact"): 30,
        ("size", 16, 100, "bfloat16"): 30,
    }
    law = pd.read_csv(tmp_path / "synthetic" / "law.csv")
    assert list(law.columns) == ["dim", "size", "t", "measured", "measured_sem", "predicted", "corrected"]
    transition = pd.read_csv(tmp_path / "synthetic" / "transition.csv").iloc[0]
    assert transition.lo < transition.measured < transition.hi
    assert transition.curve_error == pytest.approx((law.measured - law.predicted).abs().max())
    assert transition.corrected_curve_error == pytest.approx((law.measured - law.corrected).abs().max())
    told = pd.read_csv(tmp_path / "synthetic" / "information.csv")
    assert set(zip(told.dim, told.n, told.pairs)) == {(16, 50, 30)}
    last = told.iloc[-1]
    assert last.total == pytest.approx(np.log(50))
    assert abs(last.by_gap - last.total) < 4 * last.by_gap_sem < 0.5 * last.total
    for name in ("top1.csv", "law.csv", "transition.csv", "information.csv"):
        assert provenance_path(tmp_path / "synthetic" / name).exists()
    again = measure_synthetic(tmp_path / "again", **arguments, workers=3, state_dir=tmp_path / "state")
    pd.testing.assert_frame_equal(again, table)
    assert not list((tmp_path / "state").iterdir())


def test_class_oracle_keeps_the_classes_used_last_within_its_budget(tmp_path):
    """Two classes of 960 bytes fit in the 2,000 bytes, three do not."""
    write_random_store(tmp_path / "latents.h5", labels=(0,) * 10 + (1,) * 10 + (2,) * 10)
    classes = ClassOracle(LatentStore.open(tmp_path / "latents.h5"), budget_mb=2000 / 2**20)
    first, second = classes.oracle(0), classes.oracle(1)
    assert classes.oracle(0) is first
    third = classes.oracle(2)
    assert third.samples.in_memory
    assert classes.oracle(0) is first
    assert classes.oracle(2) is third
    assert classes.oracle(1) is not second
    assert list(classes._oracles) == [2, 1]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Two classes of scikit-learn's digits as they are, and the same with every image twice."""
    from sklearn.datasets import load_digits

    found = load_digits()
    folder, stores = tmp_path_factory.mktemp("digits"), {}
    for name, copies in (("once", 1), ("twice", 2)):
        labels = np.repeat([0, 1], [100 * copies, 90 * copies])
        pixels = [np.tile(found.images[found.target == k][:n], (copies, 1, 1)) for k, n in ((0, 100), (1, 90))]
        path = folder / name / "latents.h5"
        path.parent.mkdir()
        latents = torch.from_numpy(np.concatenate(pixels)[:, None] / 8 - 1).float()
        with write_store(path, len(latents), (1, 8, 8)) as writer:
            writer.write(0, latents)
            writer.finish(labels, np.arange(len(labels)), 2, {"split": "train"})
        stores[name] = path
    return stores


def test_numbers_do_not_depend_on_how_coarse_the_times_are(digits, tmp_path):
    """The smallest grid that a configuration may ask for against a fine one, each number within its interval."""
    posteriors, transitions = [], []
    for steps in (10, 500):
        folder = tmp_path / str(steps)
        posteriors.append(
            measure_posterior(
                digits["once"], folder, times=np.linspace(0, 1, steps + 1), pairs_per_class=64, pairs_unconditional=64,
                seed=0, bootstrap=200,
            )
        )  # fmt: skip
        transitions.append(json.loads((folder / "transition.json").read_text()))
    coarse, fine = transitions
    half = (fine["split_interval"][1] - fine["split_interval"][0]) / 2
    assert abs(coarse["split"] - fine["split"]) < half / 10
    np.testing.assert_allclose(coarse["split_interval"], fine["split_interval"], atol=half / 5)
    assert coarse["split_predicted"] == pytest.approx(fine["split_predicted"], abs=1e-3)
    for one, other in zip(coarse["classes"], fine["classes"]):
        assert one["measured"] == pytest.approx(other["measured"], abs=half / 5)
        assert one["curve_error"] == pytest.approx(other["curve_error"], abs=5e-3)
    for name in ("mse", "mse_offset", "top1"):
        areas = []
        for table in posteriors:
            rows = table[table.label == "pooled"]
            areas.append(np.trapezoid(rows[name], rows.t))
        sem = posteriors[1].loc[posteriors[1].label == "pooled", f"{name}_sem"].mean()
        assert abs(areas[0] - areas[1]) < 1.96 * sem, name


def test_every_image_twice_is_the_law_and_the_split_of_every_image_once(digits, tmp_path):
    """Pairs are drawn anew, so the two agree within their intervals; copies counted apart would be at t = 1."""
    found = {}
    for name, path in digits.items():
        measure_posterior(
            path, tmp_path / name, times=TIMES, pairs_per_class=64, pairs_unconditional=0, seed=0, bootstrap=200
        )
        found[name] = json.loads((tmp_path / name / "transition.json").read_text())
    once, twice = found["once"], found["twice"]
    assert [entry["n"] for entry in twice["classes"]] == [entry["n"] for entry in once["classes"]]
    assert twice["split_predicted"] == pytest.approx(once["split_predicted"], abs=2e-3)
    spread = np.hypot(*(np.diff(each["split_interval"])[0] / 2 for each in found.values()))
    assert abs(twice["split"] - once["split"]) < 1.5 * spread
    table = measure_nsweep(digits["twice"], tmp_path / "n.csv", sizes=[50, 90, 150], pairs=8, repeats=2, seed=0)
    assert table.groupby(["pool", "label"]).n.max().to_dict() == {
        ("class", 0): 90,
        ("class", 1): 90,
        ("pooled", -1): 150,
    }


def test_a_transition_far_from_the_law_is_resolved_too(tmp_path):
    """Pairs of near-duplicates: the true sample is told from its twin long after the law's time."""
    torch.manual_seed(0)
    base = torch.randn(40, 1, 8, 8)
    latents = torch.cat([base, base + 0.02 * torch.randn(40, 1, 8, 8)])
    path = tmp_path / "latents.h5"
    with write_store(path, 80, (1, 8, 8)) as writer:
        writer.write(0, latents)
        writer.finish([0] * 80, np.arange(80), 1, {"split": "train"})
    found = []
    for steps in (10, 400):
        folder = tmp_path / str(steps)
        times = np.linspace(0, 1, steps + 1)
        measure_posterior(path, folder, times=times, pairs_per_class=64, pairs_unconditional=0, seed=0, bootstrap=100)
        found.append(json.loads((folder / "transition.json").read_text()))
    coarse, fine = found
    assert fine["split"] > 1.5 * fine["split_predicted"]
    low, high = fine["split_interval"]
    assert abs(coarse["split"] - fine["split"]) < (high - low) / 10


def test_the_n_sweep_has_no_interval_from_one_subset(digits, tmp_path):
    one = measure_nsweep(digits["once"], tmp_path / "n.csv", sizes=[20], pairs=8, repeats=1, seed=0)
    assert one[["lo", "hi"]].isna().all(axis=None)
    assert one.measured.between(0.05, 0.9).all()
