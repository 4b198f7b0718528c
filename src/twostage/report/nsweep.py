"""The transition against the number of samples N on real data at fixed D, measured and predicted, nothing fitted."""

import matplotlib.ticker
import numpy as np

from twostage.report import results, style

drawn = results.size_sweep


def figure(table):
    """The figure from its table (``drawn``)."""
    spaces = list(dict.fromkeys(table["space"]))
    colours = style.space_colours(spaces)
    with style.look():
        picture, panels = style.new_figure(1, len(spaces), width=5.0, height=4.0)
        for axes, space in zip(panels[0], spaces):
            rows = table[table["space"] == space]
            for number, ((pool, label), part) in enumerate(rows.groupby(["pool", "label"], sort=False)):
                pooled = pool == "pooled"
                _points(
                    axes, part.sort_values("n"), colours[space], filled=not pooled,
                    marker=style.MODEL_MARKERS[number % len(style.MODEL_MARKERS)],
                    label="all classes pooled" if pooled else f"subsets of class {label}",
                )  # fmt: skip
            axes.plot([], [], color=style.QUIET, linewidth=1.2, linestyle="--", label="predicted, nothing fitted")
            error, ends = rows["error"].abs(), rows.sort_values("n").iloc[[0, -1]]
            first, last = (f"{row.measured:.2f} at N = {row.n:,}" for row in ends.itertuples())
            style.title(
                axes,
                f"{space} (D = {rows['dim'].iloc[0]:,.0f}): the transition moves from {first} to {last}; "
                f"the law is off by {error.median():.1%} in the median, {error.max():.1%} at worst",
            )
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(matplotlib.ticker.StrMethodFormatter("{x:,.0f}"))
            axes.set_ylim(0, min(1.0, 1.15 * rows[["measured", "predicted"]].to_numpy(dtype=float).max()))
            axes.set_xlabel("number of samples N")
            axes.set_ylabel("transition time t")
            style.legend(axes, loc="lower right")
        return picture


def _points(axes, part, colour, *, filled, marker, label):
    """Measured transitions with their 95% intervals, and the law's prediction as a dashed line."""
    spread = np.abs(part[["lo", "hi"]].to_numpy(dtype=float).T - part["measured"].to_numpy(dtype=float))
    axes.errorbar(
        part["n"], part["measured"], yerr=np.nan_to_num(spread), fmt=marker, markersize=6, color=colour,
        markerfacecolor=colour if filled else "white", linewidth=1.2, label=label,
    )  # fmt: skip
    axes.plot(part["n"], part["predicted"], color=colour, linewidth=1.2, linestyle="--")


def draw(nsweep, output_pdf, output_png, output_csv, *, config=None):
    """Read {space: nsweep.csv}; write the figure as PDF, PNG and CSV."""
    table = drawn(nsweep)
    style.save(figure(table), table, output_pdf, output_png, output_csv, inputs=[*nsweep.values()], config=config)
