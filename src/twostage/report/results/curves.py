"""Numbers computed from a curve with standard errors: means over a range, crossings, shares, extremes.

Points of a curve share their pairs (x_0, x_1), so their errors are correlated. Errors that are added up along a curve
are taken as fully correlated, which can only widen an interval.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri, stdtrit

CONFIDENCE = float(ndtri(0.975))
ROUNDED = 1e-6  # of what is divided: a divisor below this is zero, up to the rounding of float32


class Estimate(NamedTuple):
    """A number with its 95% interval."""

    value: float
    low: float
    high: float


UNKNOWN = Estimate(math.nan, math.nan, math.nan)


def symmetric(value, error, freedom=math.inf):
    """A number with its standard error as an Estimate, by Student's t with ``freedom`` degrees of freedom.

    The interval is NaN (not known) if there is no degree of freedom or no error.
    """
    half = _quantile(freedom) * error if freedom > 0 else math.nan
    return Estimate(float(value), float(value - half), float(value + half))


def _quantile(freedom, comparisons=1):
    """Half width of a two-sided 95% interval in standard errors; for several comparisons at once, by Bonferroni."""
    return float(stdtrit(min(freedom, 1e9), 1 - 0.025 / comparisons))


def whole(*arrays):
    """The arrays of a curve as float64, without values that are not finite at the ends. If there is such a value
    between finite ones, the arrays are empty.

    A curve with a hole has no mean, crossing or area: a line across the hole would be invented.
    """
    arrays = [np.asarray(array, dtype=float) for array in arrays]
    kept = np.flatnonzero(np.all([np.isfinite(array) for array in arrays], axis=0))
    if len(kept) and kept[-1] - kept[0] + 1 != len(kept):
        kept = kept[:0]
    return [array[kept] for array in arrays]


def area(t, y, low, high):
    """Integral of the polyline (t, y) from low to high; t increasing. Zero if the range lies outside the curve.

    NaN for a curve without values or with a hole.
    """
    t, y = whole(t, y)
    if len(t) == 0:
        return math.nan
    low, high = max(low, t[0]), min(high, t[-1])
    if not low < high:
        return 0.0
    inside = (t > low) & (t < high)
    x = np.concatenate([[low], t[inside], [high]])
    v = np.concatenate([[np.interp(low, t, y)], y[inside], [np.interp(high, t, y)]])
    return float(np.sum((x[1:] - x[:-1]) * (v[1:] + v[:-1]) / 2))


def mean_over(t, y, sem, low, high):
    """Mean of a curve over [low, high] as an Estimate; NaN for an empty range and for a curve with a hole."""
    t, y, sem = whole(t, y, sem)
    if len(t) < 2 or not max(low, t[0]) < min(high, t[-1]):
        return UNKNOWN
    width = min(high, t[-1]) - max(low, t[0])
    mean, error = area(t, y, low, high) / width, CONFIDENCE * area(t, sem, low, high) / width
    return Estimate(mean, mean - error, mean + error)


def at(t, y, sem, time):
    """The curve's value at ``time`` (interpolated) as an Estimate; NaN for a curve without values or with a hole."""
    t, y, sem = whole(t, y, sem)
    if len(t) == 0:
        return UNKNOWN
    value, error = float(np.interp(time, t, y)), CONFIDENCE * float(np.interp(time, t, sem))
    return Estimate(value, value - error, value + error)


def share_before(t, y, sem, time):
    """Share of the area under a non-negative curve that lies before ``time``, as an Estimate (NaN as in ``area``)."""
    t, y, sem = whole(t, y, sem)
    if len(t) == 0:
        return UNKNOWN
    before, after = area(t, y, t[0], time), area(t, y, time, t[-1])
    error_before, error_after = (CONFIDENCE * area(t, sem, *ends) for ends in ((t[0], time), (time, t[-1])))
    share = lambda first, second: first / (first + second) if first + second > 0 else math.nan  # noqa: E731
    return Estimate(
        share(before, after),
        share(max(before - error_before, 0.0), after + error_after),
        share(before + error_before, max(after - error_after, 0.0)),
    )


def first_crossing(t, y, level):
    """The time after which a curve stays at or above ``level``, interpolated; NaN if never, or as in ``area``."""
    t, y = whole(t, y)
    if len(t) == 0:
        return math.nan
    below = np.flatnonzero(y < level)
    if len(below) == 0:
        return float(t[0])
    last = below[-1]
    if last == len(t) - 1:
        return math.nan
    rise = y[last + 1] - y[last]
    return float(t[last] + (t[last + 1] - t[last]) * (level - y[last]) / rise)


def crossing(t, y, sem, level):
    """``first_crossing`` as an Estimate: the times at which the two edges of the 95% band cross the level."""
    t, y, sem = whole(t, y, sem)
    edges = [first_crossing(t, y + sign * CONFIDENCE * sem, level) for sign in (1, -1)]
    return Estimate(first_crossing(t, y, level), edges[0], edges[1])


def difference(first, second):
    """first - second as an Estimate, as if their errors were independent."""
    value = first.value - second.value
    down = math.hypot(first.value - first.low, second.high - second.value)
    up = math.hypot(first.high - first.value, second.value - second.low)
    return Estimate(value, value - down, value + up)


def divided(values, by):
    """values / by, float64 (arrays of one shape, or numbers); NaN where the divisor is zero, up to rounding.

    Such a ratio is infinite, or a large number that says nothing: the distance of two images over that of two images
    that are alike.

    >>> divided([3.0, 3.0, 0.0], [2.0, 1e-7, 0.0]).tolist()
    [1.5, nan, nan]
    """
    values, by = np.broadcast_arrays(np.asarray(values, dtype=float), np.asarray(by, dtype=float))
    return np.divide(values, by, out=np.full(values.shape, math.nan), where=abs(by) > ROUNDED * abs(values))


def ratio(first, second):
    """first / second as an Estimate from the ends of both intervals (wider than needed); NaN as in ``divided``."""
    if not np.isfinite(divided(first.value, second.value)):
        return UNKNOWN
    if second.low <= 0 <= second.high:
        return Estimate(first.value / second.value, -math.inf, math.inf)
    ends = [a / b for a in (first.low, first.high) for b in (second.low, second.high)]
    return Estimate(first.value / second.value, min(ends), max(ends))


def negative(estimate):
    """The number with its sign turned, an Estimate."""
    return Estimate(*(0.0 - end for end in (estimate.value, estimate.high, estimate.low)))  # 0 stays 0, not -0


def at_once(estimates, freedom=math.inf):
    """Numbers (Estimates) with intervals wide enough for all at once, by Bonferroni's inequality: a list."""
    estimates = list(estimates)
    wider = _quantile(freedom, max(len(estimates), 1)) / _quantile(freedom) if freedom > 0 else math.nan
    return [Estimate(e.value, *(e.value + wider * (end - e.value) for end in (e.low, e.high))) for e in estimates]


def least(estimates, freedom=math.inf):
    """The smallest of several numbers (Estimates), as an Estimate whose interval accounts for the choice.

    The low end is the lowest low end of all. It lies above the smallest true number only if the interval of that number
    does. Each of the k intervals may have a high end that is too low, so the high ends are widened by Bonferroni's
    inequality (normal, or Student's t with ``freedom``). Not known if one of the numbers is not known.
    """
    estimates = list(estimates)
    if not estimates or any(math.isnan(end) for estimate in estimates for end in estimate):
        return UNKNOWN
    wider = _quantile(freedom, len(estimates)) / _quantile(freedom)
    high = min(estimate.value + wider * (estimate.high - estimate.value) for estimate in estimates)
    return Estimate(min(e.value for e in estimates), min(e.low for e in estimates), high)


def greatest(estimates, freedom=math.inf):
    """The largest of several numbers, in the same way as ``least``."""
    return negative(least([negative(estimate) for estimate in estimates], freedom))


def lead(values, errors, freedom=math.inf):
    """The lead of the best of one group over the best of another, an Estimate whose interval accounts for the choice.

    values, errors: float (I, J), the lead of member i of the first group over member j of the second, and its standard
    error; the lead of the group is max_i min_j. For a given i, the smallest of the J needs no correction (the smallest
    true value is one number). So the low end is corrected only for the choice of i, the high end only for that of j.
    """
    values, errors = np.asarray(values, dtype=float), np.asarray(errors, dtype=float)
    if not (np.isfinite(values).all() and np.isfinite(errors).all() and freedom > 0):
        return Estimate(float(values.min(1).max()), math.nan, math.nan)
    first, second = (_quantile(freedom, count) for count in values.shape)
    low, high = (values - first * errors).min(1).max(), (values + second * errors).max(0).min()
    return Estimate(float(values.min(1).max()), float(low), float(high))


def mean_of(values):
    """Mean of independent repeats (seeds, pairs) with its 95% interval by Student's t; a single value has no interval.

    NaN if there are no values, or if one of them is not finite.
    """
    values = np.asarray(values, dtype=float)
    if len(values) == 0 or not np.isfinite(values).all():
        return UNKNOWN
    if len(values) == 1:
        return UNKNOWN._replace(value=float(values[0]))
    return symmetric(values.mean(), values.std(ddof=1) / math.sqrt(len(values)), len(values) - 1)


def ratio_of(first, second):
    """Mean of ``first`` divided by mean of ``second``, paired repeats, with its 95% interval by the delta method.

    NaN with fewer than two pairs, a value that is not finite, and as in ``divided``.
    """
    first, second = (np.asarray(values, dtype=float) for values in (first, second))
    if len(first) < 2 or not np.isfinite([first, second]).all():
        return UNKNOWN
    ratio = float(divided(first.mean(), second.mean()))
    if math.isnan(ratio):
        return UNKNOWN
    error = mean_of((first - ratio * second) / second.mean())
    return Estimate(ratio, ratio + error.low, ratio + error.high)


FEWEST_POOLS = 5  # the true median of four values lies outside their range in one case of eight: no 95% interval exists


def median_of(values, pools, resamples=2000, seed=0):
    """Median with its 95% bootstrap interval over pools, as an Estimate.

    pools: the pool on which each value was measured. Values of one pool (a class in several latent spaces, or at
    several N) are not independent, so whole pools are resampled. Cases without a value (NaN) are left out. With fewer
    than five pools there is no interval.
    """
    values, pools = np.asarray(values, dtype=float), np.asarray(pools)
    keep = np.isfinite(values)
    values, pools = values[keep], pools[keep]
    if len(values) == 0:
        return UNKNOWN
    names, member = np.unique(pools, return_inverse=True)
    median = float(np.median(values))
    if len(names) < FEWEST_POOLS:
        return Estimate(median, math.nan, math.nan)
    order = np.argsort(values, kind="stable")
    values, member = values[order], member[order]
    draws = np.random.default_rng(seed).integers(len(names), size=(resamples, len(names)))
    times = np.stack([np.bincount(draw, minlength=len(names)) for draw in draws])[:, member]  # each value's, (R, n)
    reached = np.cumsum(times, axis=1)
    half = reached[:, -1:] / 2
    # The median of a resample: the value at which half of the resample is reached, or the mean of the two around it.
    lower = values[np.argmax(reached >= half, axis=1)]
    upper = values[np.argmax(reached > half, axis=1)]
    low, high = np.quantile((lower + upper) / 2, [0.025, 0.975])
    return Estimate(median, float(low), float(high))
