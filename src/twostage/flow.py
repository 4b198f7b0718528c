"""The rectified-flow path: interpolation, targets, time grids and reproducible noise.

Conventions, the same everywhere: t = 0 is the Gaussian prior, t = 1 the data, ``x_t = t x_1 + (1 - t) x_0``.
A time grid of n steps has n + 1 edges and costs n function evaluations.
Other Gaussian paths are ``Path``; they stand here too, as ``twostage.flow.Path``, ``RECTIFIED``, ``edm`` and so on.
"""

from collections.abc import Sequence
from numbers import Integral
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int, Shaped
from torch import Tensor

from twostage.arguments import Array, as_tensor
from twostage.paths import RECTIFIED as RECTIFIED
from twostage.paths import Path as Path
from twostage.paths import cosine as cosine
from twostage.paths import edm as edm
from twostage.paths import named as named
from twostage.paths import ve as ve
from twostage.paths import vp as vp

Time: TypeAlias = float | Float[Array, ""] | Float[Array, " #batch"]  # one for all samples, or one per sample
Times = TypeVar("Times", float, Tensor, np.ndarray)


def expand_time(t: Time | Shaped[Array, " #batch"], x: Shaped[Array, " batch *shape"]) -> Shaped[Tensor, "..."]:
    """``t`` (a float or (B,)) as a tensor that broadcasts over ``x`` (B, ...), in x's dtype and on its device."""
    x = as_tensor("x", x)
    if isinstance(t, int | float):
        return torch.full((), t, dtype=x.dtype, device=x.device)  # made on the device: a copy would wait for the GPU
    t = as_tensor("t", t).to(x.device, x.dtype)
    if t.ndim > 1 or (t.ndim == 1 and t.shape[0] not in (1, x.shape[0])):
        raise ValueError(f"t has shape {tuple(t.shape)}; expected a float or ({x.shape[0]},), one time per sample")
    return t.reshape(-1, *[1] * (x.ndim - 1)) if t.ndim else t


def interpolate(
    x_0: Float[Array, " batch *shape"], x_1: Float[Array, " batch *shape"], t: Time
) -> Float[Tensor, " batch *shape"]:
    """Point on the path, ``t x_1 + (1 - t) x_0`` (Sec. 2 of the paper).

    x_0, x_1: (B, ...), prior noise and data; t: a float or (B,) in [0, 1]. Returns a tensor like x_1.
    Here and below, NumPy arrays are accepted like tensors.

    >>> interpolate(torch.zeros(2, 3), torch.ones(2, 3), torch.tensor([0.25, 1.0]))
    tensor([[0.2500, 0.2500, 0.2500],
            [1.0000, 1.0000, 1.0000]])
    """
    x_0, x_1 = as_tensor("x_0", x_0), as_tensor("x_1", x_1)
    t = expand_time(t, x_1)
    return t * x_1 + (1 - t) * x_0


def velocity_target(
    x_0: Float[Array, " batch *shape"], x_1: Float[Array, " batch *shape"]
) -> Float[Tensor, " batch *shape"]:
    """The conditional flow-matching target ``u = x_1 - x_0``, shape and dtype of the inputs."""
    return as_tensor("x_1", x_1) - as_tensor("x_0", x_0)


def predict_data(
    x_t: Float[Array, " batch *shape"], velocity: Float[Array, " batch *shape"], t: Time
) -> Float[Tensor, " batch *shape"]:
    """The result of a single Euler step from t to 1, ``x_t + (1 - t) v`` (Figs. 4 and 8)."""
    x_t = as_tensor("x_t", x_t)
    return x_t + (1 - expand_time(t, x_t)) * as_tensor("velocity", velocity)


def shift_time(t: Times, shift: float) -> Times:
    """The timestep shift ``t' = s t / (1 + (s - 1) t)`` (Tab. 2, App. D), elementwise; s > 0.

    With s < 1 more steps are near the prior, with s > 1 more are near the data; s = 1 changes nothing.
    """
    if not shift > 0:
        raise ValueError(f"shift is {shift}; expected a number above 0")
    return shift * t / (1 + (shift - 1) * t)


def time_grid(steps: int, start: float = 0.0, stop: float = 1.0, shift: float = 1.0) -> Float64[Tensor, " {steps}+1"]:
    """Edges of ``steps`` Euler steps from start to stop: float64 tensor (steps + 1,), strictly increasing.

    The shift acts on the uniform grid over [0, 1] before it is scaled to [start, stop], so that the ends stay exact.
    Raises ValueError if steps is not a whole number, and for ends and shifts out of range.

    >>> time_grid(4, shift=0.5).tolist()
    [0.0, 0.14285714285714285, 0.3333333333333333, 0.6, 1.0]
    """
    if isinstance(steps, bool) or not isinstance(steps, Integral) or steps < 1:
        raise ValueError(f"steps is {steps!r}; expected a whole number, at least 1")
    if not 0.0 <= start < stop <= 1.0:
        raise ValueError(f"the grid runs from {start} to {stop}; expected 0 <= start < stop <= 1")
    edges = start + (stop - start) * shift_time(torch.linspace(0, 1, steps + 1, dtype=torch.float64), shift)
    edges[0], edges[-1] = start, stop
    return edges


def sample_noise(
    seed: int, indices: Sequence[int] | Int[np.ndarray, " n"], shape: Sequence[int]
) -> Float32[Tensor, " n *shape"]:
    """Standard normal noise that depends only on (seed, index): float32 tensor (len(indices), *shape) on the CPU.

    A sample gets the same noise in every batch, in every shard and on every device (a counter-based Philox stream per
    sample, keyed by seed and index).
    """
    noise = np.empty((len(indices), *shape), dtype=np.float32)
    for row, index in enumerate(indices):
        stream = np.random.Generator(np.random.Philox(key=np.array([seed, index], dtype=np.uint64)))
        noise[row] = stream.standard_normal(shape, dtype=np.float32)
    return torch.from_numpy(noise)
