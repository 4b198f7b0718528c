"""ODE solvers for ``dx/dt = v(x, t, y)`` on a given time grid (Euler is the paper's)."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int, Int64, Real
from torch import Tensor

from twostage.arguments import Array, as_floating, as_tensor
from twostage.finite import finite
from twostage.sampling.velocity import Field

Observer: TypeAlias = Callable[[float, float, Tensor, Tensor], object]  # (t, t_next, x, velocity)


def solve_euler(
    field: Field,
    x: Float[Array, " batch *shape"],
    times: Real[Array, " edges"] | Sequence[float],
    y: Int[Array, " batch"] | None,
    observe: Observer | None = None,
) -> Float[Tensor, " batch *shape"]:
    """Euler's method: ``x += (t_next - t) v(x, t, y)`` over the edges ``times``.

    field: callable (x, t, y) -> velocity; x: (B, ...) state at times[0]; times: (n + 1,) increasing edges, read as
    floats; y: (B,) labels. NumPy arrays are accepted in place of tensors. ``observe(t, t_next, x, v)``, when given, is
    called before every step. Returns the state at times[-1], a tensor like x, after n evaluations.
    Raises ValueError for states or times of other types or shapes.

    >>> solve_euler(lambda x, t, y: x, torch.ones(1, 1), [0.0, 0.5, 1.0], None)  # (1 + 1/2)^2
    tensor([[2.2500]])
    """
    x, y = _start(x, y)
    for t, t_next in _steps(times):
        velocity = field(x, t, y)
        if observe:
            observe(t, t_next, x, velocity)
        x = x + (t_next - t) * velocity
    return x


def solve_heun(
    field: Field,
    x: Float[Array, " batch *shape"],
    times: Real[Array, " edges"] | Sequence[float],
    y: Int[Array, " batch"] | None,
    observe: Observer | None = None,
) -> Float[Tensor, " batch *shape"]:
    """Heun's second-order method over the edges ``times``; arguments as in ``solve_euler``.

    A step takes two evaluations. A step that ends at t = 1, where the oracle velocity is singular, is Euler's and takes
    one; so a grid of n steps that ends there takes 2 n - 1 evaluations.
    """
    x, y = _start(x, y)
    for t, t_next in _steps(times):
        velocity = field(x, t, y)
        if observe:
            observe(t, t_next, x, velocity)
        if t_next < 1:
            ahead = field(x + (t_next - t) * velocity, t_next, y)
            velocity = (velocity + ahead) / 2
        x = x + (t_next - t) * velocity
    return x


SOLVERS = {"euler": solve_euler, "heun": solve_heun}


def finite_states(
    x: Float[Tensor, " n *shape"], what: object, items: Int64[np.ndarray, "n 3"]
) -> Float[Tensor, " n *shape"]:
    """The states (n, ...) of items (``starts.shard_items``), unchanged.

    Raises ValueError, with seed and index, where one is not finite. A velocity that is not finite stays in the state to
    the end of a trajectory, so one check at the end finds it.
    """
    bad = ~x.flatten(1).isfinite().all(1)
    if bool(bad.any()):
        seed, index = items[int(bad.nonzero()[0, 0]), :2]
        finite(x, f"{what}, seed {seed}, sample {index}", "check the weights of the field, and its training")
    return x


def _start(x, y):
    return as_floating("x", x), y if y is None else as_tensor("y", y)


def _steps(times):
    """Pairs (t, t_next) of Python floats: a step is then computed in the state's dtype, whatever the grid's."""
    times = as_tensor("times", times)
    edges = times.to(torch.float64).tolist()
    if times.ndim != 1 or not all(low < high for low, high in pairwise(edges)) or len(edges) == 0:
        raise ValueError(f"times are {edges}; expected (n + 1,) increasing numbers")
    return pairwise(edges)
