"""Who does which half: Fréchet distance with one field up to the split and another after it, and shares of each half.

Below the table, for each latent space, (a) the distance by the field up to the split, one line per field after it, and
(b) each half's share of the distance of a model throughout, in excess of the oracle's own.
"""

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
from twostage.report.figures.table import Cell, number, picture, table_page
from twostage.report.results import halves

TITLE = "Halves  One field up to the split, another after it: who does what?"
SIZE, UNDER = 8, 0.2  # size of a row's name, in points; distance of its marks below it, in rows
ROW = 0.42  # inches
TICKS = [first * 10**power for power in range(-2, 4) for first in (1, 2, 5)]

drawn = halves.halves


def cells(table):
    """Headings and rows of Cell, from the table of ``drawn``."""
    groups = groups_of(table)
    headings = ["up to the split", "after it"]
    for space, features in groups:
        headings += [f"{space}, {DISTANCES.get(features, features)}", f"{space}, change"]
        headings += [f"{space}, share of {half}" for half in halves.SHARES]
        headings += [f"{space}, evaluations"] if _is_last(groups, space, features) else []
    rows = []
    for kind, own in table.groupby("kind", sort=False):
        first = own.iloc[0]
        row = [Cell(first["before"]), Cell(first["after"])]
        for space, features in groups:
            part = rows_of(table, space, features)
            mine = part[part["kind"] == kind]
            row += distance_cells(part, next(iter(mine["plan"]), None))
            row += [_share_cell(mine, half) for half in halves.SHARES]
            if _is_last(groups, space, features):
                row.append(Cell(f"{mine['nfe'].iloc[0]}" if len(mine) else "–", value=mine["nfe"].max(), number=True))
        rows.append(row)
    return headings, rows


def _is_last(groups, space, features):
    """Whether these are the last features of a space: its evaluations stand after them."""
    return [each for each in groups if each[0] == space][-1] == (space, features)


def _share_cell(rows, half):
    if rows.empty or np.isnan(rows[half].iloc[0]):
        return number(np.nan, 0)
    row = rows.iloc[0]
    spread = (row[f"{half}_high"] - row[f"{half}_low"]) / 2
    return Cell(f"{row[half]:.0%} ± {spread:.0%}", value=row[half], number=True)


def notes(table):
    """What a reader needs to judge the numbers, one sentence or two per line."""
    seeds = seeds_note(table.drop(columns="nfe"))
    return [
        f"{seeds} The Gaussian acts by its exact flow, without a function evaluation.",
        "Change: against the field after the split acting throughout, seed by seed (same noise and labels).",
        "Shares: of the distance in excess of the oracle's own, mean over both orders of replacing the oracle; a dash "
        "where one half is the oracle's, or the excess is not clear of zero.",
        *filter(None, [split_note(table)]),
    ]


def figure(table):
    """The table as a picture, and under it the distances by navigator and the shares, a row per space."""
    headings, rows = cells(table)
    made = picture(TITLE, headings, rows, notes(table))
    groups = groups_of(table)
    with style.look():
        panels = style.panels_under(made, len(groups), 2)
        colours = style.model_colours(list(dict.fromkeys(table["after"])))
        for axes, (space, features) in zip(panels, groups):
            name = space if table["features"].nunique() == 1 else f"{space}, {features}"
            part = rows_of(table, space, features)
            _by_navigator(axes[0], part, colours, name)
            _by_half(axes[1], part, colours, name)
        style.fit_under(made, panels, height=max(3.4, 1.2 + ROW * table["before"].nunique()))
    return made


def _by_navigator(axes, rows, colours, name):
    """The distance by the field up to the split, one row per field below its name: a mark per field after the split."""
    navigators = halves.navigators_of(rows)
    for after, own in rows.groupby("after", sort=False):
        own = own.set_index("before").reindex(navigators)
        axes.errorbar(
            own["mean"], np.arange(len(own)) + UNDER, xerr=np.nan_to_num(style.half_width(own, "mean")),
            color=colours[after], marker="o", markersize=4.5, linewidth=1.2, capsize=2.5, label=f"then {after}",
        )  # fmt: skip
    _named_rows(axes, navigators)
    axes.set_xscale("log")
    ticks = [tick for tick in TICKS if axes.get_xlim()[0] <= tick <= axes.get_xlim()[1]]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("distance, by the field up to the split")
    layout.legend(axes)
    told = []
    for after, own in rows.groupby("after", sort=False):
        low, high = own["mean"].min(), own["mean"].max()
        told.append((high, style.unbroken(f"{low:.2g} to {high:.2g} (then {after})")))
    layout.title(axes, f"{name} (a) Whoever navigates: {layout.few(told)}")


def _named_rows(axes, names):
    """Rows from the top at 0, 1, ..., each under its name; a long name reaches the curves, which end at its edge."""
    for place, text in enumerate(names):
        line = layout.wrapped(text, layout.panel_width(axes) - 0.1, SIZE)
        axes.text(
            0.01, place - 0.05, line, transform=axes.get_yaxis_transform(), va="bottom", fontsize=SIZE,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )  # fmt: skip
    axes.set_ylim(len(names) - 0.4, -0.75)
    axes.set_yticks([])


def _by_half(axes, rows, colours, name):
    """Each half's share of a model's distance in excess of the oracle's, as bars that add up to it."""
    models, ideal = halves.models_of(rows), rows.loc[rows["kind"] == halves.IDEAL, "mean"]
    own = rows[rows["before"] == rows["after"]].set_index("after").reindex(models)
    excess = own["mean"] - (ideal.iloc[0] if len(ideal) else np.nan)
    left = np.zeros(len(models))
    for half, alpha in zip(halves.SHARES, (0.4, 0.85)):
        width = (own[half] * excess).to_numpy()
        axes.barh(
            np.arange(len(models)) + UNDER, np.nan_to_num(width), 0.4, left=left, alpha=alpha,
            color=[colours[model] for model in models],
        )  # fmt: skip
        left = left + np.nan_to_num(width)
    words = [
        "excess not clear of zero" if np.isnan(share) else f"{share:.0%} in navigation (pale), {1 - share:.0%} after it"
        for share in own["navigation"]
    ]
    _named_rows(axes, [f"{model}: {text}" for model, text in zip(models, words)])
    axes.set_xlim(left=min(0.0, *np.nan_to_num(own["navigation"] * excess), *np.nan_to_num(own["refinement"] * excess)))
    axes.set_xlabel("distance in excess of the oracle's own")
    known = own["refinement"].dropna()
    told = "no excess is clear of zero"
    if len(known):
        told = f"refinement makes at least {known.min():.0%} of each" + " that is known" * (len(known) < len(own))
    layout.title(axes, f"{name} (b) Each model throughout; {told}")


def page(table):
    """The table as a self-contained HTML page (str)."""
    headings, rows = cells(table)
    return table_page(TITLE, headings, rows, lead=" ".join(notes(table)))


draw = drawing(drawn, figure, page)
