"""Models compared pair by pair. Every model's error is measured on the same pairs (x_0, x_1), and some pairs are hard
for every model. So two models are compared by their difference on each pair, whose spread is far below that of the
errors.
"""

from pathlib import Path

import numpy as np

from twostage.hdf5 import opened
from twostage.report.results import curves

FOLDS = 2
NEEDED = ("model", "step", "t", "oracle")


class PairErrors:
    """Oracle loss of every snapshot on every pair by t: the training stage's oracle_loss.h5.

    Raises ValueError, with the path, for a file that is not there, not HDF5, or lacks what it must have.
    """

    def __init__(self, path):
        self.path = path
        if not Path(path).is_file():
            raise ValueError(f"{path} is not there; expected the HDF5 file of an earlier stage: run that stage first")
        try:
            with opened(path) as file:
                if missing := [name for name in NEEDED if name not in file]:
                    raise ValueError(
                        f"{path} lacks {', '.join(missing)}; it has {', '.join(file)}: run its stage again"
                    )
                models, steps = file["model"].asstr()[()], file["step"][()]
                self.t, self.errors = file["t"][()], file["oracle"][()].astype(float)
        except OSError as error:
            raise ValueError(f"{path} cannot be read as HDF5 ({error}); delete it and run its stage again") from None
        self.places = {(model, int(step)): place for place, (model, step) in enumerate(zip(models, steps))}

    def curve(self, rows):
        """Oracle loss of the curve in ``rows`` (one model and step): float64 (T, pairs), at the times ``t``."""
        model, step = rows["model"].iloc[0], int(rows["step"].iloc[0])
        if (model, step) not in self.places:
            raise ValueError(f"{self.path} has no errors of {model} at step {step}; run its stage again")
        return self.errors[self.places[model, step]]

    def means(self, rows, low, high):
        """Mean oracle loss over [low, high] of each pair, float64 (pairs,), of the curve in ``rows`` (one model and
        step); NaN where the range is empty. As ``curves.mean_over`` has it for the mean of all pairs."""
        return means_over(self.t, self.curve(rows), low, high)


def means_over(t, values, low, high):
    """Mean over [low, high] of each pair's polyline, float64 (pairs,), values float (T, pairs) at t; NaN where the
    range is empty."""
    low, high = max(low, t[0]), min(high, t[-1])
    if not low < high:
        return np.full(values.shape[1], np.nan)
    weights = [curves.area(t, unit, low, high) for unit in np.eye(len(t))]
    return np.asarray(weights) @ values / (high - low)


def apart(errors, choose, seed=0):
    """The difference of a curve between two places that are chosen on the curve itself, an Estimate.

    errors: float (T, pairs); choose: mean curve (T,) -> (first, second), positions. The number is the mean at the first
    place minus that at the second. If the places are chosen on the same pairs on which they are measured, the
    difference is too large. So the places are chosen on one half of the pairs and measured on the other half
    (cross-fitting). There are two folds, because with many folds the places are chosen on nearly the same pairs, and
    the values are more correlated than their spread shows. Not known with fewer than two pairs.
    """
    if errors.shape[1] < 2:
        return curves.UNKNOWN
    member = np.random.default_rng(seed).permutation(errors.shape[1]) % FOLDS
    values = np.empty(errors.shape[1])
    for fold in range(FOLDS):
        first, second = choose(errors[:, member != fold].mean(1))
        values[member == fold] = (errors[first] - errors[second])[member == fold]
    return curves.mean_of(values)
