"""The batches of a training with their draws, and with the oracle's targets of several steps at once.

An oracle velocity does not depend on the model, and the points of a step are a function of (seed, step). So the targets
of ``AHEAD`` steps are computed together. This is exact, and cheaper for three reasons. For points whose class is
dropped, all latents are read, now once for all these steps. Points of the same class share its products. The fixed cost
of a call (many small operations, exchanges between processes, waits for the GPU) occurs once.
"""

from typing import NamedTuple

import torch

from twostage.flow import interpolate, velocity_target
from twostage.training.objective import Draw

# With 16 steps of 512 samples, about 160 points whose class is dropped go through all latents together. From 40 float32
# points on, an H100 needs longer for the products than for reading the latents (67 TFLOP/s, 3.35 TB/s); fewer points
# would wait for its memory. More than 16 steps would save little more of a call's fixed cost, and take more memory.
AHEAD = 16


class Batch(NamedTuple):
    """One step's latents and labels on the device, the draw for them, and the target (None: x_1 - x_0)."""

    x_1: torch.Tensor
    labels: torch.Tensor
    draw: Draw
    target: torch.Tensor | None


def stream(batches, draws, oracle, start, stop, device):
    """Yield the ``Batch`` of each step from start to stop - 1.

    batches: ``Batches``; draws: ``Draws``; oracle: an ``OracleTarget``, or None. Blocks of AHEAD steps begin at
    multiples of AHEAD and are always computed as a whole, whatever start and stop: so a resumed training has the same
    bits.
    """
    size = 1 if oracle is None else AHEAD
    first, end = start - start % size, -(-stop // size) * size
    block = []
    for step, (x_1, labels, places, rows) in enumerate(batches.stream(first, end, device), start=first):
        block.append((x_1, labels, draws.at(step).part(places), rows))
        if len(block) == size:
            targets = [None] if oracle is None else _targets(block, draws, oracle)
            for number, (x_1, labels, draw, _) in enumerate(block, start=step + 1 - size):
                if start <= number < stop:
                    yield Batch(x_1, labels, draw, targets[number % size])
            block = []


def _targets(block, draws, oracle):
    """The oracle's target of each step of a block."""
    x_1, labels, drawn, rows = zip(*block)
    draw = Draw.joined(drawn)
    share, x_1, y = len(labels[0]), torch.cat(x_1), draw.drop(torch.cat(labels), oracle.num_classes)
    x_t, u = interpolate(draw.x_0, x_1, draw.t), velocity_target(draw.x_0, x_1)
    return oracle(u, x_t, draw.t, y, torch.cat(rows)).split(share)
