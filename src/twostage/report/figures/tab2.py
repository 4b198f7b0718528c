"""Tab. 2: timestep shift. Fréchet distance by shift, beside the shares of steps before t = 0.2 and before the split.

The paper's share and gFID stand beside: another data set, other features, 50,000 samples. What compares is where the
best share lies, not the numbers. (a, b) draw the distance against the share, each curve between its
own lowest and highest distance: where a curve is lowest compares, how deep it is does not.
"""

import math

import numpy as np

from twostage.report.figures import layout, style
from twostage.report.figures.distances import (
    DISTANCES,
    distance_cells,
    drawing,
    groups_of,
    rows_of,
    seeds_note,
    split_note,
)
from twostage.report.figures.table import BEST, Cell, number, picture, table_page
from twostage.report.results.plans import timestep_shifts

TITLE = "Tab. 2  Timestep shift: fewer steps near the prior, or more"
UNIFORM = 1

drawn = timestep_shifts


def cells(table):
    """Headings, rows of Cell and the indices of the paper's columns, from the table of ``drawn``."""
    groups, spaces = groups_of(table), list(dict.fromkeys(table["space"]))
    headings = ["shift s", "t′ ≤ 0.2", *(f"{space}, before split" for space in spaces)]
    for space, features in groups:
        headings += [f"{space}, {DISTANCES.get(features, features)}", f"{space}, change"]
    quiet = (len(headings), len(headings) + 1) if compares(table) else ()
    headings += ["paper, t′ ≤ 0.2", "paper, gFID"] if compares(table) else []
    best = table["paper"].min()
    rows = []
    for plan, own in table.groupby("plan", sort=False):
        first, shares = own.iloc[0], own.groupby("space")["share_before_split"].first()
        uniform = " (uniform)" if first["shift"] == UNIFORM else ""
        row = [Cell(f"{first['shift']:g}{uniform}", value=first["shift"]), _percent(first["share_before_0.2"])]
        row += [_percent(shares.get(space, math.nan)) for space in spaces]
        for space, features in groups:
            row += distance_cells(rows_of(table, space, features), plan)
        paper_best = BEST if first["paper"] == best else ""
        row += [_percent(first["paper_share"]), number(first["paper"], 2, mark=paper_best)] if compares(table) else []
        rows.append(row)
    return headings, rows, quiet


def _percent(share):
    return Cell(f"{share:.0%}" if math.isfinite(share) else "–", value=share, number=True)


def notes(table):
    """The notes that a reader needs to judge the numbers, one or two sentences per line."""
    lines = [
        seeds_note(table),
        "Change: against uniform steps, seed by seed (same noise and labels).",
        f"Columns in %: share of the step starts t′ = s t / (1 + (s − 1) t) up to 0.2, and up to the stage split."
        f" {BEST}marks the lowest.",
    ]
    if times := split_note(table):
        lines.append(times)
    if compares(table):
        lines.append("Paper: LightningDiT-B, gFID of 50,000 samples on ImageNet 256. Scale and features differ:")
        lines[-1] += " compare where the lowest lies."
    return lines


def compares(table):
    """Whether the paper has a number for at least one row, by its shifts."""
    return bool(table["paper"].notna().any())


def figure(table):
    """The table as a picture, and under it the distance by both shares, each curve scaled to its own range."""
    headings, rows, quiet = cells(table)
    made = picture(TITLE, headings, rows, notes(table), quiet=quiet)
    with style.look():
        panels = style.panels_under(made, 1, 2)[0]
        colours = style.colours_of(table, "space")
        for axes, share, name, theirs in (
            (panels[0], "share_before_0.2", "(a) Share of step starts up to t′ = 0.2", "paper_share"),
            (
                panels[1],
                "share_before_split",
                "(b) Share of step starts up to the stage split" + (" (the paper's: 0.1)" if compares(table) else ""),
                "paper_share_before_split",
            ),
        ):
            for order, (space, features) in enumerate(groups_of(table)):
                part = rows_of(table, space, features).sort_values(share)
                marker = style.MODEL_MARKERS[order % len(style.MODEL_MARKERS)]
                error = style.half_width(part, "change")
                _curve(axes, part[share], part["mean"], error, f"{space}, {features}", "-", marker, colours[space])
            known = table.dropna(subset="paper").drop_duplicates("shift").sort_values(theirs)
            if len(known):
                zero = np.zeros(len(known))
                _curve(axes, known[theirs], known["paper"], zero, "paper", ":", "o", style.QUIET)
            axes.set_xlim(0, 1)
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
            axes.set_xlabel(layout.wrapped(name[4:], layout.panel_width(axes), 10))
            layout.title(axes, f"{name[:3]} {_lowest(table, share, theirs)}")
        panels[0].set_ylabel("distance (0: lowest, 1: highest)")
        layout.legend(panels[0])
        style.fit_under(made, panels[None])
    return made


def _curve(axes, share, distance, error, name, line, marker, colour):
    """One curve scaled to its own lowest and highest distance, which its label gives."""
    low, high = distance.min(), distance.max()
    reach = high - low if high > low else 1.0
    axes.errorbar(
        share, (distance - low) / reach, error / reach, color=colour, linestyle=line, marker=marker, markersize=5,
        linewidth=1.6, capsize=2.5, markerfacecolor="white" if line == ":" else colour,
        label=f"{name}: {low:.3g} to {high:.3g}",
    )  # fmt: skip


def _lowest(table, share, theirs):
    lowest = [
        (least, style.unbroken(f"{least:.0%} ({space})"))
        for space, features in groups_of(table)
        for part in [rows_of(table, space, features)]
        for least in part.loc[part["best"], share].iloc[:1]
    ]
    best = table[theirs][table["paper"] == table["paper"].min()]
    words = f"; the paper's at {best.iloc[0]:.0%}" if len(best) else ""
    return (f"Lowest distance at a share of {layout.few(lowest)}" if lowest else "No distance is the lowest") + words


def page(table):
    """The table as a self-contained HTML page (str)."""
    headings, rows, _ = cells(table)
    return table_page("Tab. 2 Timestep shift", headings, rows, lead=" ".join(notes(table)))


draw = drawing(drawn, figure, page)
