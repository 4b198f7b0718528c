"""Fig. 3: the top-1 posterior weight on unit Gaussians, varying D (a) and N (b); (c) exact and rounded distances.

The points read off the paper stand beside the curves. The paper's curves at high D are later than those of exact
arithmetic. Rounding the squared distances to bfloat16 moves the exact curves most of the way to them: a likely cause,
not a proven one.
"""

import math

import numpy as np

from twostage.report.figures import layout, style
from twostage.report.results import curves
from twostage.report.results.gaussians import distance_to_paper, gaussian_curve, gaussian_curves, gaussian_pairs

VARIED = {"dimension": ("dim", "D"), "size": ("size", "N")}

drawn = gaussian_curves


def figure(table):
    """Fig. 3 from its table (``drawn``)."""
    exact = table[table["precision"] == "exact"]
    last = exact.loc[exact["top1"] < 0.99, "t"].max()  # beyond it every curve is flat at 1
    limits = (0.0, float(min(1.0, np.ceil(10 * 1.2 * last) / 10)))
    with style.look():
        picture, panels = style.new_figure(1, 3, width=4.4, height=4.0)
        for axes, panel in zip(panels[0], VARIED):
            _sweep(axes, table, panel)
        _precision(panels[0][2], table)
        for axes in panels[0]:
            axes.plot([], [], "o", color=style.QUIET, markerfacecolor="white", markersize=5.5, label="paper (read off)")
            style.time_axis(axes, limits=limits)
            axes.set_ylim(0, 1.03)
            axes.set_ylabel("top-1 posterior weight")
            layout.legend(axes)
        return layout.fitted(picture, panels)


def _sweep(axes, table, panel):
    varied, letter = VARIED[panel]
    order = gaussian_pairs(table, panel)
    halves = []
    for (dim, size), colour in zip(order, style.sequence(len(order))):
        rows = gaussian_curve(table, panel, dim, size)
        value = dim if varied == "dim" else size
        style.curve(axes, rows["t"], rows["top1"], rows["top1_sem"], colour=colour, label=f"{letter} = {value:,}")
        half = curves.first_crossing(rows["t"], rows["top1"], 0.5)
        halves.append("(not reached)" if math.isnan(half) else f"{half:.3f}")
        _paper(axes, rows, colour)
    fixed = f"N = {order[0][1]:,}" if varied == "dim" else f"D = {order[0][0]:,}"
    name = "(a) Varying D" if varied == "dim" else "(b) Varying N"
    layout.title(axes, f"{name} at {fixed}, unit Gaussians: top-1 weight is ½ at t = {', '.join(halves)}")


def _precision(axes, table):
    order = gaussian_pairs(table, "dimension")
    for (dim, size), colour in zip(order, style.sequence(len(order))):
        exact, rounded = (gaussian_curve(table, "dimension", dim, size, kind) for kind in ("exact", "bfloat16"))
        axes.plot(exact["t"], exact["top1"], color=colour, label=f"D = {dim:,}, exact")
        if len(rounded):
            style.curve(
                axes, rounded["t"], rounded["top1"], rounded["top1_sem"],
                colour=colour, linewidth=1.4, linestyle="--", label=f"D = {dim:,}, bfloat16",
            )  # fmt: skip
        _paper(axes, exact, colour)
    dim, size = order[-1]
    found = {
        name: distance_to_paper(table, "dimension", dim, size, kind).value
        for name, kind in (("exact", "exact"), ("rounded", "bfloat16"))
    }
    told = ", ".join(f"{name} {value:.2f}" for name, value in found.items() if not math.isnan(value))
    compared = f". Mean difference from the paper at D = {dim:,}: {told}" if told else ""
    layout.title(axes, f"(c) Exact and bfloat16 distances{compared}")


def _paper(axes, rows, colour):
    points = rows.dropna(subset="paper")
    axes.plot(
        points["t"], points["paper"], "o", color=colour, markerfacecolor="white", markersize=5.5, markeredgewidth=1.4
    )


def draw(top1, output_pdf, output_png, output_csv, *, config=None):
    """Read synthetic/top1.csv; write Fig. 3 as PDF, PNG and CSV."""
    table = drawn(top1)
    style.save(figure(table), table, output_pdf, output_png, output_csv, inputs=[top1], config=config)
