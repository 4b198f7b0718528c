"""Targets of several steps at once: those of each step alone, in whole blocks, the same bits when resumed."""

from itertools import islice

import pytest
import torch
from training_examples import RECIPE, SIZES, write_latents

from twostage.data.latents import LatentStore
from twostage.flow import interpolate, velocity_target
from twostage.training.ahead import AHEAD
from twostage.training.loop import Run
from twostage.training.processes import Processes
from twostage.training.recipe import Recipe


@pytest.fixture
def run(tmp_path):
    store = LatentStore.open(write_latents(tmp_path / "latents.h5", flips=True))
    recipe = Recipe.parse({**RECIPE, "target": "oracle", "class_drop": 0.3, "steps": 100}).resolved("cpu")
    return Run(store, SIZES, recipe, 0, Processes("cpu"))


def test_the_targets_are_those_of_each_step_alone(run):
    plain = run.oracle.__call__
    calls = []
    run.oracle = lambda u, *rest: calls.append(len(u)) or plain(u, *rest)
    run.oracle.num_classes = 3
    for step, batch in enumerate(run.stream(0, AHEAD + 1)):
        x_1, labels, places, rows = run.batches.load(step)
        draw = run.draws.at(step).part(places)
        assert torch.equal(batch.x_1, x_1)
        assert torch.equal(batch.draw.x_0, draw.x_0)
        assert torch.equal(batch.draw.t, draw.t)
        x_t, u = interpolate(draw.x_0, x_1, draw.t), velocity_target(draw.x_0, x_1)
        alone = plain(u, x_t, draw.t, draw.drop(labels, 3), rows)
        torch.testing.assert_close(batch.target, alone, rtol=1e-6, atol=1e-6)
        assert not torch.equal(batch.target, u)
    assert calls == [AHEAD * RECIPE["batch_size"]] * 2


def test_a_resumed_or_longer_training_has_the_same_bits(run):
    whole = [batch.target for batch in run.stream(0, 3 * AHEAD)]
    for start, stop in ((AHEAD + 3, 2 * AHEAD + 1), (0, 2), (2 * AHEAD, 2 * AHEAD + 1)):
        part = [batch.target for batch in run.stream(start, stop)]
        assert len(part) == stop - start
        assert all(map(torch.equal, part, whole[start:stop]))


def test_without_an_oracle_there_is_no_target_and_nothing_is_read_ahead(run):
    run.oracle, loaded, load = None, [], run.batches.load
    run.batches.load = lambda step: loaded.append(step) or load(step)
    assert [batch.target for batch in islice(run.stream(5, 50), 3)] == [None] * 3
    assert loaded == [5, 6, 7]
