"""Norms of velocities by t, pair by pair: of the models, of the oracle and of the conditional target.

With u = x_1 - x_0 and the oracle's u* = E[u | x_t]: E|u|^2 - E|u*|^2 = E|u - u*|^2 = D mse, for any data
(docs/theory.md, Sec. 7). A model equal to the oracle would therefore be shorter than u, by exactly this.
"""

import math

import numpy as np
import pandas as pd

from twostage.hdf5 import opened
from twostage.report.results import curves
from twostage.report.results.inputs import splits
from twostage.report.results.paired import means_over

NEEDED = ("square", "oracle_square", "conditional_square", "gap")
ORACLE = "oracle"


class Norms:
    """Squares of velocities, mean over dimensions, on every pair by t: the training stage's oracle_loss.h5.

    t: (T,); oracle, gap (of u - u*), conditional: float64 (T, pairs); curves: {(model, step): float64 (T, pairs)}.
    Raises ValueError for a file without them, from an earlier version.
    """

    def __init__(self, path):
        with opened(path) as file:
            if missing := missing_in(file):
                raise ValueError(f"{path} lacks {', '.join(missing)}: run its stage again")
            self.t = file["t"][()]
            self.oracle, self.gap = (file[name][()].astype(float) for name in ("oracle_square", "gap"))
            self.conditional = np.broadcast_to(file["conditional_square"][()].astype(float), self.oracle.shape)
            names = zip(file["model"].asstr()[()], file["step"][()])
            self.curves = {(m, int(s)): square.astype(float) for (m, s), square in zip(names, file["square"][()])}

    def means(self, values, low=0.0, high=1.0):
        """Mean over [low, high] of each pair's squares, (T, pairs) to float64 (pairs,)."""
        return means_over(self.t, values, low, high)

    def last(self, model):
        """(step, squares) of a model's last snapshot."""
        step = max(step for name, step in self.curves if name == model)
        return step, self.curves[model, step]

    def identity(self):
        """(E|u|^2 - E|u*|^2) over D mse, means over t, an Estimate: 1 by theory."""
        return curves.ratio_of(self.means(self.conditional - self.oracle), self.means(self.gap))

    def own_deficit(self, model, low, high):
        """Share of the deficit of a model's last snapshot over [low, high] that the oracle does not have, an Estimate:
        (E|u*|^2 - E|v|^2) / (E|u|^2 - E|v|^2). Not known (NaN) unless the model is surely shorter than its target."""
        _, squares = self.last(model)
        own, whole = (self.means(longer - squares, low, high) for longer in (self.oracle, self.conditional))
        return curves.ratio_of(own, whole) if curves.mean_of(whole).low > 0 else curves.UNKNOWN


def missing_in(file):
    """Names that an open oracle_loss.h5 lacks: list of str."""
    return [name for name in NEEDED if name not in file]


def norms_of(path):
    """The ``Norms`` of a file; None for a file of an earlier version, which lacks them."""
    with opened(path) as file:
        lacking = missing_in(file)
    return None if lacking else Norms(path)


def norm_ratio(first, second):
    """Root mean square of ``first`` divided by that of ``second``, from paired squares (pairs,), an Estimate."""
    return curves.Estimate(*(math.sqrt(max(end, 0.0)) for end in curves.ratio_of(first, second)))


def norm_curves(pair_errors, split, *, models=None):
    """Norms by t of every model's last snapshot and of the oracle: one row per (space, model, t), DataFrame.

    pair_errors: {space: oracle_loss.h5}; split: {space: split.json}; models: names, smallest first (the file's order
    when not given). ``over_conditional`` and ``over_oracle``: root mean squares divided by those of u and u*, with
    ``_low`` and ``_high``. For the oracle also ``lacks``, E|u|^2 - E|u*|^2 per dimension, and ``mse``, with ``_sem``.
    """
    rows = []
    for space, path in pair_errors.items():
        norms = Norms(path)
        own = {name: norms.last(name) for name in models or dict.fromkeys(name for name, _ in norms.curves)}
        for model, (step, squares) in {**own, ORACLE: (0, norms.oracle)}.items():
            for place, t in enumerate(norms.t):
                conditional, oracle = norms.conditional[place], norms.oracle[place]
                row = {"space": space, "model": model, "step": step, "t": t, "pairs": len(oracle)}
                ratios = {"over_conditional": conditional, "over_oracle": oracle}
                for name, whole in ratios.items():
                    found = norm_ratio(squares[place], whole)
                    row |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
                if model == ORACLE:
                    for name, values in (("lacks", conditional - oracle), ("mse", norms.gap[place])):
                        row |= {name: values.mean(), f"{name}_sem": values.std(ddof=1) / math.sqrt(len(values))}
                rows.append(row)
    return pd.DataFrame(rows).merge(splits(split), on="space", how="left")
