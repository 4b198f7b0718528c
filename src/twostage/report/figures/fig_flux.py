"""App. H: the two stages in Flux.1. Predictions along trajectories, images by timestep shift, and curves.

Top: the results of one Euler step from x_t to t = 1, one row per prompt. Middle: the images that each shift gives from
the same noise. Bottom, over all prompts: (a) the velocity's norm and (b) the share of the prediction's distance to the
trajectory's end that is left, for the whole latent and for its layout.
"""

import pandas as pd

from twostage.report.figures import layout, style
from twostage.report.figures.pictures import as_text, blank, in_rows_and_columns, place, read_flux, sheet
from twostage.report.results import curves
from twostage.report.results.trajectories import flux_trajectories

SHOWN = 4  # prompts
# Inches: a tile, left margins of which the first that the prompts fit in is taken, titles over a sheet, room between
# sheets, the panels' height, and what is above and under them.
TILE, SIDES, ABOVE, BETWEEN, PANEL, OVER, UNDER = 1.1, (1.75, 2.5, 3.5, 5.0), 0.7, 0.15, 2.6, 0.7, 1.0
SIZE = 8.5  # of the prompts' letters, points
MEASURES = (("to_end_left", "-", "whole latent"), ("layout_to_end_left", "--", "layout"))


def drawn(trajectories, pictures):
    """The table of App. H, DataFrame: rows of kind "curve" (``flux_trajectories``), then the tiles.

    pictures: path of flux.h5. A tile has its prompt, image (``pictures.as_text``), row and column, and the time of the
    prediction (kind "prediction") or the shift of the image ("image") that it shows.
    """
    lines = flux_trajectories(trajectories).assign(kind="curve")
    prompts, times, shifts, predictions, images = read_flux(pictures)
    tiles = [
        {
            "kind": kind,
            name: value,
            "row": row,
            "column": column,
            "prompt": prompt,
            "image": as_text(found[row, column]),
        }
        for kind, name, values, found in (("prediction", "t", times, predictions), ("image", "shift", shifts, images))
        for row, prompt in enumerate(prompts[:SHOWN])
        for column, value in enumerate(values)
    ]
    return pd.concat([lines, pd.DataFrame(tiles)], ignore_index=True)


def figure(table):
    """App. H from its table (``drawn``)."""
    predictions, images, table = (table[table["kind"] == kind] for kind in ("prediction", "image", "curve"))
    times, shifts = predictions.loc[predictions["row"] == 0, "t"], images.loc[images["row"] == 0, "shift"]
    prompts = images.loc[images["column"] == 0, "prompt"]
    predictions, images = map(in_rows_and_columns, (predictions, images))
    height = TILE * images.shape[2] / images.shape[3]
    down = len(images) * height
    side, prompts = _beside(list(prompts), height)
    width = side + TILE * max(len(times), len(shifts)) + 0.2
    uniform = table[table["shift"] == (1 if 1 in set(table["shift"]) else table["shift"].iloc[0])]
    with style.look():
        picture = blank(max(width, 9.0), 2 * (ABOVE + down + BETWEEN) + OVER + PANEL + UNDER)
        titles = (
            f"Result of one Euler step from x_t to t = 1, by t (steps of shift s = {uniform['shift'].iloc[0]:g})",
            f"Images by timestep shift s, from the same noise ({len(uniform)} steps)",
        )
        top = 0.0
        for title, name, columns, tiles in zip(titles, "ts", (times, shifts), (predictions, images)):
            _sheet(picture, top, side, height, title, name, columns, tiles, prompts)
            top += ABOVE + down + BETWEEN
        each = (picture.get_figwidth() - 0.2) / 2
        panels = [place(picture, 0.85 + i * each, top + OVER, each - 1.1, PANEL) for i in range(2)]
        _norms(panels[0], table)
        _left(panels[1], uniform)
        return picture


def _beside(prompts, height):
    """The left margin in which every prompt is at most as high as a tile, and the prompts in its lines."""
    for side in SIDES:
        lines = [layout.wrapped(prompt, side - 0.15, SIZE) for prompt in prompts]
        if max(layout.height_of(text, SIZE) for text in lines) < height:
            break
    return side, lines


def _sheet(picture, top, side, height, title, name, columns, tiles, prompts):
    across, down = picture.get_size_inches()
    picture.text(0.1 / across, 1 - (top + 0.12) / down, title, va="top", fontweight="bold")
    axes = place(picture, side, top + ABOVE, TILE * len(columns), height * len(tiles))
    sheet(axes, tiles, square=False)
    for column, value in enumerate(columns):
        axes.text(column, -0.53, f"{value:.3g}", ha="center", va="bottom", fontsize=9.5, fontweight="bold")
    axes.text(-0.6, -0.53, name, ha="right", va="bottom", fontsize=9.5, fontweight="bold")
    for row, prompt in enumerate(prompts):
        axes.text(-0.56, row, prompt, ha="right", va="center", fontsize=SIZE)


def _norms(axes, table):
    shifts = sorted(set(table["shift"]), reverse=True)
    for shift, colour in zip(shifts, style.sequence(len(shifts))):
        own = table[table["shift"] == shift]
        style.curve(axes, own["t"], own["norm"], own["norm_sem"], colour=colour, label=f"s = {shift:g}", linewidth=1.5)
    top = table.loc[table["norm"].idxmax()]
    layout.title(axes, f"(a) Velocity norm, highest at t = {top['t']:.2f} (s = {top['shift']:g})")
    axes.set_ylabel("velocity norm (RMS)")
    style.time_axis(axes)
    layout.legend(axes)


def _left(axes, rows):
    halves = []
    for measure, line, name in MEASURES:
        colour = style.TEXT if line == "-" else style.SPACE_COLOURS[0]
        style.curve(axes, rows["t"], rows[measure], rows[f"{measure}_sem"], colour=colour, linestyle=line, label=name)
        halves.append(f"{curves.first_crossing(rows['t'], -rows[measure], -0.5):.2f} ({name})")
    axes.axhline(0.5, color=style.QUIET, linewidth=0.9)
    layout.title(axes, f"(b) Half of the distance is left at t = {', '.join(halves)}")
    axes.set_ylabel("share of distance\nto the end left")
    axes.set_ylim(bottom=0)
    style.time_axis(axes)
    layout.legend(axes)


def draw(trajectories, pictures, output_pdf, output_png, output_csv, *, config=None):
    """Read flux.csv and flux.h5; write App. H's figure as PDF, PNG and CSV."""
    table = drawn(trajectories, pictures)
    style.save(figure(table), table, output_pdf, output_png, output_csv, inputs=[trajectories, pictures], config=config)
