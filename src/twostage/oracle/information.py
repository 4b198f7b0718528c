"""The information that x_t carries about x_1, in nats, in three ways that must agree: from gap, entropy and weight.

x_t / (1 - t) = s x_1 + x_0, s = t / (1 - t), is a Gaussian channel, and the gap between the oracle velocity and the
conditional target is the error of its best estimate: u* - u = (m - x_1) / (1 - t). With mse the mean over D of
(u* - u)^2, the I-MMSE identity (Guo, Shamai and Verdu, 2005) gives, for any data and any D,

    I_N(t) = I(x_1; x_t) = D integral_0^t mse(r) r / (1 - r) dr = D integral_0^s mse s / (1 + s)^2 ds
           = H(p) - E[H(gamma)] = E[log gamma_true - log p_true]

p is the share of each different image, so H(p) = log N if no image has a copy; I_N(1) = H(p) is the sum rule. The
information over all data minus that within the classes is I(Y; x_t), the information about the class (docs/theory.md).
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
from jaxtyping import Float, Float64

from twostage.oracle.law import crossing_time
from twostage.oracle.pairs import Sweep

OPEN = 0.05  # share of H(p) between the bounds of a step of the times; the integral is then wrong by far less
LEFT = 0.002  # share of H(p) that may still be unknown at the last time
FINE = 0.01  # the same as OPEN for steps of times that are added
DOUBLINGS = 10  # of s, added at a time if the times end too early
LARGEST = 1e12  # largest s; beyond it, float64 has too few times
ROUNDS = 12  # of adding times


@dataclasses.dataclass(frozen=True)
class Information:
    """The information of x_t about x_1, in nats: arrays (T,) float64, means over the pairs with their standard errors.

    times: ascending; by_gap: from the gap between the targets (from its mean over all x_1 that could have led to x_t,
    if the sweep has it); by_entropy: H(p) minus the posterior's entropy; by_weight: log of the true image's weight
    divided by its share p; total: H(p), the most that x_t can tell (for posteriors within classes, the mean over the
    classes).

    >>> from twostage.oracle import sweep
    >>> data, index = np.eye(8), np.arange(8).repeat(50)
    >>> x_0 = np.random.default_rng(0).standard_normal((400, 8))
    >>> [found] = resolved(lambda times: [sweep(data, index, x_0, times)], [sweep(data, index, x_0, [0.0, 0.5, 1.0])])
    >>> told = information(found)
    >>> abs(told.by_gap[-1] - told.total) < 3 * told.by_gap_sem[-1], round(told.total, 3)
    (np.True_, 2.079)
    """

    times: Float64[np.ndarray, " times"]
    by_gap: Float64[np.ndarray, " times"]
    by_gap_sem: Float64[np.ndarray, " times"]
    by_entropy: Float64[np.ndarray, " times"]
    by_entropy_sem: Float64[np.ndarray, " times"]
    by_weight: Float64[np.ndarray, " times"]
    by_weight_sem: Float64[np.ndarray, " times"]
    total: float

    @property
    def left(self) -> Float64[np.ndarray, " times"]:
        """The information that is still missing at each time, (T,) nats: the mean entropy of the posterior."""
        return self.total - self.by_entropy


@dataclasses.dataclass(frozen=True)
class ClassInformation:
    """The information of x_t about the class, I(Y; x_t) in nats: arrays (T,) float64.

    times: ascending; nats, sem: from the gap between the targets, mean and standard error; by_entropy, by_entropy_sem:
    from the posteriors' entropies; total: H(Y), the limit if no image has two labels.

    >>> from twostage.oracle import sweep
    >>> data, x_0 = np.eye(8), np.random.default_rng(0).standard_normal((400, 8))
    >>> times, within, index = np.linspace(0, 1, 101), np.arange(4).repeat(50), np.arange(8).repeat(50)
    >>> halves = [sweep(data[:4], within, x_0[:200], times), sweep(data[4:], within, x_0[200:], times)]
    >>> of_class = Sweep.merge(dataclasses.replace(half, label=0 * half.label + i) for i, half in enumerate(halves))
    >>> told = class_information(of_class, sweep(data, index, x_0, times))
    >>> abs(told.nats[-1] - told.total) < 3 * told.sem[-1], round(told.total, 3)
    (np.True_, 0.693)
    """

    times: Float64[np.ndarray, " times"]
    nats: Float64[np.ndarray, " times"]
    sem: Float64[np.ndarray, " times"]
    by_entropy: Float64[np.ndarray, " times"]
    by_entropy_sem: Float64[np.ndarray, " times"]
    total: float


def information(sweep: Sweep) -> Information:
    """I_N(t) of a ``Sweep`` as ``Information``; pairs of several classes are weighted by the classes' sizes.

    Raises ValueError for times that do not begin at 0, that are too coarse for the integral, or that end before the
    posterior has settled; ``resolving_times`` adds the missing times.
    """
    curves = _Curves(sweep)
    curves.check()
    found = {}
    for name, values in (("by_gap", curves.gap), ("by_entropy", curves.entropy), ("by_weight", curves.weight)):
        found[name], found[f"{name}_sem"] = curves.mean(values)
    return Information(times=curves.times, total=curves.total, **found)


def class_information(of_class: Sweep, of_all: Sweep) -> ClassInformation:
    """I(Y; x_t) as ``ClassInformation`` from two sweeps of the same pairs (x_0, x_1), in the same order.

    of_class: each pair within its class (``Sweep.merge`` of a sweep per class); of_all: over all data. Classes are
    weighted by their size. Raises ValueError for sweeps of different pairs or times, for pairs of no class, and as
    ``information`` does.
    """
    if len(of_class) != len(of_all) or not np.array_equal(of_class.times, of_all.times) or of_class.dim != of_all.dim:
        raise ValueError(
            f"the sweeps have {len(of_class)} and {len(of_all)} pairs, {len(of_class.times)} and {len(of_all.times)} "
            "times; expected the same pairs at the same times, within their classes and over all data"
        )
    if (of_class.label < 0).any() or (of_all.label >= 0).any():
        raise ValueError("the first sweep is to run within classes (label 0 or above), the second over all data (-1)")
    within, whole = _Curves(of_class), _Curves(of_all)
    within.check()
    whole.check()
    nats, sem = within.mean(whole.gap - within.gap)
    by_entropy, by_entropy_sem = within.mean(whole.entropy - within.entropy)
    share = within.class_sizes / whole.class_sizes
    total = -np.average(np.log(share), weights=share)
    return ClassInformation(within.times, nats, sem, by_entropy, by_entropy_sem, float(total))


def window(
    times: Float[np.ndarray, " times"] | Sequence[float],
    nats: Float[np.ndarray, " times"] | Sequence[float],
    low: float = 0.05,
    high: float = 0.95,
) -> tuple[float, float]:
    """(t_low, t_high), the times at which an information passes these shares of its final value.

    times: (T,) ascending, up to where the information is whole; nats: (T,), not all 0.
    """
    nats = np.asarray(nats, dtype=float)
    if nats.ndim != 1 or len(nats) == 0 or not nats[-1] > 0:
        raise ValueError(f"nats have shape {nats.shape}; expected (T,) that end above 0")
    if not 0 < low < high < 1:
        raise ValueError(f"low and high are {low} and {high}; expected 0 < low < high < 1")
    # an information that ends at 1 passes every share below it
    first, last = (cast(float, crossing_time(nats / nats[-1], times, level)) for level in (low, high))
    return first, last


def resolving_times(sweep: Sweep) -> Float64[np.ndarray, " times"]:
    """The sweep's times and those that ``information`` needs in addition, ascending; the same times if they suffice.

    A change inside a step is seen only after times have been added in it: sweep the new times and call this again.
    """
    return _Curves(sweep).resolving_times()


def resolved(
    run: Callable[[Float64[np.ndarray, " times"]], list[Sweep]], found: list[Sweep], each: bool = False
) -> list[Sweep]:
    """``found`` = run(times), a list of ``Sweep``, with the times added that the information of all their pairs needs.

    each: the information of each sweep by itself. run is called only with the times that are added.
    """
    for _ in range(ROUNDS):
        finer = [resolving_times(sweep) for sweep in (found if each else [Sweep.merge(found)])]
        added = np.setdiff1d(np.concatenate(finer), found[0].times)
        if len(added) == 0:
            break
        found = [Sweep.of_times(pair) for pair in zip(found, run(added))]
    return found


class _Curves:
    """A sweep's pairs in order of the times: information about x_1 from gap, entropy and weight, (P, T) nats.

    s: t / (1 - t) of the times below 1; rate: mean of |x_1 - m|^2 at these times; class_sizes: (C,) number of samples
    in each class of the pairs; total: mean H(p).
    """

    def __init__(self, sweep):
        order = np.argsort(sweep.times, kind="stable")
        self.times = np.asarray(sweep.times, dtype=float)[order]
        if not self.times[0] == 0:
            raise ValueError(f"the sweep's times begin at {self.times[0]:g}; expected 0, where x_t tells nothing yet")
        inner = self.times < 1
        self.s = self.times[inner] / (1 - self.times[inner])
        sizes = sweep.count if sweep.rows is None else sweep.rows
        _, first, own, self._pairs = np.unique(sweep.label, return_index=True, return_inverse=True, return_counts=True)
        self.class_sizes = sizes[first].astype(float)
        self._by_class = np.argsort(own, kind="stable")

        entropy = np.log(sweep.effective_samples[:, order])
        self.entropy = entropy[:, :1] - entropy
        # the probability of a weight that is too small for float64 is equally small
        weight = np.log(np.maximum(sweep.self_weight[:, order], np.finfo(float).tiny))
        self.weight = weight - weight[:, :1]
        gap = sweep.mse if sweep.variance is None else sweep.variance
        error = sweep.dim * gap[:, order][:, inner] / (1 + self.s) ** 2
        pieces = np.diff(self.s) * (error[:, 1:] * self.s[1:] + error[:, :-1] * self.s[:-1]) / 2
        self.gap = np.zeros_like(entropy)
        self.gap[:, 1 : len(self.s)] = pieces.cumsum(1)
        self.gap[:, len(self.s) :] = self.gap[:, [len(self.s) - 1]]  # no more information follows, or ``check`` raises
        self.rate = self.mean(error)[0]
        self.total = float(self.mean(entropy[:, :1])[0][0])
        self._left = float(self.mean(entropy[:, [len(self.s) - 1]])[0][0])

    def mean(self, values):
        """Mean of (P, T) over the pairs, each class weighted by its size, and its standard error: two arrays (T,)."""
        share, pairs = (self.class_sizes / self.class_sizes.sum())[:, None], self._pairs[:, None]
        starts, values = self._pairs.cumsum() - self._pairs, values[self._by_class]
        means = np.add.reduceat(values, starts) / pairs
        mean = (share * means).sum(0)
        values = values - means.repeat(self._pairs, 0)
        variances = np.add.reduceat(values**2, starts) / np.maximum(pairs - 1, 1)
        # the spread within a class of one pair is unknown: the spread between the classes is used instead
        variances[self._pairs == 1] = (share * (means - mean) ** 2).sum(0) + (share * variances).sum(0)
        return mean, np.sqrt((share**2 * variances / pairs).sum(0))

    def _open(self):
        """Largest possible error of the integral in each step, (T - 1,) nats: the difference of its two bounds.

        |x_1 - m|^2 falls with s, so a step's information lies between the growth of s^2 / 2 times its value at either
        end.
        """
        return np.abs(np.diff(self.rate)) * np.diff(self.s**2) / 2

    def check(self):
        worst = self._open()
        if self.total and len(worst) and worst.max() > OPEN * self.total:
            k = worst.argmax()
            raise ValueError(
                f"between t = {self.times[k]:.6g} and {self.times[k + 1]:.6g} the gap falls by {worst[k]:.3g} of "
                f"{self.total:.3g} nats in one step; expected steps that resolve it: sweep resolving_times(sweep)"
            )
        if self._left > LEFT * self.total:
            last = self.times[len(self.s) - 1]
            raise ValueError(
                f"{self._left:.3g} of {self.total:.3g} nats are still unknown at t = {last:.6g}, the last below 1; "
                "expected times on which the posterior settles: sweep resolving_times(sweep)"
            )

    def resolving_times(self):
        if not self.total:
            return self.times
        open_, added = self._open(), []
        for k in np.flatnonzero(open_ > OPEN * self.total):
            pieces = min(int(np.ceil(np.sqrt(open_[k] / (FINE * self.total)))), 64)
            low, high = self.s[k], self.s[k + 1]
            even = low == 0 or high < 2 * low
            added.append((np.linspace if even else np.geomspace)(low, high, pieces + 1)[1:-1])
        if self._left > LEFT * self.total:
            added.append(max(self.s[-1], 1e-3) * 2.0 ** np.arange(1, DOUBLINGS + 1))
        s = np.concatenate(added) if added else np.empty(0)
        s = s[s < LARGEST]
        return np.union1d(self.times, s / (1 + s))
