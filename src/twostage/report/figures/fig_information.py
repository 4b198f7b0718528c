"""The information that x_t carries about the image and its class, in nats, by t; and the sum rule in every case.

One panel per latent space: I(x_1; x_t) within classes and over all data, from the gap between the targets, from the
entropy of the posterior and from the true image's weight, beside that of the Gaussian with the same covariance; and
I(Y; x_t). Last panel: the whole information from the gap, divided by the entropy, with the paper's own Fig. 2a.
"""

from twostage.report.figures import layout, style
from twostage.report.results.information import READ_OFF, cases, information_curves, whole_by_gap

drawn = information_curves
ABOVE = 1.15  # of the largest entropy, where the axis ends
DATA = {"all": "image, all data", "class": "image, within its class", "label": "class"}
LINES = {"by_entropy": ("--", "entropy"), "by_weight": (":", "weight"), "gaussian": ("-.", "Gaussian")}
COLOURS = {"all": style.TEXT, "synthetic": style.MODEL_COLOURS["S"], READ_OFF: style.QUIET}
COLOURS |= dict(zip(("class", "label"), style.SPACE_COLOURS))
SHORT = {"class": "within classes", "all": "all data", "label": "the class"}


def figure(table):
    """The figure from its table (``drawn``)."""
    spaces = list(dict.fromkeys(space for space, *_ in cases(table, *DATA)))
    with style.look():
        picture, panels = style.new_figure(1, len(spaces) + 1, width=4.9, height=4.4)
        for axes, space in zip(panels[0], spaces):
            _curves(axes, table[table["space"] == space], space)
        _sums(panels[0][-1], table)
        return layout.fitted(picture, panels)


def _curves(axes, table, space):
    told = []
    for _, kind, rows in cases(table, *DATA):
        colour, total = COLOURS[kind], rows["total"].iloc[0]
        style.curve(axes, rows["t"], rows["by_gap"], rows["by_gap_sem"], colour=colour)
        for quantity, (line, _) in LINES.items():
            axes.plot(rows["t"], rows[quantity], color=colour, linewidth=1.2, linestyle=line)
        axes.axhline(total, color=colour, linewidth=0.8, alpha=0.6)
        axes.annotate(
            DATA[kind], (1, total), xytext=(0, 4), textcoords="offset points", color=colour, ha="right", va="bottom",
        )  # fmt: skip
        told.append(f"{rows['by_gap'].iloc[-1]:.2f} of {total:.2f} ({SHORT[kind]})")
    axes.plot([], [], color=style.QUIET, label="gap between the targets")
    for line, name in LINES.values():
        axes.plot([], [], color=style.QUIET, linewidth=1.2, linestyle=line, label=name)
    axes.set_ylim(0, ABOVE * table["total"].max())
    layout.title(axes, f"{space}: nats from the gap at the end: {', '.join(told)}")
    axes.set_ylabel("information in x_t, nats")
    style.time_axis(axes)
    layout.legend(axes)


def _sums(axes, table):
    """The whole information from the gap, divided by the entropy, one row per case."""
    names, worst = [], None
    for row, (space, kind, rows) in enumerate(cases(table, *DATA, "synthetic", READ_OFF)):
        share, last = whole_by_gap(rows), rows.iloc[-1]
        colour = COLOURS[kind]
        axes.plot([share.low, share.high], [row, row], color=colour, linewidth=1.6)
        axes.plot([share.value], [row], "o", color=colour, markerfacecolor="white" if kind == READ_OFF else colour)
        scale = f"D = {last['dim']:,.0f}, N = {last['n']:,.0f}"
        names.append(f"{space}, {SHORT.get(kind, scale)}")
        worst = max(worst or 0, abs(share.value - 1)) if kind != READ_OFF else worst
    axes.axvline(1, color=style.TEXT, linewidth=1)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    layout.title(axes, f"The sum rule: at most {worst:.1%} off")
    axes.set_xlabel("information from the gap / entropy")


def draw(information, output_pdf, output_png, output_csv, *, synthetic_information=None, config=None):
    """Read {space: information.csv} and that of unit Gaussians; write the figure as PDF, PNG and CSV."""
    table = drawn(information, synthetic_information)
    inputs = [*information.values(), *filter(None, [synthetic_information])]
    style.save(figure(table), table, output_pdf, output_png, output_csv, inputs=inputs, config=config)
