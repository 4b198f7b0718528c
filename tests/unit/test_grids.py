"""Every number that a figure, a claim or the side by side reads off a curve over t: the smallest grids that a
configuration may ask for against fine ones, from the measurements to the report, each within its interval."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits

from twostage.data.latents import write_store
from twostage.model.checkpoints import save_model
from twostage.model.lightningdit import LightningDiT
from twostage.oracle.panels import measure_synthetic
from twostage.oracle.study import measure_posterior
from twostage.report.claims import verdicts
from twostage.report.claims.claim import NOT_TESTED
from twostage.report.figures import side_by_side
from twostage.report.results import paper
from twostage.report.results.run import Results
from twostage.split import write_split
from twostage.training.oracle_loss import READ_OFF, measure_oracle_loss

COARSE, FINE = 10, 160  # intervals; the least that the configuration accepts
TRAINED = 40  # steps: enough for losses that fall


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Three classes of digits as latents, and two small models that have learnt a little."""
    folder, digits = tmp_path_factory.mktemp("grids"), load_digits()
    order = np.concatenate([np.flatnonzero(digits.target == label)[:80] for label in range(3)])
    latents = torch.from_numpy(digits.images[order][:, None] / 8 - 1).float()
    with write_store(folder / "latents.h5", len(order), (1, 8, 8)) as writer:
        writer.write(0, latents)
        writer.finish(digits.target[order], np.arange(len(order)), 3, {"split": "train"})
    checkpoints = {}
    for name, width in (("S", 8), ("B", 16)):
        torch.manual_seed(0)
        model = LightningDiT(8, 4, 1, width, 1, 2, 3)
        optimiser = torch.optim.Adam(model.parameters(), 1e-2)
        data, y = latents.sub(latents.mean()).div(latents.std()), torch.from_numpy(digits.target[order])
        for _ in range(TRAINED):
            noise, t = torch.randn_like(data), torch.rand(len(data))
            x_t = t[:, None, None, None] * data + (1 - t)[:, None, None, None] * noise
            loss = (model(x_t, t, y) - (data - noise)).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        checkpoints[name, TRAINED] = folder / f"{name}.safetensors"
        save_model(checkpoints[name, TRAINED], model.eval(), step=TRAINED)
    return folder, checkpoints


def measured(world, steps):
    """``Results`` of the oracle's, the synthetic and the training stage, all grids of ``steps`` intervals."""
    folder, checkpoints = world
    times, made = np.linspace(0, 1, steps + 1), folder / str(steps) / "x"
    measure_posterior(
        folder / "latents.h5", made, times=times, pairs_per_class=48, pairs_unconditional=48, seed=0, bootstrap=200
    )
    write_split(made / "transition.json", made / "split.json")
    measure_synthetic(
        made, times=times, trials=40, seed=0, dimension_panel={"size": 300, "dims": [32, 128, 512]},
        size_panel={"dim": 64, "sizes": [10, 100, 1000]}, law_grid=[(16, 50)], bootstrap=50,
    )  # fmt: skip
    losses, pairs = made / "oracle_loss.csv", made / "oracle_loss.h5"
    measure_oracle_loss(
        folder / "latents.h5", checkpoints, losses, pairs, transition_path=made / "transition.json", time_steps=steps,
        pairs=48, seed=0,
    )  # fmt: skip
    one = {name: {"x": made / f"{name}.json"} for name in ("transition", "split")}
    one["information"] = {"x": made / "information.csv"}
    return Results(
        posterior={"x": made / "posterior.csv"}, oracle_loss={"x": losses}, pair_errors={"x": pairs}, models=["S", "B"],
        top1=made / "top1.csv", synthetic_transition=made / "transition.csv", **one,
    )  # fmt: skip


@pytest.fixture(scope="module")
def runs(world):
    return measured(world, COARSE), measured(world, FINE)


def test_claims_find_the_same_numbers_and_verdicts(runs):
    coarse, fine = (verdicts.evaluate(run) for run in runs)
    compared = 0
    for (claim, ours), (_, theirs) in zip(coarse, fine):
        for one, other in zip(ours, theirs, strict=True):
            assert one.case == other.case
            if other.verdict == NOT_TESTED or other.estimate is None:
                continue
            compared += 1
            value, low, high = other.estimate
            if math.isfinite(low) and math.isfinite(high):
                half = max(value - low, high - value)
                assert abs(one.estimate.value - value) <= half + 2e-3 * abs(value) + 1e-9, (claim.id, one, other)
            else:
                assert one.estimate.value == pytest.approx(value, rel=0.05, abs=1e-6), (claim.id, one, other)
            assert one.verdict == other.verdict, (claim.id, one, other)
    assert compared >= 25


def test_side_by_side_reads_the_same_numbers(runs):
    tables = [side_by_side.drawn(run).set_index(["item", "at", "source", "case"]) for run in runs]
    keys = [[(item, at, source, case.split(", t =")[0]) for item, at, source, case in table.index] for table in tables]
    assert keys[0] == keys[1]
    ours = np.array([source == side_by_side.OURS for _, _, source, _ in keys[0]])
    coarse, fine = (table[ours] for table in tables)
    half = (fine["high"] - fine["low"]).to_numpy() / 2
    off = coarse["value"].to_numpy() - fine["value"].to_numpy()
    assert (np.abs(off) <= half + 2e-3 * np.abs(fine["value"]) + 1e-12).all(), fine[np.abs(off) > half]
    # Where the paper was read off, nothing is interpolated.
    exact = np.array(
        [item in ("Fig. 3", "Fig. 2a, t → 1") or case.endswith("same t") for item, _, _, case in fine.index]
    )
    np.testing.assert_allclose(coarse["value"][exact], fine["value"][exact], rtol=1e-9)


def test_every_time_at_which_the_paper_was_read_off_is_measured(runs):
    coarse, _ = runs
    posterior, losses, top1 = map(
        pd.read_csv, (coarse.path("posterior")["x"], coarse.path("oracle_loss")["x"], coarse.path("top1"))
    )
    for points in (*paper.FIG2A.values(), *paper.FIG2B.values(), paper.FIG2A_TAIL):
        for _, rows in posterior.groupby("conditioning"):
            assert {t for t, _ in points} <= set(rows["t"].round(9))
    for points in (paper.FIG7A_ORACLE, paper.FIG7A_CFM):
        assert {t for t, _ in points} <= set(losses["t"].round(9))
    assert set(READ_OFF) <= set(losses["t"].round(9))
    for points in (*paper.FIG3_DIMENSION.values(), *paper.FIG3_SIZE.values()):
        for _, rows in top1.groupby(["dim", "size", "precision"]):
            assert {t for t, _ in points} <= set(rows["t"].round(9))
