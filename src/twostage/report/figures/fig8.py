"""Figs. 4 and 8: what a model predicts on the way from the prior to the data, the oracle beside it.

For each latent space the images that one Euler step from x_t to t = 1 gives, along trajectories that start from the
same noise; and over all trajectories (a) the velocity's norm, (b) the prediction's distance to the class mean, (c) what
is left of its distance to the trajectory's end, in the whole latent and in its layout.
"""

import textwrap

import numpy as np
import pandas as pd

from twostage.report.figures import style
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

SAMPLES = 3
WHAT = "what one Euler step from x_t to t = 1 gives; a block is a sample, from the same noise in every row"
SPACE_BETWEEN = 0.35  # between the trajectories of two samples, in tiles

# Inches: left margin, titles, room under a sheet, the panels' width and the margin at their left, and their heights.
SIDE, ABOVE, BELOW, PANEL, BETWEEN = 0.95, 0.85, 0.55, 4.6, 0.95
LEAST, TITLE = 6.5, 0.95


def drawn(trajectories, pictures, split=None):
    """What Fig. 8 draws, DataFrame: of kind "curve" ``sample_trajectories``, of kind "tile" the predictions.

    pictures: {space: paths of trajectory.h5, one per plan}. A tile has its space, field, t, label, class_name, image
    (``pictures.as_text``), the block of its sample, and in it the row of its field and the column of its time. Shown
    are the first samples of the first classes, the same for all plans. Raises ValueError for a plan whose times or
    labels are not those of the others.
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
    down = {space: _depth(images[space]) * side for space in spaces}
    inside = {space: max(down[space], LEAST) for space in spaces}
    width = SIDE + columns * side + BETWEEN + PANEL + 0.2
    heights = {space: ABOVE + inside[space] + BELOW for space in spaces}
    with style.look():
        picture = blank(width, sum(heights.values()))
        top = 0.0
        for space in spaces:
            rows = table[table["space"] == space]
            classes = tiles[tiles["space"] == space].drop_duplicates("block")
            _sheet(picture, top + ABOVE, side, rows, images[space], classes)
            left, each = SIDE + columns * side + BETWEEN, (inside[space] + TITLE - 0.2) / 3
            panels = [
                place(picture, left, top + ABOVE + number * each, PANEL, each - TITLE + 0.1) for number in range(3)
            ]
            _panels(panels, rows, colours)
            picture.text(
                0.1 / width, 1 - (top + 0.12) / picture.get_figheight(),
                textwrap.fill(f"{space}: {WHAT}", int(10.6 * (SIDE + columns * side))),
                va="top", fontweight="bold",
            )  # fmt: skip
            top += heights[space]
        return picture


def _blocks(tiles):
    """Times (T,), fields, and the images (blocks, fields, T, H, W, C) of a latent space's tiles."""
    times, fields = (tiles.drop_duplicates(name).sort_values(name) for name in ("column", "row"))
    blocks = np.stack([in_rows_and_columns(own) for _, own in tiles.groupby("block")])
    return times["t"].to_numpy(), list(fields["field"]), blocks


def _depth(images):
    """Height of a sheet in tiles: a block of fields a sample."""
    _, fields, blocks = images
    return len(blocks) * (len(fields) + SPACE_BETWEEN) - SPACE_BETWEEN


def _sheet(picture, top, side, rows, images, classes):
    times, fields, blocks = images
    width, split = side * len(times), rows["split"].iloc[0]
    for block, (shown, (_, tile)) in enumerate(zip(blocks, classes.iterrows())):
        above = top + block * (len(fields) + SPACE_BETWEEN) * side
        axes = place(picture, SIDE, above, width, len(fields) * side)
        sheet(axes, shown)
        for place_of, field in enumerate(fields):
            axes.text(-0.6, place_of, field, ha="right", va="center", fontsize=9)
        name = class_words(tile, max(8, int(len(fields) * side / 0.08)))
        axes.text(
            -0.5 - (SIDE - 0.1) / side, (len(fields) - 1) / 2, name,
            rotation="vertical", ha="left", va="center", fontsize=8.5,
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


def _panels(panels, rows, colours):
    norm, mean, end = panels
    peaks, starts, halves = [], [], []
    for field, own in rows.groupby("field", sort=False):
        colour = colours[field]
        style.curve(norm, own["t"], own["norm"], own["norm_sem"], colour=colour, label=field)
        style.curve(mean, own["t"], own["to_class_mean"], own["to_class_mean_sem"], colour=colour)
        for measure, line in (("to_end_left", "-"), ("layout_to_end_left", "--")):
            style.curve(
                end, own["t"], own[measure], own[f"{measure}_sem"], colour=colour, linestyle=line, linewidth=1.5
            )
        half = own.loc[own["layout_to_end_left"] < 0.5, "t"].min()
        for numbers, value in (
            (peaks, own.loc[own["norm"].idxmax(), "t"]), (starts, own["to_class_mean"].iloc[0]), (halves, half),
        ):  # fmt: skip
            numbers.append(style.unbroken(f"{value:.2f} ({field})"))
    end.plot([], [], color=style.QUIET, label="whole latent")
    end.plot([], [], color=style.QUIET, linestyle="--", label="layout")
    for axes, name, text in (
        (norm, "velocity norm (RMS)", f"(a) Velocity norm, highest at t = {', '.join(peaks)}"),
        (mean, "distance to class mean", f"(b) Prediction to class mean: {', '.join(starts)} at the first step"),
        (
            end,
            "share of distance\nto the end left",
            f"(c) Layout's distance to the end: half left at {', '.join(halves)}",
        ),
    ):
        axes.set_ylabel(name)
        axes.set_title(textwrap.fill(text, int(10.6 * PANEL)))
        style.mark_split(axes, rows["split"].iloc[0], low=rows["split_low"].iloc[0], high=rows["split_high"].iloc[0])
        style.time_axis(axes, label=axes is end)
    for axes in (mean, end):
        axes.set_ylim(bottom=0)
    style.legend(norm, loc="best")
    style.legend(end, loc="upper right")


def draw(trajectories, pictures, output_pdf, output_png, output_csv, *, split=None, config=None):
    """Read {space: fig8.csv} and {space: paths of trajectory.h5, one per plan}; write Fig. 8 as PDF, PNG and CSV.

    split: {space: split.json}, marks the stage splits.
    """
    table = drawn(trajectories, pictures, split)
    files = [path for paths in pictures.values() for path in paths]
    inputs = [*trajectories.values(), *files, *(split or {}).values()]
    style.save(figure(table), table, output_pdf, output_png, output_csv, inputs=inputs, config=config)
