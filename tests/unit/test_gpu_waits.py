"""Where the host waits for the GPU: nowhere in a step of training or of guided sampling, once in an oracle's velocity,
three times in the targets of a block of steps on the oracle velocity.

Waits are allowed by file and function, so that lines may move; a failure prints the lines.
"""

from itertools import islice

import pytest
import torch
from training_examples import ARCHITECTURE, RECIPE, SIZES, write_latents

from twostage.data.latents import LatentStore
from twostage.estimate.oracle_target import OF_CLASS, OPERATIONS
from twostage.flow import time_grid
from twostage.model.lightningdit import LightningDiT
from twostage.oracle import Oracle
from twostage.sampling.solver import SOLVERS
from twostage.sampling.velocity import Guided, ModelVelocity, OracleVelocity, Staged
from twostage.testing.pretended_gpu import pretended_gpu
from twostage.training.ahead import AHEAD
from twostage.training.loop import Run, train
from twostage.training.oracle_target import OracleTarget
from twostage.training.processes import Processes
from twostage.training.recipe import Recipe

STEPS = 5


def assert_waits(record, allowed, calls=1):
    """That the host waited in the allowed functions alone, {(file, function): times in each of ``calls``}."""
    found = {}
    for event, count in record.syncs.items():
        found.setdefault((event.file, event.function), []).append((count, event))
    for place, events in found.items():
        count = sum(count for count, _ in events)
        said = "\n".join(f"  {count} x {event}" for count, event in events)
        most = allowed.get(place, 0) * calls
        assert count <= most, f"waits for the GPU, {count} in {calls} calls; allowed are {most}:\n{said}"


@pytest.fixture
def model():
    torch.manual_seed(0)
    return LightningDiT(4, 2, 2, 16, 1, 2, 3).eval()


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_guided_sampling_step_waits_nowhere(model, solver, precision):
    with pretended_gpu() as record, torch.inference_mode():
        field = Guided(ModelVelocity(model.to("cuda"), precision), 2.0, interval=(0.2, 0.8), channels=1)
        field = Staged([(0.6, field), (1, ModelVelocity(field.field.model))])
        x, y = torch.zeros(3, 2, 4, 4, device="cuda"), torch.arange(3).to("cuda")
        record.clear()
        SOLVERS[solver](field, x, time_grid(STEPS), y)
        assert record.operations > 0
        assert_waits(record, {})


@pytest.mark.parametrize("time", [0.0, 0.3, 0.95, 1 - 1e-6])
def test_a_velocity_of_the_oracle_waits_once(time):
    data, x = torch.randn(40, 2, 4, 4), torch.randn(6, 2, 4, 4)
    with pretended_gpu() as record:
        field, x, t = OracleVelocity(Oracle(data.to("cuda"))), x.to("cuda"), torch.full((6,), time, device="cuda")
        field(x, 0.5, None)
        for each in (time, t):
            record.clear()
            field(x, each, None)
            assert sum(record.syncs.values()) <= 1, f"more than one wait for the GPU in a call:\n{record}"


def test_a_training_step_waits_nowhere(tmp_path):
    store = LatentStore.open(write_latents(tmp_path / "latents.h5", flips=True), split="train")
    recipe = Recipe.parse({**RECIPE, "precision": "bf16", "compile": False, "max_grad_norm": 1.0, "accumulate": 2})
    with pretended_gpu(backward=True) as record:
        run = Run(store, SIZES, recipe, 0, Processes("cuda"))
        run.prepare()
        record.clear()
        for batch in run.stream(0, STEPS):
            run.step(*batch)
        assert record.bytes_in > 0
        assert_waits(record, {})


def test_steps_on_the_oracle_velocity_wait_three_times_in_a_block(tmp_path):
    """To know who is asked, and once in each of its two answers: to points with a class and to those without."""
    store = LatentStore.open(write_latents(tmp_path / "latents.h5", flips=True), split="train")
    recipe = {**RECIPE, "target": "oracle", "class_drop": 0.3, "batch_size": 16, "precision": "bf16", "compile": False}
    blocks = 3
    with pretended_gpu(backward=True) as record:
        run = Run(store, SIZES, Recipe.parse({**recipe, "steps": 100}), 0, Processes("cuda"))
        run.prepare()
        batches = run.stream(0, (blocks + 1) * AHEAD)
        *_, batch = islice(batches, AHEAD)  # the first block asks for the longest sample, once
        run.step(*batch)
        record.clear()
        run.step(*next(batches))
        assert len([*batches]) == blocks * AHEAD - 1
        allowed = {("training/oracle_target.py", "__call__"): 1, ("oracle/posterior.py", "read"): 2}
        assert_waits(record, allowed, calls=blocks)
        assert sum(record.syncs.values()) == 3 * blocks  # the points did need an oracle of either kind


@pytest.mark.parametrize("classes", [2, 20])
def test_a_target_takes_no_more_operations_than_the_estimate_reckons_with(tmp_path, classes):
    """Of those counted for each class, all but two look at tensors, and are reckoned as a quarter of one."""
    store = LatentStore.open(write_latents(tmp_path / "latents.h5", counts=(9,) * classes), split="train")
    x, y, rows = torch.randn(60, 2, 4, 4), torch.arange(60) % (classes + 1), torch.arange(60) % len(store)
    with pretended_gpu() as record:
        target = OracleTarget(store, Processes("cuda"), class_drop=0.1)
        asked = x.to("cuda"), x.to("cuda"), torch.full((60,), 0.05, device="cuda"), y.to("cuda"), rows.to("cuda")
        target(*asked)
        record.clear()
        target(*asked)
    assert 0.5 < record.operations / (OPERATIONS + (2 + 4 * (OF_CLASS - 2)) * classes) <= 1, record


def test_a_training_waits_only_for_numbers_of_the_line_before_and_to_save(tmp_path, monkeypatch):
    latents = write_latents(tmp_path / "latents.h5", flips=True)
    recipe = {**RECIPE, "precision": "float32", "compile": False, "steps": 24, "snapshots": [], "log_every": 3}
    steps, ages = [], []  # steps begun; of each wait, how many since its numbers were sent

    with pretended_gpu(backward=True) as record, monkeypatch.context() as patched:

        class Mark(torch.cuda.Event):
            def record(self):
                self.steps = len(steps)

            def synchronize(self):
                ages.append(len(steps) - self.steps)

        step = Run.step
        patched.setattr(torch.cuda, "Event", Mark)
        patched.setattr(Run, "step", lambda run, *batch: steps.append(batch) or step(run, *batch))
        train(latents, ARCHITECTURE, {**recipe, "checkpoint_every": 100}, tmp_path / "out", device="cuda")
        made_and_saved = {("training/loop.py", "__init__"): 100}  # the model's way there
        for event in record.syncs:
            if event.file == "model/checkpoints.py":  # the snapshot at the end
                made_and_saved[event.file, event.function] = 100
        assert_waits(record, made_and_saved)
    assert ages == [3] * 7 + [0]
