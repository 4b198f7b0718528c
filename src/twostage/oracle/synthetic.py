"""Posterior weights on unit Gaussian data of any dimension, at three random numbers a sample.

With x_1, x_0 and the other samples iid N(0, 1) in R^D, the posterior depends on a sample only through its components
u, v on an orthonormal basis of span(x_0, x_1), normal both, and its squared length c outside that plane, chi-square
with D - 2 degrees of freedom. Drawing (u, v, c) instead of D numbers is exact in distribution, linear in N and flat
in D.
"""

import concurrent.futures
import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from twostage.provenance import atomic_write

CHUNK = 1 << 18  # samples drawn at a time; part of what a seed means


def top1_curve(dim, size, times, trials, seed, *, precision="exact", workers=1, state=None):
    """Largest posterior weight on unit Gaussians, (trials, T) float64; one pair (x_0, x_1) and data set a trial.

    dim: D >= 2; size: N >= 1, the true sample included; times: (T,) in [0, 1]; precision: "exact", or "bfloat16" to
    round the squared distances |x_t - t x^(i)|^2 to bfloat16 before the softmax; workers: threads; state: a .npz path
    where finished trials are kept, so that the same call goes on where a killed one stopped. A trial depends on
    (seed, its number) alone.
    """
    return gaussian_curves(dim, size, times, trials, seed, precision=precision, workers=workers, state=state)[0]


def gaussian_curves(dim, size, times, trials, seed, *, precision="exact", workers=1, state=None):
    """As ``top1_curve``, with the true sample's weight beside it: (top1, self_weight), each (trials, T) float64."""
    times = _check(dim, size, times, trials, precision, workers)
    recipe = {
        "dim": int(dim),
        "size": int(size),
        "times": times.tolist(),
        "trials": int(trials),
        "seed": int(seed),
        "precision": precision,
        "chunk": CHUNK,
    }
    curves, done = _load(state, recipe)
    pending = np.flatnonzero(~done)
    batch = max(1, -(-len(pending) // 50), workers) if state else max(1, len(pending))
    with (
        concurrent.futures.ThreadPoolExecutor(workers) as pool,
        tqdm(total=trials, initial=int(done.sum()), desc=f"D={dim} N={size}", disable=None, leave=False) as bar,
    ):
        for start in range(0, len(pending), batch):
            numbers = pending[start : start + batch]
            one = lambda k: _trial(dim, size, times, seed, int(k), precision)  # noqa: E731
            for k, result in zip(numbers, pool.map(one, numbers), strict=True):
                curves[:, k] = result
                done[k] = True
                bar.update()
            if state:
                _save(state, recipe, curves, done)
    return curves[0], curves[1]


def _trial(dim, size, times, seed, number, precision):
    draw = np.random.Generator(np.random.Philox(key=np.array([seed, number], dtype=np.uint64)))
    # x_0 lies along the first axis, x_1 in the plane of the first two
    length = np.sqrt(draw.chisquare(dim))
    along, across = draw.standard_normal(), np.sqrt(draw.chisquare(dim - 1))
    rest = size - 1
    ratio = _ratios(times)
    peak, total = np.zeros(len(times)), np.ones(len(times))
    self_log = np.zeros(len(times))
    if precision == "bfloat16":
        self_log = peak = _rounded_logits(times, (1 - times) ** 2 * length**2)
    for start in range(0, rest, CHUNK):
        n = min(CHUNK, rest - start)
        u, v = draw.standard_normal(n), draw.standard_normal(n)
        c = draw.chisquare(dim - 2, n) if dim > 2 else np.zeros(n)
        u -= along
        v -= across
        a, q = length * u, u * u + v * v + c
        for k, t in enumerate(times):
            if precision == "bfloat16":
                distance = (1 - t) ** 2 * length**2 - 2 * t * (1 - t) * a + t * t * q
                logs = _rounded_logits(t, distance)
            else:
                logs = ratio[k] * a - ratio[k] ** 2 / 2 * q if t < 1 else np.full(n, -np.inf)
            top = max(peak[k], logs.max())
            total[k] = total[k] * np.exp(peak[k] - top) + np.exp(logs - top).sum()
            peak[k] = top
    return 1 / total, np.exp(self_log - peak) / total


def _ratios(times):
    return times / np.where(times < 1, 1 - times, 1.0)


def _rounded_logits(t, distance):
    """-d^2 / (2 (1 - t)^2) with the squared distance rounded to bfloat16."""
    rounded = torch.from_numpy(np.atleast_1d(distance)).float().bfloat16().double().numpy()
    return -rounded / (2 * np.maximum(1 - t, 1e-6) ** 2)


def _check(dim, size, times, trials, precision, workers):
    times = np.atleast_1d(np.asarray(times, dtype=float))
    if times.ndim != 1 or not ((times >= 0) & (times <= 1)).all():
        raise ValueError(f"times are {times}; expected (T,) in [0, 1]")
    for name, value, least in (("dim", dim, 2), ("size", size, 1), ("trials", trials, 1), ("workers", workers, 1)):
        if value != int(value) or value < least:
            raise ValueError(f"{name} is {value}; expected an integer of at least {least}")
    if precision not in ("exact", "bfloat16"):
        raise ValueError(f"precision is {precision!r}; expected 'exact' or 'bfloat16'")
    return times


def _load(state, recipe):
    shape = (2, recipe["trials"], len(recipe["times"]))
    if state is None or not Path(state).exists():
        return np.full(shape, np.nan), np.zeros(recipe["trials"], dtype=bool)
    try:
        with np.load(state) as stored:
            found, curves, done = str(stored["recipe"]), stored["curves"], stored["done"]
    except Exception as error:
        raise OSError(f"{state} cannot be read as a state of trials ({error}); delete it to start over") from error
    if found != _fingerprint(recipe):
        raise ValueError(
            f"{state} belongs to other dim, size, times, trials, seed or precision; delete it to start over"
        )
    return curves, done


def _save(state, recipe, curves, done):
    with atomic_write(state) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, recipe=_fingerprint(recipe), curves=curves, done=done)


def _fingerprint(recipe):
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
