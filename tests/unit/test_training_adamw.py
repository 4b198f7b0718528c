"""AdamW by torch's function: the numbers of torch's class, without what the class imports."""

import json
import subprocess
import sys

import pytest
import torch
from training_examples import ARCHITECTURE, RECIPE, write_latents

from twostage.training.adamw import AdamW

SETTINGS = {"lr": 3e-2, "betas": (0.8, 0.95), "weight_decay": 0.1}
SHAPES = {"matrix": (5, 7), "vector": (11,), "number": ()}


def weights():
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator).requires_grad_() for name, shape in SHAPES.items()}


def move(optimizer, named, steps):
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        for weight in named.values():
            weight.grad = torch.randn(weight.shape, generator=generator)
        optimizer.step()


def assert_same(ours, theirs):
    for name in SHAPES:
        assert torch.equal(ours[name], theirs[name]), name


@pytest.mark.parametrize("changes", [{}, {"weight_decay": 0.0}, {"betas": (0.9, 0.999), "lr": 1e-4}])
def test_it_is_torchs_to_the_bit(changes):
    ours, theirs, settings = weights(), weights(), SETTINGS | changes
    move(AdamW(ours, **settings), ours, range(1, 30))
    move(torch.optim.AdamW(theirs.values(), fused=True, **settings), theirs, range(1, 30))
    assert_same(ours, theirs)
    assert not torch.equal(ours["matrix"], weights()["matrix"])


def test_restored_it_goes_on_as_if_it_had_not_stopped():
    whole, stopped = weights(), weights()
    move(AdamW(whole, **SETTINGS), whole, range(1, 9))
    first = AdamW(stopped, **SETTINGS)
    move(first, stopped, range(1, 5))
    second = AdamW(stopped, **SETTINGS)
    second.restore(4, first.exp_avg, first.exp_avg_sq)
    move(second, stopped, range(5, 9))
    assert_same(stopped, whole)


def test_gradients_are_dropped():
    named = weights()
    optimizer = AdamW(named, **SETTINGS)
    move(optimizer, named, [1])
    optimizer.drop_gradients()
    assert all(weight.grad is None for weight in named.values())


def test_a_training_and_what_loads_its_model_do_without_the_compiler(tmp_path):
    """To import it would be half of a short job's time."""
    latents = write_latents(tmp_path / "latents.h5")
    given = json.dumps([str(latents), ARCHITECTURE, {**RECIPE, "compile": False}, str(tmp_path / "out")])
    program = """
import json, sys
from twostage.model.checkpoints import load_model
from twostage.training.loop import train

train(*json.loads(sys.argv[1]))
load_model(sys.argv[2])
print("torch._dynamo" in sys.modules)
"""
    snapshot = tmp_path / "out/step-0000012.safetensors"
    done = subprocess.run([sys.executable, "-c", program, given, snapshot], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "False\n"
