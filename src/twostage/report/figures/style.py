"""One look for every figure: colours, type, sizes, the time axis, the stage split, and saving.

Colours keep a contrast of at least 3:1 against white (WCAG AA, graphics), text at least 4.5:1, and stay apart for the
three kinds of colour blindness (tests measure both). A model or a latent space has one colour everywhere.
"""

import textwrap

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from twostage.provenance import atomic_write, write_provenance
from twostage.report.results.curves import CONFIDENCE

ORACLE = "oracle"

TEXT = "#222222"
QUIET = "#595959"  # the paper's values, notes, grid labels
GRID = "#E3E3E3"

MODEL_COLOURS = {"S": "#009E73", "B": "#B8860B", "L": "#B2182B", "XL": "#1A237E"}
OTHER_MODELS = ("#7570B3", "#8C510A", "#0077BB", "#AA3377")
SPACE_COLOURS = ("#0072B2", "#CC3311", "#222222", "#CC6677", "#8C510A", "#7570B3")
MODEL_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


_LOOK = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture on every machine
    "font.size": 10,
    "text.color": TEXT,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": TEXT,
    "axes.labelsize": 10,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlepad": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "lines.linewidth": 2.0,
    "legend.fontsize": 8.5,
    "legend.frameon": True,
    "legend.framealpha": 0.92,
    "legend.edgecolor": GRID,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,  # text stays text
}


def look():
    """Context in which figures are made; every ``figure`` function draws inside it."""
    return matplotlib.rc_context(_LOOK)


def new_figure(rows, columns, *, width=4.2, height=3.5):
    """A figure with ``rows x columns`` axes (numpy array, always 2-D); width and height in inches, of one panel."""
    picture = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return picture, picture.subplots(rows, columns, squeeze=False)


def panels_under(picture, rows, columns, *, height=3.4):
    """``rows x columns`` axes (numpy array, 2-D), ``height`` inches a row, under what a figure (a table) shows."""
    width, above = picture.get_size_inches()
    total = above + rows * height
    for axes in picture.axes:
        box = axes.get_position()
        axes.set_position([box.x0, 1 - (1 - box.y0) * above / total, box.width, box.height * above / total])
    picture.set_size_inches(width, total)
    grid = picture.add_gridspec(
        rows, columns, left=0.9 / width, right=1 - 0.2 / width, bottom=0.55 / total, top=(rows * height - 0.5) / total,
        wspace=0.28, hspace=0.45,
    )  # fmt: skip
    return grid.subplots(squeeze=False)


def unbroken(text):
    """The text with spaces at which ``title`` breaks no line."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def title(axes, text):
    """A panel's title: says what one sees, in this run's numbers; wrapped to the panel's width."""
    grid = axes.get_subplotspec().get_gridspec()
    width = axes.figure.bbox.width / axes.figure.dpi / grid.ncols  # inches, of a part of a figure too
    axes.set_title(textwrap.fill(text, width=int(10.6 * width), break_long_words=False))


_order = {"models": (), "spaces": ()}


def colour_by(models=(), spaces=()):
    """Hand out colours in the order in which the run names its models and spaces, whichever of them a figure draws."""
    _order.update(models=tuple(models), spaces=tuple(spaces))


def model_colours(names):
    """{model: colour}; S, B, L, XL and the oracle have their own, others take the spare ones in the run's order."""
    known = MODEL_COLOURS | {ORACLE: TEXT}
    others = [name for name in dict.fromkeys([*_order["models"], *names]) if name not in known]
    spare = {name: OTHER_MODELS[i % len(OTHER_MODELS)] for i, name in enumerate(others)}
    return {name: (known | spare)[name] for name in names}


def space_colours(names):
    """{latent space: colour}, in the run's order."""
    order = dict.fromkeys([*_order["spaces"], *names])
    colours = {name: SPACE_COLOURS[i % len(SPACE_COLOURS)] for i, name in enumerate(order)}
    return {name: colours[name] for name in names}


COLOURED = {"space": space_colours, "model": model_colours, "field": model_colours}


def colours_of(table, column):
    """{name: colour} of the spaces, models or fields in a table: those that its CSV holds, else the run's."""
    table = table.dropna(subset=column)
    if f"{column}_colour" in table.columns:
        return dict(zip(table[column], table[f"{column}_colour"]))
    return COLOURED[column](list(dict.fromkeys(table[column])))


def with_colours(table):
    """The table with the colours that its picture has, for a picture that is made of its CSV alone."""
    columns = [column for column in COLOURED if column in table.columns]
    return table.assign(**{f"{column}_colour": table[column].map(colours_of(table, column)) for column in columns})


def sequence(count):
    """``count`` colours from light to dark, for an ordered quantity: D, N or training steps."""
    shades = matplotlib.colormaps["inferno"](np.linspace(0.66, 0.1, count) if count > 1 else [0.35])
    return [matplotlib.colors.to_hex(shade) for shade in shades]


def time_axis(axes, *, label=True, limits=(0.0, 1.0)):
    """The axis that runs from the prior (t = 0) to the data (t = 1)."""
    low, high = limits
    axes.set_xlim(low - 0.02 * (high - low), high + 0.02 * (high - low))
    if label:
        axes.set_xlabel("t (prior → data)")


def half_width(table, name):
    """Half widths of the intervals ``{name}_low`` to ``{name}_high``, NaN where they are not known (Series)."""
    return (table[f"{name}_high"] - table[f"{name}_low"]) / 2


def curve(axes, t, mean, sem, *, colour, label=None, **line):
    """A curve with its 95% band (mean ± 1.96 standard errors)."""
    mean, sem = np.asarray(mean, dtype=float), np.asarray(sem, dtype=float)
    axes.fill_between(t, mean - CONFIDENCE * sem, mean + CONFIDENCE * sem, color=colour, alpha=0.2, linewidth=0)
    return axes.plot(t, mean, color=colour, label=label, **line)[0]


def mark_split(axes, split, *, colour=QUIET, label=None, low=None, high=None):
    """Vertical dotted line at the stage split, with its interval as a pale band; nothing where it is not known."""
    if split is None or not np.isfinite(split):
        return
    if low is not None and high is not None and np.isfinite(low) and np.isfinite(high):
        axes.axvspan(low, high, color=colour, alpha=0.12, linewidth=0)
    axes.axvline(split, color=colour, linewidth=1.2, linestyle=":", label=label)


def legend(axes, **options):
    """A legend without duplicates, or none when nothing is labelled."""
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles))
    if unique:
        axes.legend(unique.values(), unique.keys(), **options)


def as_written(picture):
    """Draw a figure's texts as they are: a ``$`` in a name or a prompt begins no formula. But for powers of ten, which
    matplotlib writes as formulas at logarithmic axes."""
    axes = [axis for panel in picture.findobj(Axes) for axis in (panel.xaxis, panel.yaxis)]
    ticks = {text for axis in axes for text in axis.get_ticklabels(which="both")}  # made here, where they were not yet
    powers = {text for axis in axes if axis.get_scale() == "log" for text in axis.get_ticklabels(which="both")}
    for text in {*picture.findobj(Text), *ticks} - powers:
        text.set_parse_math(False)


def write_csv(table, path):
    """A table as CSV, atomically; floats to nine significant digits."""
    with atomic_write(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.9g")


def save(picture, table, output_pdf, output_png, output_csv, *, inputs, config=None):
    """Write a figure as PDF and PNG (150 dpi), the table that it draws as CSV, and the provenance of each.

    Files appear whole or not at all, and the same table gives the same bytes (no date inside).
    inputs: paths of the results it was made from; config: the slice of the configuration behind it.
    """
    with look():
        as_written(picture)
        for path, options in (
            # First, so that it has the layout of a picture that was never drawn before: the one that its CSV gives.
            (output_png, {"format": "png", "dpi": 150, "metadata": {"Software": None}}),
            (output_pdf, {"format": "pdf", "metadata": {"CreationDate": None}}),
        ):
            with atomic_write(path) as temporary:
                picture.savefig(temporary, **options)
    write_csv(with_colours(table), output_csv)
    for path in (output_pdf, output_png, output_csv):
        write_provenance(path, config=config, inputs=inputs)
