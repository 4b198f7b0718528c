"""The distance with velocities made longer near the prior, by a gain 1 + alpha (1 - t)^beta (arXiv:2605.14819)."""

import math

from twostage.report.figures.distances import (
    DISTANCES,
    distance_cells,
    drawing,
    groups_of,
    rows_of,
    seeds_note,
    split_note,
)
from twostage.report.figures.table import BEST, Cell, picture, table_page
from twostage.report.results.plans import velocity_gains

TITLE = "Gain of the velocity near the prior, 1 + α (1 − t)^β"

drawn = velocity_gains


def cells(table):
    """Headings and rows of Cell, from the table of ``drawn``."""
    groups, spaces = groups_of(table), list(dict.fromkeys(table["space"]))
    headings = ["α", "β", *(f"{space}, gain at the split" for space in spaces)]
    for space, features in groups:
        headings += [f"{space}, {DISTANCES.get(features, features)}", f"{space}, change"]
    rows = []
    for plan, own in table.groupby("plan", sort=False):
        first, at_split = own.iloc[0], own.groupby("space")["at_split"].first()
        row = [_exactly(first["alpha"], "none"), _exactly(first["beta"], "–")]
        row += [_exactly(round(at_split.get(space, math.nan), 3), "–") for space in spaces]
        for space, features in groups:
            row += distance_cells(rows_of(table, space, features), plan)
        rows.append(row)
    return headings, rows


def _exactly(value, otherwise):
    return Cell(f"{value:g}" if math.isfinite(value) else otherwise, value=value, number=True)


def notes(table):
    """What a reader needs to judge the numbers, one sentence or two per line."""
    change = f"Change: against no gain, seed by seed (same noise and labels). {BEST}the lowest."
    return [seeds_note(table), change, *filter(None, [split_note(table)])]


def figure(table):
    """The table as a picture."""
    headings, rows = cells(table)
    return picture(TITLE, headings, rows, notes(table))


def page(table):
    """The table as a self-contained HTML page (str)."""
    headings, rows = cells(table)
    return table_page(TITLE, headings, rows, lead=" ".join(notes(table)))


draw = drawing(drawn, figure, page)
