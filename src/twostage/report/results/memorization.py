"""Distances of samples to training images (Figs. 5 and 6, App. F)."""

import math

import numpy as np
import pandas as pd

from twostage.report.results.inputs import read_table, splits

MEMORIZED = (
    "followed_distance", "nearest_distance", "ratio", "copied", "retrieved", "within_one_grey_level",
)  # fmt: skip
MEMORIZATION = ("plan", "seed", "space", "t_switch", "t_resume", "samples", *MEMORIZED)
CONTROL = "held-out images"


def memorization_distances(memorization, time=None, split=None):
    """Distances of samples to training images, seeds pooled: one row per (space, features, plan), DataFrame.

    memorization: {space: {experiment}-memorization.csv}; time: the column in which its plans differ, "t_switch" or
    "t_resume", which becomes ``t``, or None; split: {space: split.json}. ``features`` is the space of the distances:
    "pixel" (root mean square in grey levels) or the name of the features. ``control`` marks the held-out images, which
    are measured as if they were samples. Means over samples and their standard errors (``_sem``): followed_distance,
    nearest_distance, ratio (d1 / d2), copied (share with ratio below 1/3), retrieved (the nearest image is the followed
    one or a copy of it), and within_one_grey_level (no pixel is further than that from the followed image).
    """
    parts = []
    for space, path in memorization.items():
        rows = read_table(path, MEMORIZATION).rename(columns={"space": "features"})
        rows["control"] = rows["plan"] == CONTROL
        rows["t"] = rows[time] if time else np.nan
        if time and rows.loc[~rows["control"], "t"].isna().any():
            raise ValueError(f"{path} has plans without {time}; expected the plans of one experiment")
        groups = rows.groupby(["features", "plan", "control", "t"], sort=False, dropna=False)
        parts.append(pd.DataFrame([{**dict(zip(groups.keys, key)), **_pooled(own)} for key, own in groups]))
        parts[-1].insert(0, "space", space)
    if not parts:
        raise ValueError("no latent space was given; expected a mapping from its name to its CSV")
    return pd.concat(parts, ignore_index=True).merge(splits(split), on="space", how="left")


def _pooled(rows):
    """Means over the samples of all seeds, each seed's mean weighted by its samples, with standard errors."""
    share = rows["samples"] / rows["samples"].sum()
    pooled = {"samples": int(rows["samples"].sum())}
    for name in MEMORIZED:
        pooled[name] = (share * rows[name]).sum(min_count=1)
        error = rows.get(f"{name}_sem", pd.Series(np.nan, index=rows.index))
        pooled[f"{name}_sem"] = math.sqrt(((share * error) ** 2).sum()) if error.notna().all() else math.nan
    return pooled


def distances_of_plans(table, space, features):
    """The samples' rows of ``memorization_distances``, without the control, in order of t."""
    chosen = (table["space"] == space) & (table["features"] == features) & ~table["control"]
    return table[chosen].sort_values("t", kind="stable")


def control_of(table, space, features):
    """The control's row of ``memorization_distances`` as a Series, or None where it was not measured."""
    rows = table[(table["space"] == space) & (table["features"] == features) & table["control"]]
    return rows.iloc[0] if len(rows) else None
