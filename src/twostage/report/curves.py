"""Numbers read off a curve that comes with standard errors: means over a range, crossings, shares, extremes.

Points of a curve share their pairs (x_0, x_1), so their errors are correlated. Where errors are added up along a curve
they are taken as fully correlated, which can only widen an interval.
"""

import math
from typing import NamedTuple

import numpy as np

CONFIDENCE = 1.96


class Estimate(NamedTuple):
    """A number with its 95% interval."""

    value: float
    low: float
    high: float


def clean(*arrays):
    """The arrays as float64, without the positions at which any of them is not finite."""
    arrays = [np.asarray(array, dtype=float) for array in arrays]
    keep = np.all([np.isfinite(array) for array in arrays], axis=0)
    return [array[keep] for array in arrays]


def whole(*arrays):
    """As ``clean``, for curves: values that are not finite are cut off at the ends; between others they leave nothing.

    A curve with a hole has no mean, crossing or area: a line drawn over the hole would be invented.
    """
    arrays = [np.asarray(array, dtype=float) for array in arrays]
    kept = np.flatnonzero(np.all([np.isfinite(array) for array in arrays], axis=0))
    if len(kept) and kept[-1] - kept[0] + 1 != len(kept):
        kept = kept[:0]
    return [array[kept] for array in arrays]


def area(t, y, low, high):
    """Integral of the polyline (t, y) from low to high; t increasing. Zero where the range lies outside.

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
    """Mean of a curve over [low, high] as an Estimate (NaN where the range is empty, and for a curve with a hole)."""
    t, y, sem = whole(t, y, sem)
    if len(t) < 2 or not max(low, t[0]) < min(high, t[-1]):
        return Estimate(math.nan, math.nan, math.nan)
    width = min(high, t[-1]) - max(low, t[0])
    mean, error = area(t, y, low, high) / width, CONFIDENCE * area(t, sem, low, high) / width
    return Estimate(mean, mean - error, mean + error)


def at(t, y, sem, time):
    """The curve's value at ``time`` (interpolated) as an Estimate; NaN for a curve without values or with a hole."""
    t, y, sem = whole(t, y, sem)
    if len(t) == 0:
        return Estimate(math.nan, math.nan, math.nan)
    value, error = float(np.interp(time, t, y)), CONFIDENCE * float(np.interp(time, t, sem))
    return Estimate(value, value - error, value + error)


def share_before(t, y, sem, time):
    """Share of the area under a non-negative curve that lies before ``time``, as an Estimate (NaN as in ``area``)."""
    t, y, sem = whole(t, y, sem)
    if len(t) == 0:
        return Estimate(math.nan, math.nan, math.nan)
    before, after = area(t, y, t[0], time), area(t, y, time, t[-1])
    error_before, error_after = (CONFIDENCE * area(t, sem, *ends) for ends in ((t[0], time), (time, t[-1])))
    share = lambda first, second: first / (first + second) if first + second > 0 else math.nan  # noqa: E731
    return Estimate(
        share(before, after),
        share(max(before - error_before, 0.0), after + error_after),
        share(before + error_before, max(after - error_after, 0.0)),
    )


def first_crossing(t, y, level):
    """The time from which on a curve stays at or above ``level``, interpolated; NaN when never, or as in ``area``."""
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
    """first - second as an Estimate, their errors taken as independent."""
    value = first.value - second.value
    down = math.hypot(first.value - first.low, second.high - second.value)
    up = math.hypot(first.high - first.value, second.value - second.low)
    return Estimate(value, value - down, value + up)


def ratio(first, second):
    """first / second as an Estimate by the ends of both intervals (wider than needed); NaN for a zero divisor."""
    if not second.value or not math.isfinite(second.value) or not math.isfinite(first.value):
        return Estimate(math.nan, math.nan, math.nan)
    if second.low <= 0 <= second.high:
        return Estimate(first.value / second.value, -math.inf, math.inf)
    ends = [a / b for a in (first.low, first.high) for b in (second.low, second.high)]
    return Estimate(first.value / second.value, min(ends), max(ends))


# Two-sided 95% quantiles of Student's t by degrees of freedom.
_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)


def mean_of(values):
    """Mean of independent repeats (seeds) with its 95% interval by Student's t; a single value has no interval.

    NaN when there is none, or when one of them is not finite.
    """
    values = np.asarray(values, dtype=float)
    if len(values) == 0 or not np.isfinite(values).all():
        return Estimate(math.nan, math.nan, math.nan)
    mean = float(values.mean())
    if len(values) == 1:
        return Estimate(mean, math.nan, math.nan)
    freedom = len(values) - 1
    quantile = _STUDENT[freedom - 1] if freedom <= len(_STUDENT) else CONFIDENCE * (1 + 1.2 / freedom)
    error = quantile * float(values.std(ddof=1)) / math.sqrt(len(values))
    return Estimate(mean, mean - error, mean + error)


def ratio_of(first, second):
    """Mean of ``first`` over mean of ``second``, paired repeats, with its 95% interval by the delta method.

    NaN with fewer than two pairs, a zero divisor, or a value that is not finite.
    """
    first, second = (np.asarray(values, dtype=float) for values in (first, second))
    if len(first) < 2 or not second.mean() or not np.isfinite([first, second]).all():
        return Estimate(math.nan, math.nan, math.nan)
    ratio = float(first.mean() / second.mean())
    error = mean_of((first - ratio * second) / second.mean())
    return Estimate(ratio, ratio + error.low, ratio + error.high)


def median_of(values, resamples=2000, seed=0):
    """Median with its 95% bootstrap interval, of the values that there are: cases without one (NaN) have no part."""
    (values,) = clean(values)
    if len(values) == 0:
        return Estimate(math.nan, math.nan, math.nan)
    draws = np.random.default_rng(seed).choice(values, size=(resamples, len(values)))
    low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
    return Estimate(float(np.median(values)), float(low), float(high))
