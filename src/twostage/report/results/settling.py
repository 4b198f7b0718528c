"""When the posterior settles on single images, its prediction from their distances to others, and which are copied."""

import math

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from twostage.report.results import curves
from twostage.report.results.inputs import read_spaces

SETTLING = (
    "row", "label", "n", "dim", "noises", "time", "time_sd", "nearest", "distance", "law", "law_nearest", "drawn",
    "class",
)  # fmt: skip
FOLLOWED = ("plan", "t_switch", "followed", "nearest_distance", "ratio")
PIXEL = "pixel"  # where d1 and d2 are measured
COPY = 1 / 3  # a sample is a copy when d1 / d2 is below


def settling_images(settling):
    """One row per (space, image), DataFrame; settling: {space: settling.csv}.

    time_low, time_high: the 95% interval of its mean time over the noises, by Student's t; ``drawn``: whether it was
    drawn from its class; the other images are those that samples followed.
    """
    table = read_spaces(settling, SETTLING)[["space", *SETTLING]]
    half = stdtrit(table["noises"] - 1, 0.975) * table["time_sd"] / np.sqrt(table["noises"])
    return table.assign(time_low=table["time"] - half, time_high=table["time"] + half)


def settled_copies(table, followed):
    """How close the samples that followed an image are to copies, by the time of the switch: DataFrame.

    table: ``settling_images``; followed: {space: fig5-neighbours.csv}. One row per (space, t_switch, image), without
    switches at t = 1, after which the model does not act: row, time, d1 (mean distance of its samples to their nearest
    training image, in pixels), ratio (mean d1 / d2) and copied (share of them below 1/3).
    """
    parts = []
    for space in [space for space in followed or () if (table["space"] == space).any()]:
        samples = read_spaces({space: followed[space]}, FOLLOWED)
        features = pd.read_csv(followed[space], usecols=["space"])["space"]
        samples = samples[(features == PIXEL) & (samples["followed"] >= 0) & (samples["t_switch"] < 1)]
        samples = samples.dropna(subset="ratio").assign(copied=lambda rows: (rows["ratio"] < COPY).astype(float))
        samples = samples.rename(columns={"followed": "row", "nearest_distance": "d1"})
        means = samples.groupby(["t_switch", "row"], as_index=False)[["d1", "ratio", "copied"]].mean()
        parts.append(table.loc[table["space"] == space, ["space", "row", "time"]].merge(means, on="row"))
    columns = ["space", "t_switch", "row", "time", "d1", "ratio", "copied"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def last_switch(copies, space):
    """The rows of ``settled_copies`` of a space's last switch before t = 1."""
    own = copies[copies["space"] == space]
    return own[own["t_switch"] == own["t_switch"].max()]


def by_halves(copies):
    """Share of copies among the images that settle first and among the others: (earlier, later)."""
    earlier = copies["time"] <= copies["time"].median()
    return float(copies.loc[earlier, "copied"].mean()), float(copies.loc[~earlier, "copied"].mean())


def rank_correlation(first, second, groups=None):
    """Spearman's rank correlation within groups, an Estimate.

    Ranks are taken within each group (None: one group), divided by its size, and correlated over all. Interval:
    Fisher's z with the variance of Bonett and Wright (2000), (1 + r^2 / 2) / (n - 3), minus one degree of freedom for
    each group beyond the first. Values that are not finite and groups of one are left out; NaN where nothing is left.
    """
    table = pd.DataFrame({"first": np.asarray(first, dtype=float), "second": np.asarray(second, dtype=float)})
    table["group"] = 0 if groups is None else np.asarray(groups)
    table = table[np.isfinite(table[["first", "second"]]).all(axis=1)]
    found = table.groupby("group")
    size = found["first"].transform("size")
    ranks = (found[["first", "second"]].rank().sub((size + 1) / 2, axis=0)).div(size, axis=0)[size > 1]
    freedom = len(ranks) - table.loc[ranks.index, "group"].nunique() - 2
    squares = (ranks**2).sum()
    if freedom < 1 or not squares.all():
        return curves.UNKNOWN
    value = float((ranks["first"] * ranks["second"]).sum() / math.sqrt(squares.prod()))
    if abs(value) > 1 - 1e-9:
        return curves.Estimate(value, value, value)
    half = curves.CONFIDENCE * math.sqrt((1 + value**2 / 2) / freedom)
    return curves.Estimate(value, *(math.tanh(math.atanh(value) + sign * half) for sign in (-1, 1)))


def share_of_images(table):
    """Share of the variance of single pairs' times, about their class's mean, that the images explain (one space).

    By analysis of variance: the noise's part in the variance of the images' means is subtracted.
    """
    table = table[table["drawn"]]
    within = (table["time_sd"] ** 2).mean()
    centred = table["time"] - table.groupby("label")["time"].transform("mean")
    freedom = len(table) - table["label"].nunique()
    if freedom < 1:
        return math.nan
    between = max((centred**2).sum() / freedom - (table["time_sd"] ** 2 / table["noises"]).mean(), 0.0)
    return between / (between + within) if between + within else math.nan
