"""A table of the user's own plans: Fréchet distance of each, and its change against the first."""

import math

import pandas as pd

from twostage.report.figures.distances import (
    DISTANCES,
    distance_cells,
    drawing,
    groups_of,
    rows_of,
    seeds_note,
    split_note,
)
from twostage.report.figures.table import BEST, Cell, decimals, number, picture, table_page
from twostage.report.results.curves import symmetric
from twostage.report.results.plans import own_plans

TITLE = "Plans of this configuration"
SHAPE = ("precision", "recall", "k; features")
PEERS = {"sfid": "sFID", "inception_score": "Inception score"}
FREEDOM = 9  # of the jackknife's ten parts, in each seed

drawn = own_plans


def cells(table):
    """Headings and rows of Cell, from the table of ``drawn``."""
    groups = groups_of(table)
    headings = ["plan", "fields", "guidance", "solver", "NFE"]
    counts = table["samples"].nunique() if "samples" in table.columns else 1
    for space, features in groups:
        headings += [f"{space}, {DISTANCES.get(features, features)}", f"{space}, change"]
        headings += [f"{space}, extrapolated"] if counts > 1 else []
        headings += [f"{space}, {name}" for name in SHAPE] if _has_shape(table, space, features) else []
        headings += [f"{space}, {PEERS[name]}" for name in _peers(table, space, features)]
    headings += ["samples"] if counts > 1 else []
    rows = []
    for plan, own in table.groupby("plan", sort=False):
        first = own.iloc[0]
        row = [Cell(first["name"]), Cell(_fields(first)), Cell(_guidance(first)), Cell(first["solver"])]
        row.append(Cell(f"{first['nfe']}", value=first["nfe"], number=True))
        for space, features in groups:
            row += distance_cells(rows_of(table, space, features), plan)
            row += [_extrapolated(table, space, features, plan)] if counts > 1 else []
            row += _shape_cells(table, space, features, plan) if _has_shape(table, space, features) else []
            row += [_peer_cell(table, space, features, plan, name) for name in _peers(table, space, features)]
        row += [Cell(f"{first['samples']:,}", value=first["samples"], number=True)] if counts > 1 else []
        rows.append(row)
    return headings, rows


def _extrapolated(table, space, features, plan):
    """The distance at infinitely many samples, mean over the seeds, as a Cell."""
    own = _rows_of(table, space, features)
    seeds = own.loc[own["plan"] == plan, "distance_infinite"]
    return number(seeds.mean(skipna=False) if len(seeds) else math.nan, int(decimals(own["mean"], own["mean"] * 0)))


def _has_shape(table, space, features):
    """Whether precision and recall were taken in these features."""
    return "precision" in table.columns and _rows_of(table, space, features)["precision"].notna().any()


def _shape_cells(table, space, features, plan):
    """Precision and recall, means over the seeds, with the numbers they depend on: k, and the features per side."""
    own = _rows_of(table, space, features)
    own = own[own["plan"] == plan]
    cells = [number(own[name].mean(), 3) for name in SHAPE[:2]]
    known = own[["prdc_neighbours", "prdc_samples", "prdc_reference"]].dropna().drop_duplicates()
    words = [f"{k:.0f}; {samples:,.0f}, {reference:,.0f}" for k, samples, reference in known.itertuples(index=False)]
    return [*cells, Cell(" or ".join(words) or "–")]


def _peers(table, space, features):
    """Which of sFID and the Inception score were taken with these features."""
    own = _rows_of(table, space, features)
    return [name for name in PEERS if name in table.columns and own[name].notna().any()]


def _peer_cell(table, space, features, plan, name):
    """Mean over the seeds ± the half width of its 95% interval, from the standard error of each seed."""
    found = {key: _mean_of_seeds(own, name) for key, own in _rows_of(table, space, features).groupby("plan")}
    if plan not in found:
        return number(math.nan, 0)
    half = {key: (each.high - each.low) / 2 for key, each in found.items()}
    places = decimals(pd.Series([each.value for each in found.values()]), pd.Series(half))
    return number(found[plan].value, places, spread=half[plan])


def _mean_of_seeds(rows, name):
    error = math.sqrt((rows[f"{name}_sem"] ** 2).sum(skipna=False)) / len(rows)
    return symmetric(rows[name].mean(skipna=False), error, FREEDOM * len(rows))


def _rows_of(table, space, features):
    return table[(table["space"] == space) & (table["features"] == features)]


def _fields(row):
    """Fields, and their gains (alpha, beta) where a part has one."""
    gain = row.get("gain")
    return f"{row['fields']} (gain {gain})" if isinstance(gain, str) and gain else row["fields"]


def _guidance(row):
    """Scale and intervals as they were written: "split" is each latent space's own split, which the notes give."""
    return "none" if row["guidance"] == 1 else f"{row['guidance']:g} on {row['interval']}"


def notes(table):
    """The notes that a reader needs to judge the numbers, one or two sentences per line."""
    first = table["name"].iloc[0]
    change = f"Change: against {first}, seed by seed (same noise and labels). {BEST}marks the lowest."
    lines = [seeds_note(table), change, *filter(None, [split_note(table)])]
    if "samples" in table.columns and table["samples"].nunique() > 1:
        lines.append("Compare rows with different numbers of samples only by the extrapolated distances.")
    if any(_has_shape(table, space, features) for space, features in groups_of(table)):
        lines.append(
            "Precision and recall depend on k (the nearest neighbour that sets the radii) and on how many features the "
            "samples and the reference have; these numbers stand beside them."
        )
    if any(_peers(table, space, features) for space, features in groups_of(table)):
        lines.append("Compare sFID and Inception scores only between equal numbers of samples.")
    return lines


def figure(table):
    """The table as a picture."""
    headings, rows = cells(table)
    return picture(TITLE, headings, rows, notes(table))


def page(table):
    """The table as a self-contained HTML page (str)."""
    headings, rows = cells(table)
    return table_page(TITLE, headings, rows, lead=" ".join(notes(table)))


draw = drawing(drawn, figure, page)
