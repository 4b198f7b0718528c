"""Models against the oracle: a model that predicts zero, whose errors are known, balance, refusals."""

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from training_examples import SIZES, write_latents

from twostage.data.latents import LatentStore
from twostage.flow import interpolate, sample_noise
from twostage.model.checkpoints import save_model
from twostage.model.lightningdit import LightningDiT
from twostage.oracle import ClassOracle
from twostage.provenance import write_json
from twostage.training.oracle_loss import balanced_rows, measure_oracle_loss


@pytest.fixture
def latents(tmp_path):
    return write_latents(tmp_path / "latents.h5", flips=True)


def measure(latents, tmp_path, sizes=SIZES, **changes):
    path = tmp_path / "zero.safetensors"
    save_model(path, LightningDiT(**sizes))  # fresh: its velocity is zero
    write_json(tmp_path / "transition.json", {"split": 0.5, "split_interval": [0.4, 0.6]})
    settings = {"transition_path": tmp_path / "transition.json", "time_steps": 10, "pairs": 12, "seed": 3, **changes}
    measure_oracle_loss(
        latents, {("S", 5): path, ("B", 9): path}, tmp_path / "loss.csv", tmp_path / "loss.h5", **settings
    )
    return pd.read_csv(tmp_path / "loss.csv")


def test_errors_of_a_zero_velocity_are_the_targets_squares(latents, tmp_path):
    table = measure(latents, tmp_path)
    assert table[["model", "step"]].drop_duplicates().to_numpy().tolist() == [["S", 5], ["B", 9]]
    store = LatentStore.open(latents)
    rows = balanced_rows(store, 12, 3)
    x_1, x_0 = store.read(rows), sample_noise(3, np.arange(12), store.shape[1:])
    labels = torch.from_numpy(store.labels[rows])
    oracle = ClassOracle(store)
    one = table[table.model == "S"].reset_index(drop=True)
    assert {*np.linspace(0, 1, 11).round(9), 0.02, 0.04, 0.06, 0.08} <= set(one.t.round(9))
    s = (one.t / (1 - one.t))[one.t < 0.74]
    assert s.diff().max() <= 0.125 + 1e-9  # about the transition at 1/2
    cfm = (x_1 - x_0).square().flatten(1).mean(1).double()
    np.testing.assert_allclose(one.cfm, cfm.mean(), rtol=1e-5)
    np.testing.assert_allclose(one.cfm_sem, cfm.std() / 12**0.5, rtol=1e-5)
    for row in one.itertuples():
        if row.t < 1:
            target = oracle.velocity(interpolate(x_0, x_1, row.t), row.t, labels).double()
        else:
            target = (x_1 - x_0).double()  # the limit along the pair's own path
        np.testing.assert_allclose(row.oracle, target.square().mean(), rtol=1e-5)
        np.testing.assert_allclose(row.oracle_variance, target.var(0).mean(), rtol=1e-5)
        np.testing.assert_allclose(row.explained, 1 - row.oracle / row.oracle_variance, rtol=1e-6)
    assert one.oracle[0] < one.cfm[0]  # the oracle varies less than the conditional target
    with h5py.File(tmp_path / "loss.h5") as file:
        assert [*zip(file["model"].asstr(), file["step"])] == [("S", 5), ("B", 9)]
        assert np.array_equal(file["label"], labels)
        np.testing.assert_allclose(file["t"], one.t)
        for name, errors in (("cfm", cfm.expand(len(one), 12)), ("oracle", None)):
            np.testing.assert_allclose(file[name][0].mean(1), one[name], rtol=1e-5)
            assert errors is None or np.allclose(file[name][0], errors, rtol=1e-5)
        assert not file["square"][:].any()  # of a zero velocity
        np.testing.assert_allclose(file["oracle_square"], file["oracle"][0], rtol=1e-5)
        np.testing.assert_allclose(file["conditional_square"], cfm, rtol=1e-5)
        at_prior = oracle.velocity(x_0, 0.0, labels)
        np.testing.assert_allclose(file["gap"][0], (x_1 - x_0 - at_prior).square().flatten(1).mean(1), rtol=1e-4)
        assert not file["gap"][-1].any()  # at t = 1 the two targets are one


def test_pairs_are_balanced_and_depend_on_the_seed_alone(latents):
    store = LatentStore.open(latents)  # 9, 7 and 5 samples per class
    rows = balanced_rows(store, 13, 0)
    counts = np.bincount(store.labels[rows])
    assert sorted(counts) == [4, 4, 5]
    assert len(set(rows)) == 13
    assert np.array_equal(rows, balanced_rows(store, 13, 0))
    assert not np.array_equal(rows, balanced_rows(store, 13, 1))
    assert np.bincount(store.labels[balanced_rows(store, 60, 0)]).tolist() == [20, 20, 20]


def test_models_of_other_latents_are_refused(latents, tmp_path):
    with pytest.raises(ValueError, match=r"zero.safetensors: made for latents of in_channels 3; expected 2"):
        measure(latents, tmp_path, {**SIZES, "in_channels": 3})
