"""Models compared pair by pair. Every model's error is measured on the same pairs (x_0, x_1), some of which are hard
for every model: what tells two models apart is the difference on each pair, whose spread is far below the errors' own.
"""

from pathlib import Path

import h5py
import numpy as np

from twostage.report import curves

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
            with h5py.File(path) as file:
                if missing := [name for name in NEEDED if name not in file]:
                    raise ValueError(
                        f"{path} lacks {', '.join(missing)}; it has {', '.join(file)}: run its stage again"
                    )
                models, steps = file["model"].asstr()[()], file["step"][()]
                self.t, self.errors = file["t"][()], file["oracle"][()].astype(float)
        except OSError as error:
            raise ValueError(f"{path} cannot be read as HDF5 ({error}); delete it and run its stage again") from None
        self.places = {(model, int(step)): place for place, (model, step) in enumerate(zip(models, steps))}

    def means(self, rows, low, high):
        """Mean oracle loss over [low, high] of each pair, float64 (pairs,), of the curve in ``rows`` (one model and
        step); NaN where the range is empty. As ``curves.mean_over`` has it for the mean of all pairs."""
        model, step = rows["model"].iloc[0], int(rows["step"].iloc[0])
        if (model, step) not in self.places:
            raise ValueError(f"{self.path} has no errors of {model} at step {step}; run its stage again")
        errors = self.errors[self.places[model, step]]
        low, high = max(low, self.t[0]), min(high, self.t[-1])
        if not low < high:
            return np.full(errors.shape[1], np.nan)
        weights = [curves.area(self.t, unit, low, high) for unit in np.eye(len(self.t))]
        return np.asarray(weights) @ errors / (high - low)
