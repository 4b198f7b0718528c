"""One look for every figure: colours, type, sizes, the time axis, the stage split, and saving.

Colours have a contrast of at least 3:1 against white (WCAG AA, graphics), text has at least 4.5:1, and colours can be
told apart with each of the three kinds of colour blindness (tests measure both). A model or a latent space has the same
colour everywhere.
"""

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from twostage.provenance import atomic_write, write_provenance
from twostage.report.figures import layout
from twostage.report.results.curves import CONFIDENCE

ORACLE = "oracle"
AROUND = 0.9  # inches of a panel's height that its axes leave to a title of two lines, their numbers and x label

TEXT = "#222222"
QUIET = "#595959"  # the paper's values, notes, grid labels
GRID = "#E3E3E3"

# The spare colours are Paul Tol's (Colour Schemes, SRON/EPS/TN/09-002); some of the first ones are Okabe and Ito's
# (2008). They were chosen so that the nearest two, and the nearest one to the oracle's, are as far apart as possible
# for every kind of colour vision.
MODEL_COLOURS = {"S": "#009E73", "B": "#B8860B", "L": "#B2182B", "XL": "#1A237E"}
OTHER_MODELS = ("#AE76A3", "#882255", "#117744", "#6F4C9B")
SPACE_COLOURS = ("#0072B2", "#CC3311", "#222222", "#CC6677", "#332288", "#AE76A3", "#882E72", "#72190E")
MODEL_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


_LOOK = {
    "font.family": layout.FONT,
    "font.size": 10,
    "text.color": TEXT,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": TEXT,
    "axes.labelsize": 10,
    "axes.titlesize": layout.TITLE,
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
    "legend.fontsize": layout.LEGEND,
    "legend.handlelength": 2.0,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,  # text stays text
}


def look():
    """The context in which every ``figure`` function draws."""
    return matplotlib.rc_context(_LOOK)


def new_figure(rows, columns, *, width=4.2, height=3.5):
    """A figure with ``rows x columns`` axes (numpy array, always 2-D); width and height of one panel, in inches.

    height: one number for all rows, or a list with one per row.
    """
    heights = [height] * rows if np.isscalar(height) else height
    inside = [height - AROUND for height in heights]
    picture = Figure(figsize=(width * columns, sum(heights)), layout="constrained")
    picture.get_layout_engine().set(h_pad=0.07)
    return picture, picture.subplots(rows, columns, squeeze=False, gridspec_kw={"height_ratios": inside})


def panels_under(picture, rows, columns):
    """``rows x columns`` axes (numpy array, 2-D) under the content of a figure (a table); ``fit_under`` lays them
    out."""
    return picture.add_gridspec(rows, columns).subplots(squeeze=False)


def fit_under(picture, panels, *, height=3.4):
    """Make a figure taller for its panels (``panels_under``), after they are drawn: rows of ``height`` inches, and the
    room for their legends and titles."""
    width, above = picture.get_size_inches()
    needs = [height + 0.1 + more for more in layout.outside(picture, panels)]
    total = above + sum(needs)
    for axes in set(picture.axes) - set(panels.ravel()):
        box = axes.get_position()
        axes.set_position([box.x0, 1 - (1 - box.y0) * above / total, box.width, box.height * above / total])
    picture.set_size_inches(width, total)
    across, down = layout.panel_width(panels[0, 0]) - 0.1, height - AROUND - 0.2
    for row, need in zip(panels, needs):
        lines = max(axes.get_title("left").count("\n") + 1 for axes in row)
        bottom = above + 0.2 + lines * layout.SPACING * layout.TITLE / layout.POINTS + down
        for column, axes in enumerate(row):
            left = 0.75 + column * width / len(row)
            axes.set_position([left / width, 1 - bottom / total, across / width, down / total])
        above += need


def unbroken(text):
    """The text with no-break spaces, at which ``layout.wrapped`` breaks only a text that is longer than a line."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


_order = {"models": (), "spaces": ()}


def colour_by(models=(), spaces=()):
    """Give colours in the order in which the run names its models and spaces, whichever of them a figure draws."""
    _order.update(models=tuple(models), spaces=tuple(spaces))


def model_colours(names):
    """{model: colour}. S, B, L, XL and the oracle have their own colours; others take the spare ones in the run's
    order.

    Eight models have eight colours, whatever their names: if there are not enough spare colours, others take those of
    S, B, L and XL that the run does not use.
    """
    known = MODEL_COLOURS | {ORACLE: TEXT}
    order = list(dict.fromkeys([*_order["models"], *names]))
    free = [*OTHER_MODELS, *(colour for name, colour in MODEL_COLOURS.items() if name not in order)]
    others = [name for name in order if name not in known]
    spare = {name: free[i % len(free)] for i, name in enumerate(others)}
    return {name: (known | spare)[name] for name in names}


def space_colours(names):
    """{latent space: colour}, in the run's order."""
    order = dict.fromkeys([*_order["spaces"], *names])
    colours = {name: SPACE_COLOURS[i % len(SPACE_COLOURS)] for i, name in enumerate(order)}
    return {name: colours[name] for name in names}


COLOURED = {"space": space_colours, "model": model_colours, "field": model_colours}


def colours_of(table, column):
    """{name: colour} of the spaces, models or fields in a table: those in its CSV, otherwise those of the run."""
    table = table.dropna(subset=column)
    if f"{column}_colour" in table.columns:
        return dict(zip(table[column], table[f"{column}_colour"]))
    return COLOURED[column](list(dict.fromkeys(table[column])))


def with_colours(table):
    """The table with the colours of its picture, so that the picture can be made from the CSV alone."""
    columns = [column for column in COLOURED if column in table.columns]
    return table.assign(**{f"{column}_colour": table[column].map(colours_of(table, column)) for column in columns})


def sequence(count):
    """``count`` colours from light to dark, for an ordered quantity: D, N or training steps."""
    shades = matplotlib.colormaps["inferno"](np.linspace(0.66, 0.1, count) if count > 1 else [0.35])
    return [matplotlib.colors.to_hex(shade) for shade in shades]


def time_axis(axes, *, label="t (prior → data)", limits=(0.0, 1.0)):
    """Make the x axis run from the prior (t = 0) to the data (t = 1); returns the axes."""
    low, high = limits
    axes.set_xlim(low - 0.02 * (high - low), high + 0.02 * (high - low))
    axes.set_xlabel(label)
    return axes


def half_width(table, name):
    """Half widths of the intervals ``{name}_low`` to ``{name}_high``, NaN where they are not known (Series)."""
    return (table[f"{name}_high"] - table[f"{name}_low"]) / 2


def curve(axes, t, mean, sem, *, colour, label=None, **line):
    """A curve with its 95% band (mean ± 1.96 standard errors)."""
    mean, sem = np.asarray(mean, dtype=float), np.asarray(sem, dtype=float)
    axes.fill_between(t, mean - CONFIDENCE * sem, mean + CONFIDENCE * sem, color=colour, alpha=0.2, linewidth=0)
    return axes.plot(t, mean, color=colour, label=label, **line)[0]


def mark_split(axes, row, *, colour=QUIET, label=None):
    """A vertical dotted line at the stage split, with its interval as a pale band; nothing if the split is not known.

    row: of a table with split, split_low and split_high.
    """
    if not np.isfinite(row.split):
        return
    if np.isfinite(row.split_low) and np.isfinite(row.split_high):
        axes.axvspan(row.split_low, row.split_high, color=colour, alpha=0.12, linewidth=0)
    axes.axvline(row.split, color=colour, linewidth=1.2, linestyle=":", label=label)


def as_written(picture):
    """Draw a figure's texts as they are: a ``$`` in a name or a prompt begins no formula. The exception are powers of
    ten, which matplotlib writes as formulas at logarithmic axes."""
    axes = [axis for panel in picture.findobj(Axes) for axis in (panel.xaxis, panel.yaxis)]
    ticks = {
        text for axis in axes for text in axis.get_ticklabels(which="both")
    }  # made here if they were not there yet
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
            # PNG first, so that its layout is that of a picture drawn for the first time, as when it is made from its
            # CSV.
            (output_png, {"format": "png", "dpi": 150, "metadata": {"Software": None}}),
            (output_pdf, {"format": "pdf", "metadata": {"CreationDate": None}}),
        ):
            with atomic_write(path) as temporary:
                picture.savefig(temporary, **options)
            picture.set_layout_engine("none")  # found once: it is a quarter of the time that a PDF takes
    write_csv(with_colours(table), output_csv)
    for path in (output_pdf, output_png, output_csv):
        write_provenance(path, config=config, inputs=inputs)
