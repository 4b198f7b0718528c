"""Tables as one self-contained HTML page (sortable, readable on a phone, no request) and as a picture."""

import math

from matplotlib.figure import Figure

from twostage.report import template
from twostage.report.figures import style

BEST = "▸ "  # stands before the best number of a column


class Cell:
    """One cell: text, bold where ``strong``, text in grey after it, and the value by which its column is sorted.

    The grey text stands on the page alone, not in the picture.
    """

    def __init__(self, text, *, value=None, number=False, strong=False, quiet=""):
        self.text, self.number, self.strong, self.quiet = text, number, strong, quiet
        self.value = text if value is None else value


def number(value, places, *, spread=math.nan, sign="", mark=""):
    """A number's Cell, "mean ± spread" where the spread is finite, a dash for NaN; mark: stands before it (BEST)."""
    if not math.isfinite(value):
        return Cell("–", value=value, number=True)
    text = f"{value:{sign}.{places}f}" + (f" ± {spread:.{places}f}" if math.isfinite(spread) else "")
    return Cell(mark + text, value=value, number=True, strong=bool(mark))


def decimals(mean, sd):
    """Decimals that show two digits of the usual spread, or three of the mean where there is no spread (Series)."""
    spread = sd.median()
    scale = spread if spread > 0 else mean.abs().median() / 10
    return int(min(max(1 - math.floor(math.log10(scale)), 0), 6)) if scale > 0 else 2


def table_page(title, headings, rows, *, lead="", note=""):
    """A self-contained page (str) with one table, its rows lists of Cell; lead stands before it, note after it."""
    return template.render("table_page.html", title=title, headings=headings, rows=rows, lead=lead, note=note)


def picture(title, headings, rows, notes=(), *, quiet=()):
    """The same table (rows of Cell) as a Figure; columns whose index is in ``quiet`` are set in grey."""
    wide = [max(len(line) for text in column for line in text.split("\n")) + 2 for column in _columns(headings, rows)]
    edges = [sum(wide[:i]) for i in range(len(wide) + 1)]
    above = 1.2 + 0.65 * max(text.count("\n") for text in headings)
    below = 1.2 + 0.85 * len(notes)
    total = max(edges[-1], 0.8 * max(map(len, notes), default=0))  # notes are set smaller than the rows
    height = 0.29 * (len(rows) + 1 + above + below)
    with style.look():
        figure = Figure(figsize=(max(6.5, 0.085 * total + 0.4), height))
        axes = figure.add_axes((0.02, 0.02, 0.96, 0.96))
        axes.set_axis_off()
        axes.set_xlim(0, total)
        axes.set_ylim(len(rows) + 1 + below, -above)
        axes.text(0, -above + 0.5, title, fontsize=12, fontweight="bold", va="center")
        place = lambda i, number: (edges[i + 1] - 1 if number else edges[i], "right" if number else "left")  # noqa: E731
        for i, text in enumerate(headings):
            x, side = place(i, any(row[i].number for row in rows))
            axes.text(x, 0.65, text, ha=side, va="bottom", fontweight="bold", fontsize=9.5)
        for y, row in enumerate(rows, 1):
            for i, cell in enumerate(row):
                x, side = place(i, cell.number)
                axes.text(x, y + 0.55, cell.text, ha=side, va="center", color=style.QUIET if i in quiet else style.TEXT)
        for y, width in ((0.85, 1.4), (len(rows) + 1.15, 0.8)):
            axes.plot([0, total], [y, y], color=style.QUIET, linewidth=width)
        for i, note in enumerate(notes):
            axes.text(0, len(rows) + 1.75 + 0.85 * i, note, color=style.QUIET, fontsize=8.5, va="center")
        return figure


def _columns(headings, rows):
    return [[heading, *(row[i].text for row in rows)] for i, heading in enumerate(headings)]
