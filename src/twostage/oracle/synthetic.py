"""Posterior weights on unit Gaussian data of any dimension, from three random numbers per sample.

With x_1, x_0 and the other samples iid N(0, 1) in R^D, the posterior depends on a sample only through its components
u, v on an orthonormal basis of span(x_0, x_1), both normal, and its squared length c outside that plane, chi-square
with D - 2 degrees of freedom. Drawing (u, v, c) instead of D numbers is exact in distribution; the cost is linear in N
and does not depend on D.
"""

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from numbers import Real
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float64
from tqdm import tqdm

from twostage.arguments import Array, as_tensor
from twostage.provenance import PathLike, atomic_write

BLOCK = 1 << 13  # samples that share a random stream: another number changes what a seed gives
TASK = 1 << 7  # blocks that a thread takes at a time
NEGLIGIBLE = 100.0  # logits this far below the largest add nothing, even 10^9 of them


def top1_curve(
    dim: int,
    size: int,
    times: Float[Array, " times"] | Sequence[float] | float,
    trials: int,
    seed: int,
    *,
    precision: str = "exact",
    workers: int = 1,
    state: PathLike | None = None,
) -> Float64[np.ndarray, "{trials} _"]:
    """Largest posterior weight on unit Gaussians, (trials, T) float64: one pair and one data set per trial (Fig. 3).

    dim: D >= 2; size: N >= 1, the true sample included; times: (T,) in [0, 1], where t = 1 stands for the limit;
    precision: "exact", or "bfloat16": |x_t - t x^(i)|^2 and the logits computed from it are rounded to bfloat16, the
    softmax is exact;
    workers: number of threads, which changes no result; state: a .npz that keeps finished trials, so that the same call
    continues where a killed one stopped. A trial depends only on (seed, its number). Raises ValueError for numbers and
    times of another kind or out of range, and for the state of another call; OSError for a state that cannot be read.
    """
    return gaussian_curves(dim, size, times, trials, seed, precision=precision, workers=workers, state=state)[0]


def gaussian_curves(
    dim: int,
    size: int,
    times: Float[Array, " times"] | Sequence[float] | float,
    trials: int,
    seed: int,
    *,
    precision: str = "exact",
    workers: int = 1,
    state: PathLike | None = None,
) -> tuple[Float64[np.ndarray, "{trials} points"], Float64[np.ndarray, "{trials} points"]]:
    """As ``top1_curve``, and the weight of the true sample: (top1, self_weight), each (trials, T) float64."""
    times = _check(dim, size, times, trials, seed, precision, workers)
    recipe = {
        "dim": int(dim),
        "size": int(size),
        "times": times.tolist(),
        "seed": int(seed),
        "precision": precision,
        "block": BLOCK,
    }
    curves = _load(state, recipe, trials)
    pending = np.flatnonzero(np.isnan(curves).any((0, 2)))
    batch = _batch_size(size, workers)
    with (
        ThreadPoolExecutor(workers) as pool,
        tqdm(total=trials, initial=trials - len(pending), desc=f"D={dim} N={size}", disable=None, leave=False) as bar,
    ):
        for start in range(0, len(pending), batch):
            runs = [_Trial(dim, size, times, seed, int(number), precision) for number in pending[start : start + batch]]
            tasks = [(run, first) for run in runs for first in range(0, run.blocks, TASK)]
            for (run, _), found in zip(tasks, pool.map(lambda task: task[0].sums(task[1]), tasks)):
                run.add(*found)
            for run in runs:
                curves[:, run.number] = run.weights()
            bar.update(len(runs))
            if state is not None:
                _save(state, recipe, curves)
    return curves[0], curves[1]


def _batch_size(size, workers):
    """Trials drawn, and saved, together: enough to keep the workers busy for about a second."""
    return max(workers, (1 << 23) // size)


class _Trial:
    """One pair (x_0, x_1) and its running sum of posterior weights over the other samples.

    x_0 lies along the first axis, x_1 in the plane of the first two. Logits are relative to the true sample's, or as
    they are where they are to be rounded.
    """

    def __init__(self, dim, size, times, seed, number, precision):
        self.dim, self.others, self.times, self.number = dim, size - 1, times, number
        self.blocks = -(-self.others // BLOCK)
        self.key = np.array([seed, number], dtype=np.uint64)
        draw = self._stream(0)
        self.noise = np.sqrt(draw.chisquare(dim))
        self.along, self.across = draw.standard_normal(), np.sqrt(draw.chisquare(dim - 1))
        self.rounded = precision == "bfloat16"
        # the coefficients of (1, a, q) in what is a logit, or in the squared distance that is rounded to make one
        t = times[:, None]
        if self.rounded:
            self.factors = np.concatenate([(1 - t) ** 2 * self.noise**2, -2 * t * (1 - t), t**2], 1)
        else:
            ratio = t / np.maximum(1 - t, 1e-100)
            self.factors = np.concatenate([0 * t, ratio, -(ratio**2) / 2], 1)
        self.own = self._logits(np.array([[1.0], [0.0], [0.0]]))[:, 0]
        self.peak, self.total = self.own.copy(), np.ones(len(times))

    def sums(self, first):
        """(peak, total), each (T,), of a task's blocks: the largest logit, the true sample's included, and the sum of
        exp(logit - peak)."""
        peak, total = self.own.copy(), np.zeros(len(self.times))
        for block in range(first, min(first + TASK, self.blocks)):
            logits = self._logits(self._terms(block))
            highest = logits.max(1)
            counts = highest > peak - NEGLIGIBLE
            top = np.maximum(peak, highest)
            total *= np.exp(peak - top)
            total[counts] += np.exp(logits[counts] - top[counts, None]).sum(1)
            peak = top
        return peak, total

    def add(self, peak, total):
        """Add the result of ``sums``."""
        top = np.maximum(self.peak, peak)
        self.total = self.total * np.exp(self.peak - top) + total * np.exp(peak - top)
        self.peak = top

    def weights(self):
        """The largest posterior weight and the true sample's, (2, T)."""
        return np.stack([1 / self.total, np.exp(self.own - self.peak) / self.total])

    def _terms(self, block):
        """(1, a, q) of a block's samples, (3, n): a = <x_0, x - x_1>, q = |x - x_1|^2."""
        draw = self._stream(block + 1)
        n = min(BLOCK, self.others - block * BLOCK)
        u, v = draw.standard_normal(n), draw.standard_normal(n)
        rest = draw.chisquare(self.dim - 2, n) if self.dim > 2 else 0.0
        u -= self.along
        v -= self.across
        return np.stack([np.ones(n), self.noise * u, u * u + v * v + rest])

    def _logits(self, terms):
        if not self.rounded:
            return self.factors @ terms
        distance = _round_to_bfloat16(self.factors @ terms)
        return -_round_to_bfloat16(distance / (2 * np.maximum(1 - self.times, 1e-12) ** 2)[:, None])

    def _stream(self, block):
        return np.random.Generator(np.random.Philox(key=self.key, counter=[0, 0, block, 0]))


def _round_to_bfloat16(values):
    """Nearest bfloat16, ties to even, of float64 values >= 0, by way of float32."""
    bits = values.astype(np.float32).view(np.uint32)
    bits += 0x7FFF + ((bits >> 16) & 1)
    bits &= 0xFFFF0000
    return bits.view(np.float32).astype(np.float64)


def _check(dim, size, times, trials, seed, precision, workers):
    times = np.atleast_1d(as_tensor("times", times).cpu().numpy().astype(float))
    if times.ndim != 1 or len(times) == 0 or not ((times >= 0) & (times <= 1)).all():
        raise ValueError(f"times are {times}; expected (T,) in [0, 1]")
    least = {"dim": (dim, 2), "size": (size, 1), "trials": (trials, 1), "workers": (workers, 1), "seed": (seed, 0)}
    for name, (value, smallest) in least.items():
        number = isinstance(value, Real) and not isinstance(value, bool) and np.isfinite(value)
        if not (number and value == int(value) and value >= smallest):
            raise ValueError(
                f"{name} is {value if number else repr(value)}; expected an integer of at least {smallest}"
            )
    if precision not in ("exact", "bfloat16"):
        raise ValueError(f"precision is {precision!r}; expected 'exact' or 'bfloat16'")
    return times


def _load(state, recipe, trials):
    """Curves (2, trials, T), NaN for trials that are not drawn yet."""
    curves = np.full((2, trials, len(recipe["times"])), np.nan)
    if state is None or not Path(state).exists():
        return curves
    try:
        with np.load(state) as stored:
            recipe_found, found = str(stored["recipe"]), stored["curves"]
    except Exception as error:
        raise OSError(f"{state} cannot be read as a state of trials ({error}); delete it to start over") from error
    if recipe_found != _fingerprint(recipe):
        raise ValueError(f"{state} belongs to another dim, size, times, seed or precision; delete it to start over")
    kept = min(trials, found.shape[1])
    curves[:, :kept] = found[:, :kept]
    return curves


def _save(state, recipe, curves):
    with atomic_write(state) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, recipe=_fingerprint(recipe), curves=curves)


def _fingerprint(recipe):
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
