"""Whom models follow: errors against the oracle, the Gaussian and the conditional target, by t and kind of path."""

import math

import numpy as np
import pandas as pd

from twostage.hdf5 import opened
from twostage.report.results.inputs import splits
from twostage.report.results.paired import means_over

KINDS = {"train": "paths of training images", "held_out": "paths of held-out images", "own": "its own trajectories"}
TARGETS = ("oracle", "gaussian", "conditional")
OWN = "own"


class References:
    """Squared errors of every snapshot on every pair by t, of samples/{space}/fig_references.h5.

    t: (T,); kinds: those of ``KINDS`` that the file has (without held-out latents two); curves: [(model, step), ...],
    in the file's order. Raises ValueError, with the path, for a file that cannot be read.
    """

    def __init__(self, path):
        try:
            with opened(path) as file:
                self.t, names = file["t"][()], (file["model"].asstr()[()], file["step"][()])
                self.kinds = [kind for kind in KINDS if f"{kind}_oracle" in file]
                self._errors = {
                    (kind, name): file[f"{kind}_{name}"][()].astype(float) for kind in self.kinds for name in TARGETS
                }
                self._apart = {
                    kind: file[f"{kind}_apart"][()].astype(float) for kind in self.kinds if f"{kind}_apart" in file
                }
        except (OSError, KeyError) as error:
            raise ValueError(f"{path} cannot be read ({error}); delete it and run its stage again") from None
        self.curves = [(model, int(step)) for model, step in zip(*names)]

    def errors(self, curve, kind, target):
        """Errors of a curve, (model, step), on one kind of path against a target: float64 (T, pairs)."""
        return self._errors[kind, target][self.curves.index(curve)]

    def apart(self, kind):
        """Squared distance between oracle and Gaussian on paths of images, float64 (T, pairs); None where not known."""
        return self._apart.get(kind)

    def of_images(self, curve, kind):
        """Squared error of the predicted image x_t + (1 - t) v against the oracle's: float64 (T, pairs)."""
        return (1 - self.t[:, None]) ** 2 * self.errors(curve, kind, "oracle")

    def means(self, values, low, high):
        """Mean over [low, high] of each pair, (T, pairs) to float64 (pairs,)."""
        return means_over(self.t, values, low, high)

    def steps(self, model):
        """Steps of a model's snapshots, in order."""
        return sorted(step for name, step in self.curves if name == model)

    def named(self, models=None):
        """Models of the file, smallest first: those of ``models``; all if not given. Where none of ``models`` is there,
        the first: how large models made elsewhere are is not known."""
        found = list(dict.fromkeys(name for name, _ in self.curves))
        return found if models is None else [name for name in models if name in found] or found[:1]

    def sizes(self, models=None):
        """[(model, step), ...], smallest first, each at the longest training that all reached; an imported model that
        has no snapshot of it is left out."""
        named = self.named(models)
        shared = min(self.steps(name)[-1] for name in named)
        reached = {name: [step for step in self.steps(name) if step <= shared] for name in named}
        return [(name, steps[-1]) for name, steps in reached.items() if steps]

    def snapshots(self, models=None):
        """[(model, step), ...] of the largest model, in the order of its training."""
        largest = self.named(models)[-1]
        return [(largest, step) for step in self.steps(largest)]


def reference_curves(references, split, *, models=None):
    """One row per (space, kind, model, step, target, t), DataFrame: mean ``error`` over the pairs, with ``_sem``.

    references: {space: fig_references.h5}; split: {space: split.json}; models: names, smallest first. target: one of
    ``TARGETS``, or "image", the squared error of the predicted image against the oracle's. ``role``: "largest" (the
    largest model's last snapshot), "size" (another model at its last), "snapshot" (an earlier one of the largest), or
    "other".
    """
    rows = []
    for space, path in references.items():
        found = References(path)
        largest = found.snapshots(models)[-1]
        for curve in found.curves:
            role = "largest" if curve == largest else "snapshot" if curve[0] == largest[0] else "size"
            role = "other" if role == "size" and curve[1] != found.steps(curve[0])[-1] else role
            for kind in found.kinds:
                for target in (*TARGETS, "image"):
                    errors = found.of_images(curve, kind) if target == "image" else found.errors(curve, kind, target)
                    sem = errors.std(1, ddof=1) / math.sqrt(errors.shape[1]) if errors.shape[1] > 1 else np.nan
                    rows.append(
                        pd.DataFrame(
                            {
                                "space": space, "kind": kind, "model": curve[0], "step": curve[1], "role": role,
                                "target": target, "t": found.t, "pairs": errors.shape[1], "error": errors.mean(1),
                                "error_sem": sem,
                            }
                        )
                    )  # fmt: skip
    return pd.concat(rows, ignore_index=True).merge(splits(split), on="space", how="left")
