"""Layout that measures its text: lines as long as their panel is wide, legends under it, figures as tall as needed.

Lengths are in inches. Names come from the user and may be long: no name is cut, and no legend covers a curve.
"""

import re
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.transforms import ScaledTranslation

from twostage.report.results.words import plain

FONT = "DejaVu Sans"  # comes with matplotlib: the same picture on every machine
TITLE, LEGEND = 10, 8.5  # sizes in points
POINTS = 72  # of an inch
SPACING = 1.2  # of lines, in sizes
HINTED = 1.03  # letters on whole pixels are wider than their outlines
BESIDE = 0.9  # of a panel's width, the part that its axes leave to their y label and its numbers
BELOW = 0.5  # under the axes, for their numbers and x label
TITLE_LINES = 2  # lines of a title for which a panel's height has room
BREAKS = re.compile(r"[^-_./\N{NO-BREAK SPACE}]*[-_./\N{NO-BREAK SPACE}]?")  # a word longer than a line is broken here
TOLD = 90  # letters that a title may use for numbers with names
# Of a legend, in its font size: a handle with the room before its words, room between columns, room between entries.
HANDLE, COLUMNS, ENTRIES = 2.8, 2.0, 0.5


@lru_cache(maxsize=20_000)
def width_of(text, size, weight="normal"):
    """Width of a line of text in the figures' font; size in points."""
    font = FontProperties(family=FONT, size=size, weight=weight)
    return HINTED * text_to_path.get_text_width_height_descent(text, font, False)[0] / POINTS if text else 0.0


def height_of(text, size):
    """Height of lines of text; size in points."""
    return SPACING * size * (1 + text.count("\n")) / POINTS


def wrapped(text, width, size, weight="normal"):
    """The text in ``plain`` words, in lines of at most ``width``, broken at spaces; a longer word is broken after
    - _ . / or anywhere."""
    lines = []
    for paragraph in plain(str(text)).split("\n"):
        line = ""
        for word in paragraph.split(" "):
            for place, part in enumerate(_parts(word, width, size, weight)):
                longer = f"{line} {part}" if line and not place else f"{line}{part}"
                if line and width_of(longer, size, weight) > width:
                    lines.append(line)
                    longer = part
                line = longer
        lines.append(line)
    return "\n".join(lines)


def _parts(word, width, size, weight):
    """The word, or if it is wider than a line, the parts into which it may be broken."""
    if width_of(word, size, weight) <= width:
        return [word]
    parts = []
    for part in filter(None, BREAKS.findall(word)):
        parts += [part] if width_of(part, size, weight) <= width else list(part)
    return parts


def few(entries):
    """Numbers with names for a title, from entries (number, words): all of them, or of many "lowest … highest"
    (str)."""
    words = ", ".join(text for _, text in entries)
    if len(entries) <= 2 or len(words) <= TOLD:
        return words
    known = sorted((entry for entry in entries if not np.isnan(entry[0])), key=lambda entry: entry[0])
    return " … ".join(text for _, text in (known[0], known[-1])) if known else words


def panel_width(axes):
    """Width of axes: in the grid of a figure that is not laid out yet, or as they are placed."""
    figure, place = axes.get_figure(root=False), axes.get_subplotspec()
    if place is None:
        return axes.bbox.width / figure.dpi
    return figure.bbox.width / figure.dpi / place.get_gridspec().ncols - BESIDE


def title(axes, text):
    """Set a panel's title, which says what one sees in this run's numbers, in lines as wide as the panel."""
    axes.set_title(wrapped(text, panel_width(axes), TITLE, "bold")).set_parse_math(False)


class Entries(NamedTuple):
    """The content of a legend for the width that it has: labels in lines, number of columns, height."""

    labels: list
    columns: int
    height: float


def entries_of(labels, width):
    """The ``Entries`` of a legend with these labels: as many columns as fit."""
    em = LEGEND / POINTS
    labels = [wrapped(label, width - HANDLE * em, LEGEND) for label in labels]
    widths = [max(width_of(line, LEGEND) for line in label.split("\n")) + HANDLE * em for label in labels]
    for columns in range(len(labels), 0, -1):
        split = [part for part in np.array_split(np.arange(len(labels)), columns) if len(part)]  # as matplotlib does
        total = sum(max(widths[i] for i in part) for part in split) + COLUMNS * em * (columns - 1)
        if total <= width or columns == 1:
            break
    height = max(sum(height_of(labels[i], LEGEND) + ENTRIES * em for i in part) for part in split)
    return Entries(labels, columns, height)


def legend(axes, *, below=BELOW, width=None):
    """Draw a legend under a panel, ``below`` its axes, without duplicates; no legend if nothing is labelled.

    Returns its height.
    """
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles))
    if not unique:
        return 0.0
    entries = entries_of(list(unique), width or panel_width(axes))
    figure = axes.get_figure(root=False)
    under = axes.transAxes + ScaledTranslation(0, -below, figure.dpi_scale_trans)
    made = axes.legend(
        unique.values(), entries.labels, ncols=entries.columns, loc="upper left", bbox_to_anchor=(0, 0),
        bbox_transform=under, borderaxespad=0, borderpad=0, frameon=False,
    )  # fmt: skip
    for text in made.get_texts():
        text.set_parse_math(False)
    return entries.height


def legend_above(picture, lines):
    """Draw a legend of these lines above all panels of a figure, which becomes taller by it; returns the figure."""
    width, height = picture.get_size_inches()
    entries = entries_of([line.get_label() for line in lines], width - 0.4)
    picture.set_size_inches(width, height + entries.height)
    made = picture.legend(lines, entries.labels, loc="outside upper left", ncols=entries.columns)
    for text in made.get_texts():
        text.set_parse_math(False)
    return picture


def fitted(picture, panels):
    """Make a figure taller by the room that its rows of panels (2-D) need beyond their height; returns the figure."""
    width, height = picture.get_size_inches()
    picture.set_size_inches(width, height + sum(outside(picture, panels)))
    return picture


def outside(picture, panels):
    """The room that each row of panels needs beyond its height, for its legends and its longest title: a list."""
    renderer = FigureCanvasAgg(picture).get_renderer()
    return [max(_outside(axes, renderer) for axes in row) for row in panels]


def _outside(axes, renderer):
    made, lines = axes.get_legend(), axes.get_title("left").count("\n") + 1
    under = made.get_window_extent(renderer).height / axes.get_figure(root=True).dpi if made else 0.0
    return under + max(lines - TITLE_LINES, 0) * SPACING * TITLE / POINTS
