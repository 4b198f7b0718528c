"""The common part of Figs. 5 and 6: samples by the time from which the model acts, beside the image they follow."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from twostage.report.figures import layout, style
from twostage.report.figures.pictures import (
    as_text,
    blank,
    class_words,
    first_of_each_class,
    in_rows_and_columns,
    place,
    read_pictures,
    sheet,
    tile_side,
    tiles,
)
from twostage.report.results.memorization import control_of, distances_of_plans, memorization_distances
from twostage.report.results.words import plain

PIXEL = "pixel"
NUMBERS = ("followed_distance", "nearest_distance", "copied", "retrieved")
FOLLOWED = style.SPACE_COLOURS[0]
SHARES = {"retrieved": "it is nearest", "copied": "d1 / d2 < 1/3"}  # shown under the times, if measured

CLASS = 14  # characters of a class's name that fit in a line of the left margin

# Inches: legend, a line of title, the curves, a line of numbers, left margin, room under a sheet, the widest figure,
# and the narrowest, which is as wide as the legend.
LEGEND, LINE, CURVE, NUMBER, SIDE, BELOW, WIDEST = 0.65, 0.2, 1.3, 0.27, 1.15, 0.5, 13.6
NARROWEST = 8.0


class Words(NamedTuple):
    """The words of a figure: for its times, for the image followed (over its column, in the legend), for the titles.

    title(space, points): the title of a sheet; points: one row per time.
    """

    time: str
    column: str
    followed: str
    title: object


def table_of(pictures, memorization, time, split=None):
    """One row per (space, tile), DataFrame, in the order of rows, then of times.

    pictures: {space: pictures.h5}; memorization: {space: memorization.csv}; time: "t_switch" or "t_resume". Columns:
    those of ``pictures.tiles``; over all samples of the tile's time, means and standard errors (``_sem``) of
    followed_distance and nearest_distance (root mean square, grey levels), the shares copied and retrieved, and the
    number of samples; ``control`` (mean distance of held-out images to their nearest training image); the stage split.
    ``followed_image``: the image followed, in the first column of its row.
    Raises ValueError for a time without memorization results.
    """
    numbers = memorization_distances(memorization, time, split)
    kept = ["t", "samples", "split", "split_low", "split_high"]
    kept += [column for name in NUMBERS for column in (name, f"{name}_sem")]
    parts = []
    for space, path in pictures.items():
        found = read_pictures(path, "followed")
        rows = first_of_each_class(found.labels)
        own = tiles(found, rows)
        own.loc[own["column"] == 0, "followed_image"] = [as_text(found.followed[row]) for row in rows]
        points = distances_of_plans(numbers, space, PIXEL)
        if unknown := sorted(set(own["t"]) - set(points["t"])):
            raise ValueError(
                f"{path} shows {time} = {unknown[0]:g}, which is not in {memorization.get(space)}; run its stage again"
            )
        control = control_of(numbers, space, PIXEL)
        own = own.merge(points[kept], on="t", how="left")
        own["control"] = np.nan if control is None else control["nearest_distance"]
        own.insert(0, "space", space)
        parts.append(own)
    return pd.concat(parts, ignore_index=True)


def sheets(table, words):
    """One sheet per latent space: curves over all samples, times, samples, and at the right the image followed."""
    spaces = list(dict.fromkeys(table["space"]))
    images = {
        space: tuple(in_rows_and_columns(own, name) for name in ("image", "followed_image"))
        for space, own in table.groupby("space", sort=False)
    }
    points = {space: _points(table, space) for space in spaces}
    side = max(tile_side(images[space][0]) for space in spaces)
    rows, columns = (max(images[space][0].shape[axis] for space in spaces) for axis in (0, 1))
    width = SIDE + side * (columns + 1.5) + 0.1
    across = min(len(spaces), max(1, int(WIDEST // width)))
    titles = {
        space: layout.wrapped(words.title(space, points[space]), width - 0.3, layout.TITLE, "bold") for space in spaces
    }
    lines = 1 + max(text.count("\n") for text in titles.values())
    shares = [name for name in SHARES if table[name].notna().any()]
    under = NUMBER * (1 + max(len(shares), 1))  # the times and the shares; the right column's name takes two lines
    height = LINE * (lines + 1) + CURVE + under + side * rows + BELOW
    down = -(-len(spaces) // across)
    with style.look():
        picture = blank(max(width * across, NARROWEST), LEGEND + height * down)
        for number, space in enumerate(spaces):
            corner = width * (number % across), LEGEND + height * (number // across)
            picture.text(
                (corner[0] + 0.1) / picture.get_figwidth(), 1 - corner[1] / picture.get_figheight(),
                titles[space], va="top", fontweight="bold", linespacing=1.3,
            )  # fmt: skip
            corner = corner[0] + SIDE, corner[1] + LINE * (lines + 1)
            lines_of_numbers = place(picture, corner[0], corner[1] + CURVE, side * len(points[space]), under)
            _numbers(lines_of_numbers, points[space], shares, words.time)
            curves = place(picture, *corner, side * len(points[space]), CURVE)
            _curves(curves, points[space], words)
            corner = corner[0], corner[1] + CURVE + under
            drawn = _tiles(picture, *corner, side, images[space], words.column)
            _classes(drawn, table[table["space"] == space])
            _split(points[space], curves, lines_of_numbers, drawn)
        lines, names = curves.get_legend_handles_labels()
        order = sorted(range(len(names)), key=lambda i: "control" in names[i])
        picture.legend(
            [lines[i] for i in order], [names[i] for i in order], loc="upper left", ncols=2, frameon=False,
            borderaxespad=0.3,
        )  # fmt: skip
        return picture


def _points(table, space):
    return table[table["space"] == space].drop_duplicates("t").sort_values("column")


def _tiles(picture, left, top, side, images, column):
    """Draw the samples, and the images followed at their right; returns the samples' axes."""
    samples, followed = images
    rows, columns = samples.shape[:2]
    drawn = place(picture, left, top, columns * side, rows * side)
    sheet(drawn, samples)
    beside = place(picture, left + (columns + 0.3) * side, top, side, rows * side)
    sheet(beside, followed)
    beside.text(0, -0.56, column, ha="center", va="bottom", fontsize=9, fontweight="bold")
    return drawn


def _classes(axes, tiles):
    """The rows' classes at their left."""
    for _, tile in tiles.drop_duplicates("row").iterrows():
        name = class_words(tile, CLASS, lines=2)
        axes.text(-0.6, tile["row"], name, ha="right", va="center", fontsize=8.5)


def _split(points, curves, numbers, drawn):
    """The stage split as a line between the two columns on either side of it."""
    split = points["split"].iloc[0]
    if not np.isfinite(split):
        return
    between = float(np.searchsorted(points["t"].to_numpy(), split)) - 0.5
    for axes in (curves, numbers, drawn):
        axes.axvline(between, color=style.QUIET, linewidth=1.8, linestyle=":", clip_on=False)
    drawn.text(
        between, drawn.get_ylim()[0] + 0.08, f"stage split, t = {split:.2f}", ha="center", va="top", fontsize=8.5,
        color=style.QUIET,
    )  # fmt: skip


def _curves(axes, points, words):
    x = np.arange(len(points))
    for name, label, shade, line in (
        ("followed_distance", words.followed, FOLLOWED, "o-"),
        ("nearest_distance", "distance to the nearest training image", style.TEXT, "s--"),
    ):
        error = style.CONFIDENCE * points[f"{name}_sem"]
        axes.errorbar(
            x, points[name], error, fmt=line, color=shade, markersize=4, linewidth=1.5, capsize=2, label=label
        )
    if np.isfinite(points["control"].iloc[0]):
        label = "held-out images to the nearest training image (control)"
        axes.axhline(points["control"].iloc[0], color=style.QUIET, linewidth=1.1, linestyle="-.", label=label)
    axes.set_xlim(-0.5, len(points) - 0.5)
    axes.set_ylim(bottom=0)
    axes.set_xticks(x, [])
    axes.set_ylabel("RMS distance\n(grey levels)")


def _numbers(axes, points, shares, time):
    """The times over the columns, and under them the shares of all samples."""
    axes.set_axis_off()
    axes.set_xlim(-0.5, len(points) - 0.5)
    axes.set_ylim(1 + max(len(shares), 1), 0)
    lines = [(time, [f"{t:g}" for t in points["t"]], {"fontweight": "bold", "fontsize": 9.5})]
    for name in shares:
        lines.append(
            (SHARES[name], [plain(f"{value:.0%}") for value in points[name]], {"color": style.QUIET, "fontsize": 9})
        )
    for line, (name, texts, look) in enumerate(lines):
        for x, text in enumerate(texts):
            axes.text(x, line + 0.55, text, ha="center", va="center", **look)
        axes.text(-0.6, line + 0.55, name, ha="right", va="center", **look)


def drawing(drawn, figure):
    """The ``draw`` of such a figure: reads {space: its pictures and memorization CSV} (and {space: split.json}), writes
    PDF, PNG and CSV."""

    def draw(pictures, memorization, output_pdf, output_png, output_csv, *, split=None, config=None):
        table = drawn(pictures, memorization, split)
        inputs = [*pictures.values(), *memorization.values(), *(split or {}).values()]
        style.save(figure(table), table, output_pdf, output_png, output_csv, inputs=inputs, config=config)

    return draw
