"""Fig. 2: where the CFM target and the oracle target differ, and how the posterior weight concentrates.

(a) MSE between the two targets, (b) top-1 posterior weight, (c) the MSE on a log scale, exact and with 1e-3 added to
1 - t in the oracle's denominators: only with this offset does it rise as t -> 1, as the paper reports.
"""

from twostage.report.figures import layout, style
from twostage.report.results import curves, paper
from twostage.report.results.posterior import posterior_curves, posterior_of, saturation_of
from twostage.split import FIXED

FLOOR = 1e-10
NEAR_DATA = 0.99  # where title (c) compares the exact gap with the paper's

drawn = posterior_curves


def figure(table):
    """Fig. 2 from its table (``drawn``)."""
    spaces = list(dict.fromkeys(table["space"]))
    colours = style.colours_of(table, "space")
    with style.look():
        picture, panels = style.new_figure(1, 3, width=4.4, height=4.0)
        gap, weight, tail = panels[0]
        for space in spaces:
            rows, everything = posterior_of(table, space), posterior_of(table, space, "all")
            colour, first = colours[space], rows.iloc[0]
            name = f"{space} (D = {first['dim']:,.0f})"
            for axes, quantity in ((gap, "mse"), (weight, "top1")):
                style.curve(axes, rows["t"], rows[quantity], rows[f"{quantity}_sem"], colour=colour, label=name)
                axes.plot(everything["t"], everything[quantity], color=colour, linewidth=1.1, linestyle="--")
                style.mark_split(axes, first, colour=colour)
            tail.plot(rows["t"], rows["mse"].clip(lower=FLOOR / 100), color=colour, label=f"{space}, exact")
            tail.plot(
                rows["t"], rows["mse_offset"], color=colour, linewidth=1.3, linestyle="--", label=f"{space}, +1e-3"
            )
        _paper_points(gap, paper.FIG2A)
        _paper_points(weight, paper.FIG2B)
        t, mse = zip(*paper.FIG2A_TAIL)
        tail.plot(t, mse, "o", color=style.QUIET, markerfacecolor="white", markersize=5, label="paper, both")
        if (table["conditioning"] == "all").any():
            gap.plot([], [], color=style.QUIET, linewidth=1.1, linestyle="--", label="unconditional")
        gap.plot([], [], color=style.QUIET, linewidth=1.2, linestyle=":", label="stage split")
        _titles(table, spaces, gap, weight, tail)
        gap.set_ylabel("MSE(CFM target, oracle target)")
        weight.set_ylabel("top-1 posterior weight")
        tail.set_ylabel("MSE(CFM target, oracle target), log scale")
        tail.set_yscale("log")
        tail.set_ylim(FLOOR, 5)
        gap.set_ylim(bottom=0)
        weight.set_ylim(0, 1.03)
        for axes in panels[0]:
            style.time_axis(axes)
            layout.legend(axes)
        return layout.fitted(picture, panels)


def _titles(table, spaces, gap, weight, tail):
    """Set titles that say what each panel shows, in this run's numbers."""
    shares, splits, ends = [], [], []
    for space in spaces:
        rows = posterior_of(table, space)
        saturated = saturation_of(table, space).value
        share = curves.share_before(rows["t"], rows["mse"], rows["mse_sem"], saturated).value
        shares.append((share, f"{share:.1%} of it before t = {saturated:.2f} ({space})"))
        measured, fixed = rows["measured"].iloc[0], ""
        if rows["split_source"].iloc[0] == FIXED:
            fixed = f", stage split fixed at {rows['split'].iloc[0]:.3f}"
        splits.append((measured, f"{measured:.3f} ({space}){fixed}"))
        ends.append(
            [curves.at(rows["t"], rows[name], rows[f"{name}_sem"], NEAR_DATA).value for name in ("mse", "mse_offset")]
        )
    exact, offset = (max(values) for values in zip(*ends))
    layout.title(gap, f"(a) Gap between the targets: {layout.few(shares)}")
    layout.title(weight, f"(b) Top-1 weight; the true sample's weight is ½ at t = {layout.few(splits)}")
    layout.title(
        tail,
        f"(c) Gap at t = {NEAR_DATA}: {_power(exact)} exact, {offset:.2g} with 1e-3 added to 1 − t "
        f"(paper: {paper.FIG2A_TAIL[2][1]})",
    )


def _power(value):
    return f"{value:.0e}" if value >= 1e-30 else "below 1e-30"


def _paper_points(axes, points):
    for (space, values), marker in zip(points.items(), ("o", "^")):
        t, y = zip(*values)
        axes.plot(
            t,
            y,
            marker,
            color=style.QUIET,
            markerfacecolor="white",
            markersize=4.5,
            label=f"paper, {space}",
            zorder=1.5,
        )


def draw(posterior, transition, split, output_pdf, output_png, output_csv, *, config=None):
    """Read {space: posterior.csv}, transition.json and split.json; write Fig. 2 as PDF, PNG and CSV."""
    table = drawn(posterior, transition, split)
    inputs = [*posterior.values(), *transition.values(), *split.values()]
    style.save(figure(table), table, output_pdf, output_png, output_csv, inputs=inputs, config=config)
