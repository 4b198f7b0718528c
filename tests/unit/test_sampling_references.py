"""Whom a model follows: errors whose values are known, on every kind of path, whatever the batches."""

import h5py
import numpy as np
import pytest
import torch
from test_sampling_run import write

from twostage.data.latents import LatentStore
from twostage.flow import interpolate, sample_noise, time_grid
from twostage.model.checkpoints import load_model, save_model
from twostage.model.lightningdit import LightningDiT
from twostage.oracle import ClassOracle
from twostage.oracle.gaussian import ClassGaussian
from twostage.sampling.references import chosen_starts, measure_references
from twostage.sampling.solver import solve_heun
from twostage.sampling.velocity import ModelVelocity

SETTINGS = {"samples": 6, "seeds": [3], "times": 4, "steps": 10, "solver": "euler"}
TIMES = (0.0, 0.3, 0.6, 0.9)


def saved(folder, name, *, fresh=False, seed=0):
    torch.manual_seed(seed)
    model = LightningDiT(4, 2, 1, 16, 1, 2, 3)
    for parameter in model.parameters():
        if parameter.requires_grad and not parameter.any() and not fresh:  # zero at first: so would the field be
            torch.nn.init.normal_(parameter, std=0.3)
    save_model(folder / name, model.eval(), step=5, ema=0.9)
    return folder / name


def measured(folder, checkpoints, **changes):
    output = folder / "references.h5"
    settings = {"held_out_path": folder / "held_out.h5", **SETTINGS, **changes}
    measure_references(folder / "latents.h5", checkpoints, output, **settings)
    with h5py.File(output) as file:
        return {name: file[name].asstr()[()] if name == "model" else file[name][()] for name in file}


def mean_square(x):
    return x.flatten(-3).square().mean(-1).numpy()


def test_one_image_per_class_and_a_velocity_of_zero(tmp_path):
    write(tmp_path / "latents.h5", 0, per_class=1)
    write(tmp_path / "held_out.h5", 1, per_class=1, statistics=tmp_path / "latents.h5", split="held_out")
    found = measured(tmp_path, {("B", 5): saved(tmp_path, "zero.safetensors", fresh=True)})
    np.testing.assert_allclose(found["t"], TIMES)
    assert found["label"].tolist() == [0, 0, 1, 1, 2, 2]
    train, held_out = (LatentStore.open(tmp_path / f"{name}.h5") for name in ("latents", "held_out"))
    noise = sample_noise(3, [0, 3, 1, 4, 2, 5], train.shape[1:])  # labels go round, then they are sorted
    x_1, unseen = (store.read(np.repeat(np.arange(3), 2)) for store in (train, held_out))
    for place, t in enumerate(TIMES):
        towards = lambda x, t=t: mean_square((x_1 - x) / (1 - t))  # noqa: E731
        for name in ("oracle", "gaussian"):  # one image is all there is of either
            at = {"train": interpolate(noise, x_1, t), "held_out": interpolate(noise, unseen, t), "own": noise}
            for kind, x in at.items():
                np.testing.assert_allclose(found[f"{kind}_{name}"][0, place], towards(x), rtol=1e-4, err_msg=kind)
        np.testing.assert_allclose(found["held_out_conditional"][0, place], mean_square(unseen - noise), rtol=1e-5)
        assert not found["own_conditional"].any()  # it ends where it starts
    assert max(found[f"{kind}_apart"].max() for kind in ("train", "held_out", "own")) < 1e-6


def test_own_trajectories_are_the_solvers_and_batches_change_nothing(tmp_path):
    write(tmp_path / "latents.h5", 0)
    write(tmp_path / "held_out.h5", 1, per_class=4, statistics=tmp_path / "latents.h5", split="held_out")
    paths = {(name, 5): saved(tmp_path, name, seed=seed) for seed, name in enumerate("BX")}
    changes = {"solver": "heun", "samples": 7}
    found, parts = (measured(tmp_path, paths, **changes, **size) for size in ({}, {"batch_size": 3}))
    assert found["model"].tolist() == ["B", "X"]
    for name in found:
        if name != "model":
            np.testing.assert_allclose(found[name], parts[name], rtol=1e-3, atol=1e-5, err_msg=name)
    store = LatentStore.open(tmp_path / "latents.h5")
    order = np.argsort(np.arange(7) % 3, kind="stable")
    noise, y = sample_noise(3, order.tolist(), store.shape[1:]), torch.from_numpy(order % 3)
    references = {"oracle": ClassOracle(store), "gaussian": ClassGaussian(store)}
    seen = []
    field = ModelVelocity(load_model(paths["X", 5], "cpu"))
    with torch.inference_mode():
        end = solve_heun(field, noise, time_grid(10, 0, 1), y, lambda t, _, x, v: seen.append((t, x, v)))
        for place, start in enumerate(chosen_starts(10, 4)):
            t, x, velocity = seen[start]
            assert t == pytest.approx(found["t"][place])
            targets = {name: reference.velocity(x, t, y) for name, reference in references.items()}
            for name, target in targets.items():
                error = mean_square(velocity - target)
                np.testing.assert_allclose(found[f"own_{name}"][1, place], error, rtol=1e-3)
            apart = mean_square(targets["oracle"] - targets["gaussian"])
            np.testing.assert_allclose(found["own_apart"][1, place], apart, rtol=1e-3, atol=1e-6)
            np.testing.assert_allclose(
                found["own_conditional"][1, place], mean_square(velocity - (end - noise)), rtol=1e-3
            )


def test_without_held_out_latents_there_are_two_kinds_of_paths(tmp_path):
    write(tmp_path / "latents.h5", 0)
    found = measured(tmp_path, {("B", 5): saved(tmp_path, "b.safetensors")}, held_out_path=None, times=2)
    assert {name.rsplit("_", 1)[0] for name in found if name.endswith("_oracle")} == {"train", "own"}
    assert found["train_oracle"].shape == (1, 2, 6)


def test_another_model_than_expected_is_refused(tmp_path):
    write(tmp_path / "latents.h5", 0)
    with pytest.raises(ValueError, match=r"b.safetensors: .*step 5.*expected.* 7"):
        measured(tmp_path, {("B", 7): saved(tmp_path, "b.safetensors")}, held_out_path=None)


def test_step_starts_are_chosen_evenly():
    assert chosen_starts(10, 4).tolist() == [0, 3, 6, 9]
    assert chosen_starts(4, 20).tolist() == [0, 1, 2, 3]
    assert chosen_starts(50, 2).tolist() == [0, 49]
