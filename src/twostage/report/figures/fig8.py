"""Figs. 4 and 8: a model's predictions on the way from the prior to the data, beside those of the oracle.

For each latent space: the images that one Euler step from x_t to t = 1 gives, along trajectories that start from the
same noise. Over all trajectories: (a) the velocity's norm, (b) the prediction's distance to the class mean, (c) the
share of its distance to the trajectory's end that is left, for the whole latent and for its layout.
"""

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
    read_predictions,
    sheet,
    tile_side,
)
from twostage.report.results.trajectories import sample_trajectories
from twostage.unlabelled import EVERYTHING

SAMPLES = 3
WHAT = "result of one Euler step from x_t to t = 1; each block is one sample, with the same noise in every row"
LINES = {"whole latent": "-", "layout": "--"}
SPACE_BETWEEN = 0.35  # between the trajectories of two samples, in tiles

# Inches: room for a class's name, widest margin for the fields' names, room over and under a sheet beside the title and
# the legend, the panels' width and the margin at their left, the least height of a panel, and its numbers and x label.
CLASS, FIELDS, ABOVE, BELOW, PANEL, BETWEEN, LEAST, NUMBERS = 0.35, 1.9, 0.45, 0.35, 4.6, 0.95, 1.55, 0.35
SIZE = 8.5  # of the names' letters, points
LETTER = 0.08  # inches of one of a class's name


def drawn(trajectories, pictures, split=None):
    """The table of Fig. 8, DataFrame: rows of kind "curve" (``sample_trajectories``) and of kind "tile" (predictions).

    pictures: {space: paths of trajectory.h5, one per plan}. A tile has its space, field, t, label, class_name, image
    (``pictures.as_text``), the block of its sample, and within the block the row of its field and the column of its
    time. The first samples of the first classes are shown, the same for all plans. Raises ValueError for a plan whose
    times or labels differ from those of the others.
    """
    curves = sample_trajectories(trajectories, split).assign(kind="curve")
    return pd.concat([curves, pd.DataFrame(_tiles(pictures)).assign(kind="tile")], ignore_index=True)


def _tiles(pictures):
    for space, paths in pictures.items():
        common = None
        for row, path in enumerate(paths):
            field, times, labels, names, predictions = read_predictions(path)
            if common is None:
                common = times, labels
                rows = first_of_each_class(labels, SAMPLES)
            elif not (np.array_equal(common[0], times) and np.array_equal(common[1], labels)):
                raise ValueError(f"{path} has other times or labels than {paths[0]}; run their stage again")
            for block, sample in enumerate(rows):
                for column, t in enumerate(times):
                    tile = {"space": space, "field": field, "t": t, "label": labels[sample], "block": block}
                    tile |= {"class_name": names[sample], "row": row, "column": column}
                    yield tile | {"image": as_text(predictions[sample, column])}


def figure(table):
    """Fig. 8 from its table (``drawn``): a row per latent space."""
    tiles, table = (table[table["kind"] == kind] for kind in ("tile", "curve"))
    spaces = list(dict.fromkeys(table["space"]))
    colours = style.colours_of(table, "field")
    images = {space: _blocks(tiles[tiles["space"] == space]) for space in spaces}
    side = max(tile_side(blocks) for *_, blocks in images.values())
    columns = max(len(times) for times, *_ in images.values())
    names = {field: layout.wrapped(field, FIELDS, SIZE) for field in colours}
    margin = CLASS + 0.15 + max(layout.width_of(line, SIZE) for name in names.values() for line in name.split("\n"))
    left = margin + columns * side + BETWEEN
    mean = "mean image" if (tiles["class_name"] == EVERYTHING).all() else "class mean"
    said = {space: _said(table[table["space"] == space], mean) for space in spaces}
    heads = {space: layout.wrapped(f"{space}: {WHAT}", left - BETWEEN, layout.TITLE, "bold") for space in spaces}
    under = layout.entries_of([*colours, *LINES], PANEL).height
    heights = []
    for space in spaces:
        above = ABOVE + layout.height_of(heads[space], layout.TITLE)
        titles = [layout.height_of(title, layout.TITLE) for title in said[space]]
        least = sum(titles) + 3 * (LEAST + NUMBERS) + under
        inside = max(_depth(images[space]) * side + above, least)
        heights.append((above, titles, (inside - least) / 3 + LEAST, inside + BELOW))
    with style.look():
        picture = blank(left + PANEL + 0.2, sum(height for *_, height in heights))
        top = 0.0
        for space, (above, titles, each, height) in zip(spaces, heights):
            rows = table[table["space"] == space]
            classes = tiles[tiles["space"] == space].drop_duplicates("block")
            _sheet(picture, (margin, top + above), side, rows, images[space], classes, names)
            panels, at = [], top + 0.15
            for title in titles:
                panels.append(place(picture, left, at + title, PANEL, each))
                at += title + each + NUMBERS
            _panels(panels, rows, colours, said[space], mean)
            picture.text(
                0.1 / picture.get_figwidth(), 1 - (top + 0.12) / picture.get_figheight(), heads[space], va="top",
                fontweight="bold",
            )  # fmt: skip
            top += height
        return picture


def _blocks(tiles):
    """Times (T,), fields, and the images (blocks, fields, T, H, W, C) of a latent space's tiles."""
    times, fields = (tiles.drop_duplicates(name).sort_values(name) for name in ("column", "row"))
    blocks = np.stack([in_rows_and_columns(own) for _, own in tiles.groupby("block")])
    return times["t"].to_numpy(), list(fields["field"]), blocks


def _depth(images):
    """Height of a sheet in tiles: one block of fields per sample."""
    _, fields, blocks = images
    return len(blocks) * (len(fields) + SPACE_BETWEEN) - SPACE_BETWEEN


def _sheet(picture, corner, side, rows, images, classes, names):
    left, top = corner
    times, fields, blocks = images
    width, split = side * len(times), rows["split"].iloc[0]
    for block, (shown, (_, tile)) in enumerate(zip(blocks, classes.iterrows())):
        above = top + block * (len(fields) + SPACE_BETWEEN) * side
        axes = place(picture, left, above, width, len(fields) * side)
        sheet(axes, shown)
        for place_of, field in enumerate(fields):
            axes.text(-0.6, place_of, names[field], ha="right", va="center", fontsize=SIZE)
        name = class_words(tile, max(8, int(len(fields) * side / LETTER)), lines=2)
        axes.text(
            -0.5 - (left - 0.05) / side, (len(fields) - 1) / 2, name,
            rotation="vertical", ha="left", va="center", fontsize=SIZE,
        )  # fmt: skip
        if block == 0:
            for column, time in enumerate(times):
                axes.text(column, -0.62, f"{time:g}", ha="center", va="bottom", fontsize=9.5, fontweight="bold")
            axes.text(-0.6, -0.62, "t", ha="right", va="bottom", fontsize=9.5, fontweight="bold")
        if np.isfinite(split):
            between = float(np.searchsorted(times, split)) - 0.5
            axes.axvline(between, color=style.QUIET, linewidth=1.8, linestyle=":", clip_on=False)
    if np.isfinite(split):
        axes.text(
            between, len(fields) - 0.4, f"stage split, t = {split:.2f}", ha="center", va="top", fontsize=8.5,
            color=style.QUIET,
        )  # fmt: skip


def _said(rows, mean):
    """The titles of the three panels, in lines as wide as the panels."""
    peaks, starts, halves = [], [], []
    for field, own in rows.groupby("field", sort=False):
        half = own.loc[own["layout_to_end_left"] < 0.5, "t"].min()
        for numbers, value in (
            (peaks, own.loc[own["norm"].idxmax(), "t"]), (starts, own["to_class_mean"].iloc[0]), (halves, half),
        ):  # fmt: skip
            numbers.append((value, style.unbroken(f"{value:.2f} ({field})")))
    titles = (
        f"(a) Velocity norm, highest at t = {layout.few(peaks)}",
        f"(b) Prediction to {mean}: {layout.few(starts)} at the first step",
        f"(c) Layout's distance to the end: half is left at t = {layout.few(halves)}",
    )
    return [layout.wrapped(title, PANEL, layout.TITLE, "bold") for title in titles]


def _panels(panels, rows, colours, titles, mean):
    norm, start, end = panels
    for field, own in rows.groupby("field", sort=False):
        colour = colours[field]
        style.curve(norm, own["t"], own["norm"], own["norm_sem"], colour=colour)
        style.curve(start, own["t"], own["to_class_mean"], own["to_class_mean_sem"], colour=colour)
        for measure, line in zip(("to_end_left", "layout_to_end_left"), LINES.values()):
            style.curve(
                end, own["t"], own[measure], own[f"{measure}_sem"], colour=colour, linestyle=line, linewidth=1.5
            )
        end.plot([], [], color=colour, label=field)
    for name, line in LINES.items():
        end.plot([], [], color=style.QUIET, linestyle=line, label=name)
    names = ("velocity norm (RMS)", f"distance to {mean}", "share of distance\nto the end left")
    for axes, name, title in zip(panels, names, titles):
        axes.set_ylabel(name)
        axes.set_title(title)
        style.mark_split(axes, rows.iloc[0])
        style.time_axis(axes, label="t (prior → data)" if axes is end else "")
    for axes in (start, end):
        axes.set_ylim(bottom=0)
    layout.legend(end)


def draw(trajectories, pictures, output_pdf, output_png, output_csv, *, split=None, config=None):
    """Read {space: fig8.csv} and {space: paths of trajectory.h5, one per plan}; write Fig. 8 as PDF, PNG and CSV.

    split: {space: split.json}, marks the stage splits.
    """
    table = drawn(trajectories, pictures, split)
    files = [path for paths in pictures.values() for path in paths]
    inputs = [*trajectories.values(), *files, *(split or {}).values()]
    style.save(figure(table), table, output_pdf, output_png, output_csv, inputs=inputs, config=config)
