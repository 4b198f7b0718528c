"""Differences of plans' distances, with the interval on which they are judged.

Plans share a seed's noise and labels, sample by sample. So a difference of their distances has a much smaller error
than either distance. The error is estimated by leaving the same tenth of the samples out of every plan
(``distance_without_*``, the delete-a-part jackknife of ``twostage.evaluation.jackknife``); this gives an interval even
for a single seed.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from twostage.report.results import curves, paired

WITHOUT = "distance_without_"
NOTHING = curves.Estimate(0.0, 0.0, 0.0)  # the contrast of plans with the same samples
ROUNDING = 1e-12  # of the distances that a difference is made of; those of equal samples differ by some 1e-16 of them


def without_columns(table):
    """Names of the columns with the distances without each part of the samples."""
    return [name for name in table.columns if name.startswith(WITHOUT)]


def known_columns(table):
    """Names of the optional columns of an evaluation that the table has: errors, costs and settings of a distance."""
    optional = ("distance_sem", "distance_infinite", "samples", "nfe", "guidance")
    return [*(name for name in optional if name in table.columns), *without_columns(table)]


@dataclass(frozen=True)
class Distances:
    """Distances of plans over the sampling seeds that all of them have.

    values: DataFrame, one row per seed, one column per plan; parts: DataFrame, one row per part of the samples of a
    seed: the jackknife's pseudo-values of the distance. Their mean is that of ``values``; their spread gives its error.
    Where the distances without each part are not known, the seeds are the parts.
    """

    values: pd.DataFrame
    parts: pd.DataFrame

    @classmethod
    def of(cls, rows, names):
        """``Distances`` from rows of a table with seed and distance; names: the label of each row, one per plan."""
        rows = rows.assign(name=list(names))
        columns = without_columns(rows)
        wide = rows.pivot(index="seed", columns="name", values=["distance", *columns])
        values = wide["distance"].dropna()
        without = np.array([wide[column].loc[values.index].to_numpy() for column in columns])
        if not len(without) or not np.isfinite(without).all():
            return cls(values, values)
        parts = values.to_numpy() - (len(without) - 1) * (without - without.mean(0))
        return cls(values, pd.DataFrame(parts.reshape(-1, values.shape[1]), columns=values.columns))

    def contrast(self, weights):
        """Weighted sum of plans ({name: weight}), mean over the seeds, with its 95% interval: an Estimate.

        ``NOTHING`` where the plans are ``alike``, or where only rounding is left of them.
        """
        if self.alike(weights):
            return NOTHING
        terms = self.parts[list(weights)] * pd.Series(weights, dtype=float)
        return _unless_rounding(curves.mean_of(terms.sum(axis=1)), terms.abs().sum(axis=1))

    def alike(self, plans):
        """Whether several plans (names) have the same samples: their distances differ by no more than rounding.

        So are all plans of a model that gives one image whatever it starts from. Nothing about such plans is decided,
        with whatever weights they are compared: a contrast of them is ``NOTHING``.
        """
        own = self.parts[list(plans)].to_numpy()
        return own.shape[1] > 1 and bool(np.ptp(own, axis=1).max(initial=0) <= ROUNDING * abs(own).max(initial=0))

    def difference(self, first, second):
        """Mean distance of the plans ``first`` minus that of the plans ``second`` (lists of names), an Estimate."""
        weights = {name: 1 / len(first) for name in first}
        for name in second:
            weights[name] = weights.get(name, 0) - 1 / len(second)
        return self.contrast(weights)

    def share(self, part, whole):
        """One weighted sum of plans as a share of another (each {name: weight}), an Estimate.

        Not known (NaN) unless the other's whole interval lies above zero: there is nothing to have a share of.
        """
        if not self.contrast(whole).low > 0:
            return curves.UNKNOWN
        sums = [(self.parts[list(weights)] * pd.Series(weights, dtype=float)).sum(axis=1) for weights in (part, whole)]
        return curves.ratio_of(*sums)

    def lead(self, plans, others):
        """The lowest distance of ``others`` minus the lowest of ``plans`` (names), an Estimate: positive if they lead.

        The lowest are chosen on one half of the parts and compared on the other half (``paired.apart``).
        """
        names = [*others, *plans]

        def choose(means):
            return int(np.argmin(means[: len(others)])), len(others) + int(np.argmin(means[len(others) :]))

        parts = self.parts[names]
        return _unless_rounding(paired.apart(parts.to_numpy().T, choose), parts.abs().max(axis=1))

    def beyond(self, plan, others, base, share):
        """By how much ``plan`` gains on ``base`` beyond a ``share`` of what the best of ``others`` gains, an Estimate.

        A gain is the distance of ``base`` minus a plan's. Which of ``others`` is best is decided as in ``lead``.
        """
        against = self.parts[others].mul(share).add((1 - share) * self.parts[base], axis=0)
        return Distances(self.values, against.assign(**{"": self.parts[plan]})).lead([""], others)


def _unless_rounding(found, scale):
    """The Estimate ``found``, or ``NOTHING`` where it is rounding of distances of the size of ``scale``, (parts,)."""
    return NOTHING if max(map(abs, found)) <= ROUNDING * scale.mean() else found


def with_changes(table, base):
    """The table with mean and change of every plan, each with its 95% interval: columns ``mean``, ``mean_low``,
    ``mean_high``, ``change``, ``change_low``, ``change_high``.

    table: rows with space, features, plan, seed and distance; base: for each row, the plan with which its plan is
    compared, or None (an iterable). Mean and change are over the seeds. The change is paired by seed and sample. It is
    NaN where the two plans differ in their number of samples, because such distances cannot be compared.
    """
    table = table.assign(base=list(base))
    found = {}
    for key, own in table.groupby(["space", "features", "plan"], sort=False):
        space, features, plan = key
        first = own["base"].iloc[0]
        rows = table[(table["space"] == space) & (table["features"] == features)]
        found[key] = [*Distances.of(own, own["plan"]).contrast({plan: 1}), *_change(rows, plan, first)]
    columns = ["mean", "mean_low", "mean_high", "change", "change_low", "change_high"]
    keys = zip(table["space"], table["features"], table["plan"])
    table[columns] = [found[key] for key in keys]
    return table.drop(columns="base")


def _change(rows, plan, base):
    if plan == base:
        return NOTHING
    rows = rows[rows["plan"].isin([plan, base])]
    counts = rows["samples"].nunique() if "samples" in rows else 1
    distances = Distances.of(rows, rows["plan"])
    if counts > 1 or len(distances.values.columns) < 2 or distances.values.empty:
        return curves.UNKNOWN
    return distances.contrast({plan: 1, base: -1})
