"""The transition by the number of samples N on real data at fixed D, measured and predicted; nothing is fitted.

One row per latent space: the transition times, and the error of the law.
"""

import matplotlib.ticker
import numpy as np

from twostage.report.figures import layout, style
from twostage.report.results.transitions import size_sweep

drawn = size_sweep
POOLS = {"class": "subsets of a class (one point per class)", "pooled": "subsets of all classes together"}
WHOLE = "subsets of all images"  # where there are no classes
BAND = 5  # per cent


def figure(table):
    """The figure from its table (``drawn``)."""
    spaces = list(dict.fromkeys(table["space"]))
    colours = style.colours_of(table, "space")
    with style.look():
        picture, panels = style.new_figure(len(spaces), 2, width=5.0, height=3.9)
        for axes, space in zip(panels, spaces):
            rows = table[table["space"] == space]
            _times(axes[0], rows, colours[space])
            _errors(axes[1], rows, colours[space])
            ends = rows[rows["pool"] == "pooled"].sort_values("n").iloc[[0, -1]]
            first, last = (f"{row.measured:.2f} at N = {row.n:,}" for row in ends.itertuples())
            layout.title(
                axes[0],
                f"{space} (D = {rows['dim'].iloc[0]:,.0f}): the transition of all "
                f"{'classes together' if _has_classes(rows) else 'images'} moves from {first} to {last}",
            )
            of_a_class = rows["pool"] == "class"
            error, most = rows["error"].abs(), rows.loc[of_a_class | ~of_a_class.any(), "n"].max()
            layout.title(
                axes[1],
                f"{space}: the law is off by {error.median():.1%} in the median, by "
                f"{error[rows['n'] == most].median():.1%} at N = {most:,}",
            )
            for panel in axes:
                panel.set_xscale("log")
                panel.xaxis.set_major_formatter(matplotlib.ticker.StrMethodFormatter("{x:,.0f}"))
                panel.set_xlabel("number of samples N")
        return layout.fitted(picture, panels)


def _has_classes(rows):
    return (rows["pool"] == "class").any()


def _pools(rows):
    return POOLS if _has_classes(rows) else {"pooled": WHOLE}


def _times(axes, rows, colour):
    """Measured transitions with their 95% intervals, and the law's prediction dashed."""
    for pool, own in _series(rows):
        pooled = pool == "pooled"
        spread = np.abs(own[["lo", "hi"]].to_numpy(dtype=float).T - own["measured"].to_numpy(dtype=float))
        axes.errorbar(
            own["n"], own["measured"], yerr=spread, fmt="D" if pooled else "o", color=colour,
            markersize=6 if pooled else 4, markerfacecolor="white" if pooled else colour, linewidth=1.2,
            alpha=1.0 if pooled else 0.55, label=_pools(rows)[pool], zorder=3 if pooled else 2,
        )  # fmt: skip
        axes.plot(own["n"], own["predicted"], color=colour, linewidth=1.8 if pooled else 0.9, linestyle="--")
    axes.plot([], [], color=style.QUIET, linewidth=1.2, linestyle="--", label="predicted, nothing fitted")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("transition time t")
    layout.legend(axes)


def _errors(axes, rows, colour):
    """The error of each prediction in per cent, with the median over the classes as a line."""
    axes.axhspan(-BAND, BAND, color=style.QUIET, alpha=0.15, linewidth=0, label=f"within {BAND}%")
    axes.axhline(0, color=style.QUIET, linewidth=0.8)
    for pool, own in _series(rows):
        pooled = pool == "pooled"
        axes.plot(
            own["n"], 100 * own["error"], "D--" if pooled else "o", color=colour, alpha=1.0 if pooled else 0.55,
            markersize=6 if pooled else 4, markerfacecolor="white" if pooled else colour, label=_pools(rows)[pool],
        )  # fmt: skip
    if _has_classes(rows):
        middle = rows[rows["pool"] == "class"].groupby("n")["error"].median()
        axes.plot(middle.index, 100 * middle, color=colour, linewidth=2, label="median over the classes")
    axes.set_ylabel("law against measurement, per cent")
    layout.legend(axes)


def _series(rows):
    """(pool, rows in the order of N) of each class and of all together."""
    for (pool, _), own in rows.groupby(["pool", "label"], sort=False):
        yield pool, own.sort_values("n")


def draw(nsweep, output_pdf, output_png, output_csv, *, config=None):
    """Read {space: nsweep.csv}; write the figure as PDF, PNG and CSV."""
    table = drawn(nsweep)
    style.save(figure(table), table, output_pdf, output_png, output_csv, inputs=[*nsweep.values()], config=config)
