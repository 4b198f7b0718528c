"""The information that x_t carries about x_1 and its class, in nats: of the data, of unit Gaussians, of the paper."""

import math

import numpy as np
import pandas as pd

from twostage.report.results import curves, paper
from twostage.report.results.gaussians import SYNTHETIC
from twostage.report.results.inputs import read_spaces, read_table

OWN = ("n", "dim", "pairs", "total", "by_gap", "by_gap_sem", "by_entropy", "by_entropy_sem", "by_weight", "left")
INFORMATION = ("conditioning", "t", *OWN, "gaussian")
READ_OFF = "paper"  # the conditioning of the paper's rows


def information_curves(information, synthetic=None):
    """Information by t, DataFrame: of each latent space, of unit Gaussians, and from the paper's points.

    information: {space: information.csv}; synthetic: that of unit Gaussians. conditioning: "class" and "all", I(x_1;
    x_t) within the classes and over all data; "label", I(Y; x_t); "synthetic"; "paper", with errors of reading.
    """
    tables = [read_spaces(information, INFORMATION)[["space", *INFORMATION]]]
    if synthetic is not None:
        tables.append(read_table(synthetic, INFORMATION)[list(INFORMATION)].assign(space=SYNTHETIC))
    tables.append(paper_information())
    return pd.concat(tables, ignore_index=True)[["space", *INFORMATION]]


def paper_information():
    """The information from the points read off the paper's Fig. 2a up to t = 0.1: rows of ``information_curves``."""
    tables = []
    for name, points in paper.FIG2A.items():
        dim = paper.DIMENSION[name]
        flat = [(t, paper.READING) for t, _ in points]
        error = carried(flat, dim) / curves.CONFIDENCE
        columns = {"t": [t for t, _ in points], "by_gap": carried(points, dim), "by_gap_sem": error}
        told = {"n": paper.IMAGES, "dim": dim, "total": math.log(paper.IMAGES)}
        tables.append(pd.DataFrame(columns).assign(space=f"paper, {name}", conditioning=READ_OFF, **told))
    return pd.concat(tables, ignore_index=True)


def carried(points, dim):
    """Information (nats) from a polyline of the targets' gap, (t, MSE) with t < 1, up to each of its points: (T,).

    D integral MSE t / (1 - t) dt, exact for the polyline (docs/theory.md, Sec. 3).
    """
    t, mse = (np.asarray(values, dtype=float) for values in zip(*points))
    # the integrals of t / (1 - t) and of t^2 / (1 - t)
    first = -t - np.log1p(-t)
    slope = np.diff(mse) / np.diff(t)
    pieces = (mse[:-1] - slope * t[:-1]) * np.diff(first) + slope * np.diff(first - t**2 / 2)
    return dim * np.concatenate([[0.0], np.cumsum(pieces)])


def cases(table, *conditionings):
    """(space, conditioning, rows in order of t) of each curve of these kinds."""
    chosen = table[table["conditioning"].isin(conditionings)]
    for (space, conditioning, *_), rows in chosen.groupby(["space", "conditioning", "dim", "n"], sort=False):
        yield space, conditioning, rows.sort_values("t")


def whole_by_gap(rows):
    """The whole information from the gap, divided by the entropy: an Estimate."""
    last = rows.iloc[-1]
    return curves.symmetric(last["by_gap"] / last["total"], last["by_gap_sem"] / last["total"])
