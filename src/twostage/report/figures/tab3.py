"""Tab. 3: guidance interval. Fréchet distance with guidance on one interval of t at a time, and without.

The paper's gFID stands beside the short intervals, in their recovered order (likely, not certain). Which number belongs
to which of its wide intervals is lost. (a) draws the short intervals over t and marks the stage split, (b) the wide
ones by their ends.
"""

import math

import numpy as np
import seaborn

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
from twostage.report.results import paper
from twostage.report.results.plans import TIMES, guidance_intervals

TITLE = "Tab. 3  Guidance interval: classifier-free guidance on a part of [0, 1]"

KINDS = {"none": "–", "data": "from the data"}
MEANINGS = {
    "transition": "where the law's curve goes from 0.1 to 0.9",
    "class": "where x_t tells 5% to 95% of the class",
}
DASHES = ("-", "--")  # of the windows, in the panel of the short intervals

drawn = guidance_intervals


def cells(table):
    """Headings, rows of Cell and the indices of the paper's columns, from the table of ``drawn``."""
    groups = groups_of(table)
    headings = ["guidance on", "kind"]
    for space, features in groups:
        headings += [f"{space}, {DISTANCES.get(features, features)}", f"{space}, change"]
    quiet = (len(headings),) if compares(table) else ()
    headings += ["paper, gFID"] if compares(table) else []
    best = table.loc[table["kind"] == "short", "paper"].min()
    rows = []
    for plan, own in table.groupby("plan", sort=False):
        first = own.iloc[0]
        row = [Cell(_words(first), value=first["low"]), Cell(KINDS.get(first["kind"], first["kind"]))]
        for space, features in groups:
            row += distance_cells(rows_of(table, space, features), plan)
        mark = BEST if first["kind"] == "short" and first["paper"] == best else ""
        rows.append([*row, number(first["paper"], 2, mark=mark)] if compares(table) else row)
    return headings, rows, quiet


def _words(row):
    """Where guidance acts: times, none, or the name of a window of the data; with model and scale if beside."""
    words = row["named"] if row["named"] != TIMES else "none" if math.isnan(row["low"]) else _interval(row)
    if row["kind"] != "beside":
        return words
    return f"{words}, {row['model']}" + ("" if math.isnan(row["low"]) else f" at scale {row['guidance']:g}")


def _interval(row):
    return f"[{row['low']:.3g}, {row['high']:.3g}]"


def notes(table):
    """The notes that a reader needs to judge the numbers, one or two sentences per line."""
    scale = ""
    if "guidance" in table.columns:
        scales = sorted(set(table.loc[~table["kind"].isin(["none", "beside"]), "guidance"]))
        scale = f" Guidance scale {', '.join(f'{value:g}' for value in scales)}."
    lines = [
        f"{seeds_note(table)}{scale}",
        f"Change: against no guidance, seed by seed (same noise and labels). {BEST}marks the lowest short interval and "
        "the lowest wide one.",
        *filter(None, [split_note(table), _windows_note(table)]),
    ]
    if compares(table):
        lines.append(
            "Paper: LightningDiT-B, gFID of 50,000 samples on ImageNet 256. The order of its short intervals was "
            "recovered from a broken table (likely, not certain). The ends of its eleven wide intervals are lost; "
            f"their gFID, sorted: {', '.join(f'{value:.2f}' for value in sorted(paper.TABLE3_WIDE))}."
        )
    return lines


def _windows_note(table):
    """Which times the data name, by latent space; "" where no plan asks."""
    named = table[table["kind"] == "data"].drop_duplicates(["space", "named"])
    found = [
        f"{name}, {MEANINGS[name]}: " + ", ".join(f"{_interval(row)} in {row['space']}" for _, row in rows.iterrows())
        for name, rows in named.groupby("named", sort=False)
    ]
    return f"From the data: {'; '.join(found)}." if found else ""


def figure(table):
    """The table as a picture, and under it the distance on short and on wide intervals, one row per space."""
    headings, rows, quiet = cells(table)
    made = picture(TITLE, headings, rows, notes(table), quiet=quiet)
    groups = groups_of(table)
    with style.look():
        panels = style.panels_under(made, len(groups), 2)
        colours = style.colours_of(table, "space")
        for axes, (space, features) in zip(panels, groups):
            part = rows_of(table, space, features)
            name = space if len(groups) == len(colours) else f"{space}, {features}"
            none = part.loc[part["kind"] == "none", "mean"]
            base = none.iloc[0] if len(none) else math.nan
            _short(axes[0], part, base, colours[space], name)
            _wide(axes[1], part, base, name)
            split = part.iloc[0]
            style.mark_split(axes[0], split)
            style.time_axis(axes[0])
            axes[0].set_xticks(np.linspace(0, 1, 6))
            layout.legend(axes[0])
        style.fit_under(made, panels)
    return made


def compares(table):
    """Whether the paper has a number for at least one row, by its short intervals."""
    return bool(table.loc[table["kind"] == "short", "paper"].notna().any())


def _short(axes, part, base, colour, name):
    """Distance relative to no guidance, by t: each short interval is a bar as wide as the interval."""
    rows = part[part["kind"] == "short"].sort_values("low")
    height, error = rows["mean"] / base, style.half_width(rows, "change") / base
    middle, width = (rows["low"] + rows["high"]) / 2, rows["high"] - rows["low"]
    axes.bar(
        middle, height - 1, width=0.92 * width, bottom=1, color=colour, alpha=0.75, label=f"{name}",
        yerr=error, error_kw={"elinewidth": 1, "capsize": 2, "ecolor": style.TEXT},
    )  # fmt: skip
    ours = np.column_stack([rows["low"], rows["high"]])
    points = [(low, high, paper.TABLE3_SHORT.get((round(low, 6), round(high, 6)), math.nan)) for low, high in ours]
    if any(math.isfinite(value) for *_, value in points):
        axes.plot(
            [(low + high) / 2 for low, high, _ in points], [value / paper.TABLE3_NONE for *_, value in points], "o:",
            color=style.QUIET, markerfacecolor="white", markersize=4.5, linewidth=1.1, label="paper (order recovered)",
        )  # fmt: skip
    for dash, (_, window) in zip(DASHES, part[part["kind"] == "data"].drop_duplicates("plan").iterrows()):
        level = [window["mean"] / base] * 2
        axes.plot(
            [window["low"], window["high"]], level, dash, color=style.TEXT, linewidth=1.8,
            label=f"{window['named']}, from the data",
        )  # fmt: skip
    axes.axhline(1, color=style.QUIET, linewidth=0.9)
    axes.set_ylabel("distance / distance without guidance")
    best = rows[rows["best"]]
    text = (
        _none_lowest(rows, "no short interval")
        if best.empty
        else f"lowest on {style.unbroken(_interval(best.iloc[0]))}, {best['mean'].iloc[0] / base:.2f}"
    )
    layout.title(axes, f"{name} (a) Short intervals, {text}")


def _none_lowest(rows, none):
    return "none is the lowest" if len(rows) else none


def _wide(axes, part, base, name):
    """The distance on every wide interval relative to no guidance; the row is its start, the column its end."""
    rows = part[part["kind"] == "wide"]
    grid = rows.assign(relative=rows["mean"] / base).pivot(index="low", columns="high", values="relative")
    if grid.size:
        seaborn.heatmap(
            grid.rename(index="{:g}".format, columns="{:g}".format), ax=axes, annot=True, fmt=".2f", cmap="cividis",
            cbar=False, linewidths=1,
        )  # fmt: skip
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.set_xlabel("guided up to t")
    axes.set_ylabel("guided from t")
    best = rows[rows["best"]]
    text = _none_lowest(rows, "none was run") if best.empty else f"lowest on {style.unbroken(_interval(best.iloc[0]))}"
    layout.title(axes, f"{name} (b) Wide intervals, distance / distance without guidance: {text}")


def page(table):
    """The table as a self-contained HTML page (str)."""
    headings, rows, _ = cells(table)
    return table_page("Tab. 3 Guidance interval", headings, rows, lead=" ".join(notes(table)))


draw = drawing(drawn, figure, page)
