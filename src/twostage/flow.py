"""The rectified-flow path: interpolation, targets, time grids and reproducible noise.

Conventions, the same everywhere: t = 0 is the Gaussian prior, t = 1 the data, ``x_t = t x_1 + (1 - t) x_0``.
A time grid of n steps has n + 1 edges and costs n function evaluations.
"""

from numbers import Integral

import numpy as np
import torch

from twostage.arguments import as_tensor


def expand_time(t, x):
    """``t`` (a float or (B,)) as a tensor that broadcasts over ``x`` (B, ...), in x's dtype and on its device."""
    x = as_tensor("x", x)
    if isinstance(t, int | float):
        return torch.full((), t, dtype=x.dtype, device=x.device)  # made there: a copy would wait for the GPU
    t = as_tensor("t", t).to(x.device, x.dtype)
    if t.ndim > 1 or (t.ndim == 1 and t.shape[0] not in (1, x.shape[0])):
        raise ValueError(f"t has shape {tuple(t.shape)}; expected a float or ({x.shape[0]},), one time a sample")
    return t.reshape(-1, *[1] * (x.ndim - 1)) if t.ndim else t


def interpolate(x_0, x_1, t):
    """Point on the path, ``t x_1 + (1 - t) x_0`` (Sec. 2 of the paper).

    x_0, x_1: (B, ...), prior noise and data; t: a float or (B,) in [0, 1]. Returns a tensor like x_1.
    Arrays are taken as tensors are, here and below.
    """
    x_0, x_1 = as_tensor("x_0", x_0), as_tensor("x_1", x_1)
    t = expand_time(t, x_1)
    return t * x_1 + (1 - t) * x_0


def velocity_target(x_0, x_1):
    """The conditional flow-matching target ``u = x_1 - x_0``, shape and dtype of the inputs."""
    return as_tensor("x_1", x_1) - as_tensor("x_0", x_0)


def predict_data(x_t, velocity, t):
    """The data a single Euler step from t to 1 arrives at, ``x_t + (1 - t) v`` (Figs. 4 and 8)."""
    x_t = as_tensor("x_t", x_t)
    return x_t + (1 - expand_time(t, x_t)) * as_tensor("velocity", velocity)


def shift_time(t, shift):
    """The timestep shift ``t' = s t / (1 + (s - 1) t)`` (Tab. 2, App. D), elementwise; s > 0.

    s < 1 spends more steps near the prior, s > 1 more near the data, s = 1 changes nothing.
    """
    if not shift > 0:
        raise ValueError(f"shift is {shift}; expected a number above 0")
    return shift * t / (1 + (shift - 1) * t)


def time_grid(steps, start=0.0, stop=1.0, shift=1.0):
    """Edges of ``steps`` Euler steps from start to stop: float64 tensor (steps + 1,), strictly increasing.

    The shift acts on the uniform grid over [0, 1] before it is scaled to [start, stop], so that the ends stay exact.
    Raises ValueError for steps that are no whole number, and for ends and shifts out of range.
    """
    if isinstance(steps, bool) or not isinstance(steps, Integral) or steps < 1:
        raise ValueError(f"steps is {steps!r}; expected a whole number, at least 1")
    if not 0.0 <= start < stop <= 1.0:
        raise ValueError(f"the grid runs from {start} to {stop}; expected 0 <= start < stop <= 1")
    edges = start + (stop - start) * shift_time(torch.linspace(0, 1, steps + 1, dtype=torch.float64), shift)
    edges[0], edges[-1] = start, stop
    return edges


def sample_noise(seed, indices, shape):
    """Standard normal noise that depends on (seed, index) alone: float32 tensor (len(indices), *shape) on the CPU.

    The same sample gets the same noise whatever the batch, shard or device that asks for it (a counter-based
    Philox stream per sample, keyed by seed and index).
    """
    noise = np.empty((len(indices), *shape), dtype=np.float32)
    for row, index in enumerate(indices):
        stream = np.random.Generator(np.random.Philox(key=np.array([seed, index], dtype=np.uint64)))
        noise[row] = stream.standard_normal(shape, dtype=np.float32)
    return torch.from_numpy(noise)
