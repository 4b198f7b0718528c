"""The transition law: where, and how sharply, the posterior of a data set settles on one sample.

For a Gaussian with the data's covariance spectrum lambda, x_t carries I(t) = 1/2 sum_k log(1 + s_k) nats about x_1,
s_k = lambda_k t^2 / (1 - t)^2. N samples can be distinguished once I(t) exceeds log N: this time is the transition. The
information density scatters about I(t) with variance V(t) = sum_k s_k / (1 + s_k), which gives the whole curve. No
constant is fitted. All of this depends on s = t / (1 - t) alone, on another Gaussian path on alpha / sigma: times may
be those of any ``twostage.flow.Path``, and ``conventions`` gives a split in the units of each. Derivation, corrections,
relation to random energies and limits of validity: docs/theory.md.
"""

import math
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Float64
from scipy.optimize import brentq
from scipy.special import expit, gammaincinv, log_ndtr, logsumexp

from twostage.arguments import Array, as_tensor
from twostage.data.latents import LatentStore
from twostage.oracle.pairs import Sweep
from twostage.oracle.samples import WIDE, Samples
from twostage.paths import RECTIFIED, Path, cosine, ve, vp

Numbers: TypeAlias = Float[Array, " numbers"] | Sequence[float]
Times: TypeAlias = Float[Array, " times"] | Float[Array, ""] | Sequence[float] | float
Weights: TypeAlias = Sweep | Float[Array, "pairs times"] | Sequence[Sequence[float]]

NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
NODE_WEIGHTS = NODE_WEIGHTS / NODE_WEIGHTS.sum()


def spectrum(
    data: Float[Array, " n *shape"] | LatentStore | Samples,
    label: int | None = None,
    *,
    device: str | torch.device | None = None,
    budget_mb: float = 1024,
) -> Float64[np.ndarray, " numbers"]:
    """Eigenvalues of the data's covariance (divided by N), descending, float64 numpy (min(N, D),) or (D,).

    data: (N, D) or (N, C, H, W) tensor or array, LatentStore (with ``label``, one class of it) or ``Samples``. The
    D x D covariance is summed over chunks. If N < D and the data fit into memory, the N x N Gram matrix is used; it has
    the same eigenvalues except for zeros, which do not matter here.
    """
    samples = data if isinstance(data, Samples) else Samples(data, label, device, budget_mb)
    if samples.count < samples.dim and samples.in_memory:
        centred = samples.take(torch.arange(samples.count)).to(WIDE) - samples.mean
        matrix = centred @ centred.T
    else:
        matrix = torch.zeros(samples.dim, samples.dim, dtype=WIDE, device=samples.device)
        for _, centred in samples.wide_blocks(0, None, samples.mean):
            matrix.addmm_(centred.T, centred)
    return torch.linalg.eigvalsh(matrix / samples.count).clamp(min=0).flip(0).cpu().numpy()


def channel_information(
    eigenvalues: Numbers, times: Times, path: Path = RECTIFIED
) -> tuple[Float64[np.ndarray, " points"], Float64[np.ndarray, " points"]]:
    """Mean I(t) and variance V(t), in nats, of the information density between x_1 and x_t: two arrays (T,)."""
    eigenvalues, times = _check_eigenvalues(eigenvalues), _check_times(times, path)
    mean, variance = np.empty(len(times)), np.empty(len(times))
    for k, t in enumerate(times):
        s = eigenvalues * (t / (1 - t)) ** 2 if t < 1 else np.where(eigenvalues > 0, np.inf, 0.0)
        mean[k] = np.log1p(s).sum() / 2
        variance[k] = (1 - 1 / (1 + s)).sum()
    return mean, variance


def transition_time(eigenvalues: Numbers, n: float, path: Path = RECTIFIED) -> float:
    """The path's time at which I(t) = log n, for n samples of a covariance with these eigenvalues.

    On the rectified path in [0, 1]: 0 for n = 1; 1 if all eigenvalues are 0 (the samples cannot be distinguished).
    Raises ValueError for n < 1, for negative or non-finite eigenvalues, and for a path that does not reach so far.

    >>> from twostage.flow import edm
    >>> round(transition_time(np.ones(64), 1000), 3), round(transition_time(np.ones(64), 1000, edm()), 3)
    (0.329, 2.037)
    """
    if path != RECTIFIED:
        time = transition_time(eigenvalues, n)
        return float(path.time(time / (1 - time) if time < 1 else math.inf))
    eigenvalues = _check_eigenvalues(eigenvalues)
    _check_count(n)
    if n == 1:
        return 0.0
    if not eigenvalues.any():
        return 1.0
    excess = lambda u: np.log1p(eigenvalues * math.exp(2 * u)).sum() / 2 - math.log(n)  # noqa: E731
    low = high = -math.log(eigenvalues.max()) / 2
    while excess(low) > 0:
        low -= 2.0
    while excess(high) < 0:
        high += 2.0
    return float(expit(brentq(excess, low, high, xtol=1e-13)))


def predicted_self_weight(
    eigenvalues: Numbers, n: float, times: Times, path: Path = RECTIFIED
) -> Float64[np.ndarray, " points"]:
    """Expected posterior weight of the true sample, (T,) in [0, 1]: E[sigmoid(I - log(n - 1) + sqrt(V) Z)], Z normal.

    With n - 1, the number of the other samples, the value at t = 0 is exact: 1 / n. At t = 1 it is 1.
    """
    mean, variance = channel_information(eigenvalues, times, path)
    _check_count(n)
    if n == 1:
        return np.ones(len(mean))
    margin = (mean - math.log(n - 1))[:, None] + np.sqrt(variance)[:, None] * NODES
    return expit(margin) @ NODE_WEIGHTS


def corrected_self_weight(
    eigenvalues: Numbers, n: float, times: Times, scale_variance: float = 0.0, path: Path = RECTIFIED
) -> Float64[np.ndarray, " points"]:
    """As ``predicted_self_weight``, with two effects that the law leaves out and that nearly cancel on images: (T,).

    The finite sum: only that part of the other samples' expected weight counts which n of them are likely to contain
    (docs/theory.md). This makes the transition earlier. The spread of scale: samples are x = mean + sqrt(a) z, with z
    Gaussian and a gamma-distributed with mean 1 and this ``scale_variance`` (see the function ``scale_variance``). This
    makes the transition later and less sharp. For Gaussian data (scale_variance 0) this prediction is the better one.
    """
    eigenvalues, times = _check_eigenvalues(eigenvalues), _check_times(times, path)
    _check_count(n)
    if n == 1:
        return np.ones(len(times))
    levels = (np.arange(24) + 0.5) / 24
    # quantiles of the gamma distribution
    scales = gammaincinv(1 / scale_variance, levels) * scale_variance if scale_variance > 1e-6 else np.ones(1)
    curve = np.empty(len(times))
    for k, t in enumerate(times):
        if t in (0, 1):
            curve[k] = 1 / n if t == 0 else 1.0
            continue
        s = eigenvalues * (t / (1 - t)) ** 2 * scales[:, None]
        # log density of x_t from a sample of scale a (rows), under the Gaussian of scale b (columns), at its mean
        under = -(np.log1p(s).sum(1) + (1 / (1 + s)).sum(1) + s @ (1 / (1 + s)).T - len(eigenvalues)) / 2
        mean = math.log(len(scales)) - logsumexp(under, axis=1)
        density_variance = (s / (1 + s)).sum(1)
        others_variance = ((s**2 / 2 + s) / (1 + s) ** 2).sum(1)
        present = log_ndtr((math.log(n) - mean) / np.sqrt(np.maximum(others_variance, 1e-300)))
        margin = (mean - math.log(n - 1) - present)[:, None] + np.sqrt(density_variance)[:, None] * NODES
        curve[k] = (expit(margin) @ NODE_WEIGHTS).mean()
    return curve


def scale_variance(
    data: Float[Array, " n *shape"] | LatentStore | Samples,
    label: int | None = None,
    *,
    at: float | None = None,
    device: str | torch.device | None = None,
    budget_mb: float = 1024,
) -> float:
    """Variance of the samples' squared scale (0: Gaussian) for ``corrected_self_weight``; the mean scale is 1.

    It is the variance of the squared length of a sample beyond that of a Gaussian. The length is taken in the
    directions that x_t shows at time ``at`` (None: the predicted transition), each in units of its variance. Data as
    for ``spectrum``, in memory.
    """
    samples = data if isinstance(data, Samples) else Samples(data, label, device, budget_mb)
    centred = samples.take(torch.arange(samples.count)).to(WIDE) - samples.mean
    if samples.count < samples.dim:
        values, vectors = torch.linalg.eigh(centred @ centred.T / samples.count)
        squares = vectors.square() * samples.count
    else:
        values, vectors = torch.linalg.eigh(centred.T @ centred / samples.count)
        squares = (centred @ vectors).square() / values
    shown = values > 1e-9 * values.max()
    values, squares = values[shown], squares[:, shown]
    at = transition_time(values.cpu().numpy(), samples.count) if at is None else at
    s = values * (at / (1 - at)) ** 2
    share = s / (1 + s)
    length = squares @ share
    gaussian = 2 * share.square().sum()
    return float(((length.var(correction=0) - gaussian) / (share.sum().square() + gaussian)).clamp(min=0))


def crossing_time(
    curve: Float[Array, " times"] | Sequence[float],
    times: Float[Array, " times"] | Sequence[float],
    level: float = 0.5,
) -> float | None:
    """First time at which ``curve`` (T,) rises through ``level``, by linear interpolation; times (T,) ascending.

    The first of ``times`` if the curve starts above the level; None if it never reaches it. Raises ValueError for
    shapes that differ.
    """
    curve, times = _floats("curve", curve), _floats("times", times)
    if curve.ndim != 1 or curve.shape != times.shape or len(times) == 0:
        raise ValueError(f"the curve has shape {curve.shape} and times {times.shape}; expected (T,) both, T >= 1")
    above = np.flatnonzero(curve >= level)
    if len(above) == 0:
        return None
    k = above[0]
    if k == 0:
        return float(times[0])
    share = (level - curve[k - 1]) / (curve[k] - curve[k - 1])
    return float(times[k - 1] + share * (times[k] - times[k - 1]))


def measured_transition(sweep: Weights, times: Times | None = None) -> float:
    """The time at which the mean self weight of a ``Sweep`` (or of a (P, T) array, with ``times``) crosses one half.

    Raises ValueError if it never does, because the grid ends too early.
    """
    weights, times = _weights(sweep, times)
    mean = weights.mean(0)
    found = crossing_time(mean, times)
    if found is None:
        raise ValueError(
            f"the mean self weight reaches {mean.max():.3f} on times up to {times.max():g}; expected it to cross 0.5: "
            "extend the grid towards 1"
        )
    return found


def transition_interval(
    sweep: Weights, times: Times | None = None, *, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[float, float] | None:
    """Bootstrap interval over pairs of the measured transition: (low, high). None if over a tenth of the resamples
    never cross the level."""
    weights, times = _weights(sweep, times)
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(resamples):
        draws = np.bincount(generator.integers(len(weights), size=len(weights)), minlength=len(weights))
        found.append(crossing_time(draws @ weights / len(weights), times))
    found = [value for value in found if value is not None]
    if len(found) < 0.9 * resamples:
        return None
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def transition_grid(
    eigenvalues: Numbers, n: float, points: int = 61, reach: float = 3.0
) -> Float64[np.ndarray, " {points}"]:
    """Times (points,), evenly spaced in t / (1 - t), from 0 to ``reach`` times its value at the predicted
    transition."""
    center = min(transition_time(eigenvalues, n), 1 - 1e-6)
    s = np.linspace(0, reach, points) * (center / (1 - center) if center > 0 else 1.0)
    return s / (1 + s)


def resolved_times(
    times: Times, transitions: Iterable[float], *, step: float = 0.05, reach: float = 3.0
) -> Float64[np.ndarray, " points"]:
    """``times``, and the times needed to resolve curves about each of ``transitions``: ascending (T',) float64.

    In s = t / (1 - t), up to ``reach`` times its value at a transition, no two neighbours are further apart than
    ``step`` of that value. So a measured transition does not depend on how coarse ``times`` are; they should reach from
    0 to 1. Transitions at 0 and 1 (one sample, or all samples equal) add no times.
    """
    times = np.unique(_check_times(times))
    times = times[np.diff(times, prepend=-1) > 1e-12]  # without times that differ only by rounding
    for transition in sorted({float(time) for time in transitions if 0 < time < 1}):
        center = transition / (1 - transition)
        with np.errstate(divide="ignore"):
            edges = np.minimum(times / (1 - times), reach * center)
        gaps = np.diff(edges)
        pieces = np.maximum(np.ceil(gaps / (step * center) - 1e-9), 1).astype(int)
        added = [low + gap * np.arange(1, count) / count for low, gap, count in zip(edges, gaps, pieces) if count > 1]
        if added:
            s = np.concatenate(added)
            times = np.unique(np.concatenate([times, s / (1 + s)]))
    return times


def conventions(time: float) -> dict[str, float | None]:
    """A time of the rectified path, such as a split, in the units of other paths with their usual constants.

    {unit: number}; None where a path does not reach so far. Raises ValueError for a time outside of (0, 1).

    >>> {unit: round(value, 3) for unit, value in conventions(0.25).items()}  # doctest: +NORMALIZE_WHITESPACE
    {'rectified, t': 0.25, 's = alpha / sigma': 0.333, 'SNR = s^2': 0.111, 'log-SNR': -2.197, 'EDM or VE, sigma': 3.0,
     'VE (0.01 to 50), t': 0.67, 'VP (beta 0.1 to 20), t': 0.476, 'VP cosine, t': 0.794}
    """
    if not 0 < time < 1:
        raise ValueError(f"time is {time}; expected a time inside of (0, 1)")
    s = time / (1 - time)
    found: dict[str, float | None] = {
        "rectified, t": time,
        "s = alpha / sigma": s,
        "SNR = s^2": s**2,
        "log-SNR": 2 * math.log(s),
        "EDM or VE, sigma": 1 / s,
    }
    paths = {"VE (0.01 to 50), t": ve(0.01, 50), "VP (beta 0.1 to 20), t": vp(0.1, 20), "VP cosine, t": cosine()}
    for unit, path in paths.items():
        low, high = path.reach
        found[unit] = float(path.time(s)) if low <= s <= high else None
    return found


def _weights(sweep, times):
    if times is None and not hasattr(sweep, "times"):
        raise ValueError("times are None; expected (T,) with self weights that are no Sweep")
    weights = _floats("self weights", getattr(sweep, "self_weight", sweep))
    times = _floats("times", sweep.times if times is None else times)
    if weights.ndim != 2 or times.shape != weights.shape[1:] or weights.size == 0:
        raise ValueError(
            f"self weights have shape {weights.shape} and times {times.shape}; expected (P, T) and (T,), P and T >= 1"
        )
    bad = weights[~((weights >= 0) & (weights <= 1))]
    if bad.size:
        raise ValueError(f"a self weight is {bad[0]}; expected numbers in [0, 1]")
    order = np.argsort(times)
    return weights[:, order], times[order]


def _floats(name, values):
    """A tensor, array or list as float64 numpy. ValueError for anything else."""
    return as_tensor(name, values).detach().cpu().to(WIDE).numpy()


def _check_eigenvalues(eigenvalues):
    eigenvalues = _floats("eigenvalues", eigenvalues)
    if eigenvalues.ndim != 1 or len(eigenvalues) == 0 or not (np.isfinite(eigenvalues) & (eigenvalues >= 0)).all():
        raise ValueError(f"eigenvalues are {eigenvalues}; expected (K,) finite numbers, 0 or above")
    return eigenvalues


def _check_count(n):
    if isinstance(n, bool) or not isinstance(n, Real) or not 1 <= n < math.inf:
        raise ValueError(f"n is {n!r}; expected a number of samples, at least 1")


def _check_times(times, path=RECTIFIED):
    times = np.atleast_1d(_floats("times", times))
    if path != RECTIFIED:
        times = path.rectified_time(times).numpy()
    if times.ndim != 1 or not ((times >= 0) & (times <= 1)).all():
        raise ValueError(f"times are {times}; expected (T,) in [0, 1]")
    return times
