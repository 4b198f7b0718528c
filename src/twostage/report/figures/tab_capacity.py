"""Where capacity is needed: distance and operations for all eight assignments of a large and a small model to three
parts.

Below the table, for each latent space, (a) the increase of the distance by the small model in each part and (b) the
distance of every assignment against its floating-point operations.
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
from twostage.report.figures.table import Cell, picture, table_page
from twostage.report.results import capacity

TITLE = "Capacity  Two models in three parts: where is the large one needed?"
SIGNS = {capacity.LARGE: "●", capacity.SMALL: "○"}

drawn = capacity.capacities


def cells(table):
    """Headings and rows of Cell, from the table of ``drawn``."""
    groups = groups_of(table)
    headings = list(capacity.PARTS)
    for space in dict.fromkeys(table["space"]):
        for features in (features for other, features in groups if other == space):
            headings += [f"{space}, {DISTANCES.get(features, features)}", f"{space}, change"]
        headings += [f"{space}, evaluations, large + small", f"{space}, FLOPs"]
    rows = []
    for kind, own in table.groupby("kind", sort=False):
        row = [Cell(own.iloc[0][part]) for part in capacity.PARTS]
        for space in dict.fromkeys(table["space"]):
            for features in (features for other, features in groups if other == space):
                part = rows_of(table, space, features)
                row += distance_cells(part, next(iter(part.loc[part["kind"] == kind, "plan"]), None))
            row += _cost_cells(own[own["space"] == space])
        rows.append(row)
    return headings, rows


def _cost_cells(rows):
    if rows.empty:
        return [Cell("–", value=0, number=True)] * 2
    first = rows.iloc[0]
    evaluations = first["large_evaluations"], first["small_evaluations"]
    flops, share = first["network_flops"], first["flops_share"]
    return [
        Cell(" + ".join(map(str, evaluations)), value=evaluations[0], number=True),
        Cell(f"{share:.0%}", value=share, number=True, quiet=f"{flops:.3g} per sample"),
    ]


def _models(table):
    """Names of the large and of the small model."""
    kinds = capacity.BOTH_LARGE, capacity.BOTH_SMALL
    return [table.loc[table["kind"] == kind, capacity.PARTS[0]].iloc[0] for kind in kinds]


def notes(table):
    """What a reader needs to judge the numbers, one sentence or two per line."""
    large, small = _models(table)
    late = " or ".join(f"{time:g}" for time in sorted(set(table["late"])))
    return [
        seeds_note(table),
        f"Change: against {large} throughout, seed by seed (same noise and labels). FLOPs: of the networks, as a share "
        f"of {large} throughout.",
        f"Navigation ends at the split, early refinement at t = {late}.",
        *filter(None, [split_note(table)]),
        *(_shares_note(table, space, features, small) for space, features in groups_of(table)),
    ]


def _shares_note(table, space, features, small):
    """The small model's cost in each part as a share of its cost throughout, as a sentence."""
    name = f"{space}, {DISTANCES.get(features, features)}"
    distances = capacity.distances_of(_rows(table, space, features))
    if distances is None:
        return f"{name}: an assignment or a seed is missing, so costs by part are not known."
    whole = {capacity.BOTH_SMALL: 1, capacity.BOTH_LARGE: -1}
    total = distances.contrast(whole)
    shares = {part: distances.share(weights, whole) for part, weights in capacity.costs().items()}
    interval = "(interval not known)" if np.isnan(total.low) else f"[{total.low:.3g}, {total.high:.3g}]"
    words = f"{name}: {small} throughout costs {total.value:+.3g} {interval}"
    if any(np.isnan(share.value) for share in shares.values()):
        return f"{words}, not clear of zero, so its parts have no shares."
    told = ", ".join(f"{part} {s.value:.0%} [{s.low:.0%}, {s.high:.0%}]" for part, s in shares.items())
    return f"{words}; of that, mean over all orders: {told}."


def _rows(table, space, features):
    return table[(table["space"] == space) & (table["features"] == features)]


def figure(table):
    """The table as a picture, and under it the costs by part and the distance against FLOPs, a row per space."""
    headings, rows = cells(table)
    made = picture(TITLE, headings, rows, notes(table))
    groups, (large, small) = groups_of(table), _models(table)
    with style.look():
        panels = style.panels_under(made, len(groups), 2)
        colours = style.colours_of(table, "space")
        for axes, (space, features) in zip(panels, groups):
            name = space if len(groups) == len(colours) else f"{space}, {features}"
            _by_part(axes[0], _rows(table, space, features), colours[space], name, large, small)
            _by_flops(axes[1], rows_of(table, space, features), colours[space], name, large, small)
        style.fit_under(made, panels)
    return made


def _by_part(axes, rows, colour, name, large, small):
    """The small model's cost in each part: with the large model elsewhere, and as the mean over all orders."""
    distances, most = capacity.distances_of(rows), "not known"
    if distances is not None:
        alone = [{capacity.alone(part): 1, capacity.BOTH_LARGE: -1} for part in capacity.PARTS]
        orders = list(capacity.costs().values())
        for number, (label, weights) in enumerate([(f"{large} elsewhere", alone), ("mean over all orders", orders)]):
            found = [distances.contrast(each) for each in weights]
            places = np.arange(len(found)) + 0.36 * (number - 0.5)
            axes.bar(
                places, [each.value for each in found], 0.34, color=colour, alpha=(0.4, 0.85)[number], label=label,
                yerr=np.nan_to_num([(each.high - each.low) / 2 for each in found]),
                error_kw={"elinewidth": 1, "capsize": 2, "ecolor": style.TEXT},
            )  # fmt: skip
        costs = [each.value for each in found]
        most = capacity.PARTS[int(np.argmax(costs))] if np.ptp(costs) else "no part, all are alike"
    axes.axhline(0, color=style.QUIET, linewidth=0.9)
    axes.set_xticks(range(len(capacity.PARTS)), [part.replace(" ", "\n") for part in capacity.PARTS])
    axes.set_ylabel("cost in distance")
    layout.legend(axes, below=layout.BELOW + 0.15)
    layout.title(axes, f"{name} (a) What {small} costs, most in: {most}")


def _by_flops(axes, rows, colour, name, large, small):
    """The distance of every assignment against its operations."""
    error = np.nan_to_num(style.half_width(rows, "change"))
    axes.errorbar(
        rows["flops_share"], rows["mean"], error, color=colour, linestyle="none", marker="o", markersize=5, capsize=2.5,
        linewidth=1.2,
    )  # fmt: skip
    for _, row in rows.iterrows():
        signs = "".join(SIGNS[kind] for kind in row["kind"].split("-"))
        axes.annotate(signs, (row["flops_share"], row["mean"]), (6, 3), textcoords="offset points", fontsize=8)
    axes.margins(x=0.2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_xlabel(f"FLOPs, share of {large} throughout")
    axes.set_ylabel("distance")
    layout.title(axes, f"{name} (b) In each part: ●\N{NO-BREAK SPACE}{large}, ○\N{NO-BREAK SPACE}{small}")


def page(table):
    """The table as a self-contained HTML page (str)."""
    headings, rows = cells(table)
    return table_page(TITLE, headings, rows, lead=" ".join(notes(table)))


draw = drawing(drawn, figure, page)
