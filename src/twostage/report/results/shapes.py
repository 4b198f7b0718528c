"""The shape of a loss curve over t: how far it is from a parabola, how flat it is, and how often it turns.

Every number is that of the mean curve over pairs (x_0, x_1), with the 95% interval over other pairs: of errors float
(T, pairs) at times t (T,). It is not known (NaN) with fewer than two pairs or ``FEWEST`` times. A mean over t is that
of the polyline.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from twostage.report.results import curves
from twostage.report.results.curves import UNKNOWN, Estimate

FEWEST = 5  # a parabola goes through any three points
WAVE = 0.01  # of the mean of the curve: a smaller rise or fall makes no extreme
DRAWS = 1000  # of the noise, for the band of the differences


class Shape(NamedTuple):
    """The shape of a curve; each is an Estimate."""

    off_parabola: Estimate
    extremes: Estimate
    spread: Estimate
    opening: Estimate


def shape_of(pairs, rows, low):
    """The shape of the loss curve in ``rows`` (one model and step) from the time ``low`` to its end, by the errors of
    its pairs (``PairErrors``)."""
    after = pairs.t >= low
    t, errors = pairs.t[after], pairs.curve(rows)[after]
    return Shape(*(measure(t, errors) for measure in (off_parabola, extremes, spread, opening)))


def best_parabola(t, curve):
    """The nearest parabola to a curve (T,), at its times: float64 (T,); NaN with fewer than ``FEWEST`` times."""
    t, curve = np.asarray(t, dtype=float), np.asarray(curve, dtype=float)
    return curve - _left_by(t, 2) @ curve if len(t) >= FEWEST else np.full(len(t), math.nan)


def opening(t, errors):
    """The second derivative of the nearest parabola, an Estimate: above zero if it opens upwards."""
    if not _known(t, errors):
        return UNKNOWN
    root = np.sqrt(_shares(t))
    return curves.mean_of(2 * (np.linalg.pinv(root[:, None] * np.vander(t, 3))[0] * root) @ errors)


def off_parabola(t, errors):
    """The share of the curve's variance over t that the nearest parabola leaves (1 - R²), an Estimate."""
    if not _known(t, errors):
        return UNKNOWN
    return Estimate(*np.minimum(_ratio(errors, _variance(t, 2), _variance(t, 0)), 1.0).tolist())


def spread(t, errors):
    """The standard deviation of the curve over t, divided by its mean, an Estimate."""
    if not _known(t, errors):
        return UNKNOWN
    return Estimate(*np.sqrt(_ratio(errors, _variance(t, 0), np.outer(_shares(t), _shares(t)))).tolist())


def extremes(t, errors, seed=0):
    """The number of extremes inside the range of t, an Estimate.

    A rise or a fall counts if it is larger than ``WAVE`` of the mean of the curve. In the longest chain of rises and
    falls in turn, two steps meet at each extreme. For the low end, a step counts if it is surely larger; for the high
    end, if it may be larger. Between any two times, the difference is known to within a band, which holds all
    differences at once in 95% of the cases (multiplier bootstrap, widened by Student's t). So the interval covers the
    true number at least as often.
    """
    if not _known(t, errors):
        return UNKNOWN
    mean, pairs = errors.mean(1), errors.shape[1]
    change = mean - mean[:, None]  # (i, j): from time i to time j
    deviations = (errors - mean[:, None]) / math.sqrt(pairs * (pairs - 1))
    noise = deviations @ np.random.default_rng(seed).standard_normal((pairs, DRAWS))
    error = np.sqrt(np.square(deviations[:, None] - deviations).sum(2))
    known = error > 0
    largest = np.zeros(DRAWS)
    for row, own in enumerate(noise):
        others = known[row]
        largest = np.maximum(largest, (abs(noise[others] - own) / error[row, others, None]).max(0, initial=0))
    band = np.quantile(largest, 0.95) * error * stdtrit(pairs - 1, 0.975) / curves.CONFIDENCE
    least = WAVE * (_shares(t) @ mean)
    return Estimate(*(float(_turns(change, least + shift)) for shift in (0, band, -band)))


def _turns(change, least):
    """The number of times at which the longest chain of alternating steps turns; a step from time i to a later j is a
    rise if change[i, j] > least[i, j], a fall if -change[i, j] is. ``change``, ``least``: (T, T)."""
    rises, falls = change > least, -change > least
    ending = np.zeros((2, len(change)), int)  # steps of the longest chain to each time that ends with a rise, a fall
    for time in range(1, len(change)):
        for last, steps in enumerate((rises, falls)):
            before = ending[1 - last, :time][steps[:time, time]]
            ending[last, time] = before.max() + 1 if len(before) else 0
    return max(ending.max() - 1, 0)


def _ratio(errors, first, second):
    """m'Am / m'Bm of the mean curve m, A ``first`` and B ``second`` (T, T), positive semidefinite: an Estimate >= 0.

    Both forms are without the part that the noise of m adds to them. The interval is Fieller's: all ratios r at which
    m'(A - r B)m is not surely apart from zero, given its variance for normal noise. It has no high end if m'Bm is not
    surely above zero.
    """
    mean, pairs = errors.mean(1), errors.shape[1]
    covariance = np.cov(errors) / pairs
    above, below = (mean @ form @ mean - np.trace(form @ covariance) for form in (first, second))
    if below <= 0:
        return UNKNOWN
    wide = stdtrit(pairs - 1, 0.975) ** 2
    c, b, a = (
        top - wide * variance
        for top, variance in (
            (above**2, _variation(mean, covariance, first, first)),
            (above * below, _variation(mean, covariance, first, second)),
            (below**2, _variation(mean, covariance, second, second)),
        )
    )
    if a <= 0:
        return Estimate(max(above / below, 0.0), 0.0, math.inf)
    half = math.sqrt(max(b**2 - a * c, 0.0))
    return Estimate(*(max(end, 0.0) for end in (above / below, (b - half) / a, (b + half) / a)))


def _variation(mean, covariance, first, second):
    """Covariance of two quadratic forms of the mean curve; the noise in ``mean`` can only make it larger."""
    one, other = first @ covariance, second @ covariance
    return 4 * mean @ one @ second @ mean + 2 * np.trace(one @ other)


def _variance(t, degree):
    """The form of a curve's variance over t about its nearest polynomial of this degree: (T, T)."""
    left = _left_by(t, degree)
    return left.T @ (_shares(t)[:, None] * left)


def _left_by(t, degree):
    """The map from a curve to what its nearest polynomial of this degree leaves: (T, T)."""
    root = np.sqrt(_shares(t))
    base = np.linalg.qr(root[:, None] * np.vander(t, degree + 1))[0]
    return np.eye(len(t)) - (base / root[:, None]) @ (base.T * root)


def _shares(t):
    """The weight of each time in the mean over t of a polyline: (T,), with sum 1."""
    gaps = np.diff(t, prepend=t[0], append=t[-1])
    return (gaps[1:] + gaps[:-1]) / (2 * (t[-1] - t[0]))


def _known(t, errors):
    return len(t) >= FEWEST and errors.shape[1] > 1 and np.isfinite(errors).all()
