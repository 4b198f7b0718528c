"""Posterior curves of unit Gaussians beside the points read off the paper (Fig. 3)."""

import numpy as np

from twostage.report.results import curves, paper
from twostage.report.results.inputs import read_table

TOP1 = ("panel", "dim", "size", "t", "trials", "top1", "top1_sem", "precision")
SYNTHETIC = "unit Gaussians"


def gaussian_curves(top1):
    """The rows of synthetic/top1.csv, with the weight read off the paper in ``paper``, where it is known."""
    table = read_table(top1, TOP1)[list(TOP1)]
    known = {
        (panel, dim, size, round(t, 6)): weight
        for panel, points in (("dimension", paper.FIG3_DIMENSION), ("size", paper.FIG3_SIZE))
        for (dim, size), values in points.items()
        for t, weight in values
    }
    keys = zip(table["panel"], table["dim"], table["size"], table["t"].round(6))
    table["paper"] = [known.get(key, np.nan) for key in keys]
    return table


def gaussian_curve(table, panel, dim, size, precision="exact"):
    """The rows of one curve over unit Gaussians, in order of t."""
    chosen = (table["panel"] == panel) & (table["dim"] == dim) & (table["size"] == size)
    return table[chosen & (table["precision"] == precision)].sort_values("t")


def gaussian_pairs(table, panel):
    """The (D, N) pairs of a panel, in order of the number that it varies."""
    varied = {"dimension": "dim", "size": "size"}[panel]
    found = table.loc[table["panel"] == panel, ["dim", "size"]].drop_duplicates().sort_values(varied)
    return [(int(dim), int(size)) for dim, size in found.itertuples(index=False)]


def distance_to_paper(table, panel, dim, size, precision="exact"):
    """Mean absolute difference between a curve over unit Gaussians and the points read off the paper, an Estimate."""
    exact = gaussian_curve(table, panel, dim, size)
    points = exact.dropna(subset="paper")
    rows = gaussian_curve(table, panel, dim, size, precision)
    if points.empty or rows.empty:
        return curves.Estimate(np.nan, np.nan, np.nan)
    off = [
        curves.at(rows["t"], rows["top1"], rows["top1_sem"], t).value - y for t, y in zip(points["t"], points["paper"])
    ]
    error = curves.CONFIDENCE * np.mean([np.interp(t, rows["t"], rows["top1_sem"]) for t in points["t"]])
    value = float(np.mean(np.abs(off)))
    return curves.Estimate(value, max(value - error, 0.0), value + error)
