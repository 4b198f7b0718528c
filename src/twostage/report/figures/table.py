"""Tables as a self-contained HTML page (sortable, readable on a phone, without requests) and as a picture."""

import math

from matplotlib.figure import Figure

from twostage.report import template
from twostage.report.figures import layout, style
from twostage.report.results.words import plain

# Inches: the smallest width of a picture, its edge, the room between columns, the longest line of words in a cell, and
# in a heading whose column has narrower cells. Points: sizes of the letters.
LEAST, EDGE, BETWEEN, WORDS, HEADED = 8.0, 0.15, 0.2, 2.4, 1.1
TITLE, HEADING, CELL, NOTE = 12, 9.5, 10, 8.5

BEST = "▸ "  # stands before the best number of a column


class Cell:
    """One cell: text, bold if ``strong``, grey text after it (``quiet``), and the value by which its column is sorted.

    The grey text stands only on the page, not in the picture.
    """

    def __init__(self, text, *, value=None, number=False, strong=False, quiet=""):
        self.text, self.number, self.strong, self.quiet = plain(text), number, strong, plain(quiet)
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
    words = {"title": title, "lead": lead, "note": note}
    return template.render("table_page.html", headings=headings, rows=rows, **{k: plain(v) for k, v in words.items()})


def picture(title, headings, rows, notes=(), *, quiet=()):
    """The same table (rows of Cell) as a Figure; columns whose index is in ``quiet`` are set in grey.

    A column is as wide as its longest number or word; longer texts take several lines.
    """
    widths, headings, rows = _columns(headings, rows)
    edges = [sum(widths[:i]) for i in range(len(widths) + 1)]
    total = max(edges[-1], LEAST)
    title = layout.wrapped(title, total, TITLE, "bold")
    notes = "\n".join(layout.wrapped(note, total, NOTE) for note in notes)
    above = layout.height_of(title, TITLE) + 0.15
    head = max(layout.height_of(text, HEADING) for text in headings) + 0.08
    heights = [max(layout.height_of(text, CELL) for text, _ in row) + 0.1 for row in rows]
    height = above + head + 0.05 + sum(heights) + 0.1 + (0.1 + layout.height_of(notes, NOTE) if notes else 0)
    with style.look():
        figure = Figure(figsize=(total + 2 * EDGE, height + 2 * EDGE))
        across, down = figure.get_size_inches()
        axes = figure.add_axes((EDGE / across, EDGE / down, total / across, height / down))
        axes.set_axis_off()
        axes.set_xlim(0, total)
        axes.set_ylim(height, 0)
        axes.text(0, 0, title, fontsize=TITLE, fontweight="bold", va="top")
        numbers = [any(cell.number for _, cell in column) for column in zip(*rows)]
        place = lambda i, number: (edges[i + 1] - BETWEEN, "right") if number else (edges[i], "left")  # noqa: E731
        top = above + head
        for i, text in enumerate(headings):
            x, side = place(i, numbers[i])
            axes.text(x, top - 0.05, text, ha=side, va="bottom", fontweight="bold", fontsize=HEADING)
        axes.plot([0, total], [top, top], color=style.QUIET, linewidth=1.4, clip_on=False)
        top += 0.05
        for row, deep in zip(rows, heights):
            for i, (text, cell) in enumerate(row):
                x, side = place(i, cell.number)
                colour = style.QUIET if i in quiet else style.TEXT
                axes.text(x, top + deep / 2, text, ha=side, va="center", color=colour, fontsize=CELL)
            top += deep
        axes.plot([0, total], [top + 0.05, top + 0.05], color=style.QUIET, linewidth=0.8, clip_on=False)
        axes.text(0, top + 0.15, notes, color=style.QUIET, fontsize=NOTE, va="top")
        return figure


def _columns(headings, rows):
    """Widths of the columns in inches; the headings and the rows of (text, Cell), in lines that fit the columns."""
    widths, lines = [], []
    for i, heading in enumerate(headings):
        cells = [layout.wrapped(row[i].text, WORDS, CELL) for row in rows]
        inside = max(_widest(text, CELL) for text in cells)
        heading = layout.wrapped(heading, max(inside, HEADED), HEADING, "bold")
        widths.append(max(inside, _widest(heading, HEADING, "bold")) + BETWEEN)
        lines.append((heading, cells))
    texts = zip(*(cells for _, cells in lines))
    return widths, [heading for heading, _ in lines], [list(zip(text, row)) for text, row in zip(texts, rows)]


def _widest(text, *font):
    return max(layout.width_of(line, *font) for line in text.split("\n"))
