"""App. G: samples of every model, with the nearest training image under each."""

import numpy as np
import pandas as pd

from twostage.report.figures import layout, style
from twostage.report.figures.pictures import (
    as_text,
    blank,
    class_words,
    in_rows_and_columns,
    place,
    read_pictures,
    sheet,
    tile_side,
    tiles,
)

LINE = 12  # samples side by side
MOST = 36  # samples of a model shown
SIDE, ABOVE, BETWEEN, BELOW = 0.95, 0.45, 0.42, 0.2  # inches


def drawn(pictures):
    """One row per (space, tile), DataFrame: ``pictures.tiles`` with ``model``, from the plan "fig_samples-{model}".

    ``nearest_image``: the nearest training image.
    """
    parts = []
    for space, path in pictures.items():
        found = read_pictures(path, "nearest")
        own = tiles(found, range(min(MOST, len(found.labels))))
        own["nearest_image"] = [as_text(found.nearest[place]) for place in zip(own["row"], own["column"])]
        own.insert(0, "space", space)
        own.insert(1, "model", [plan.split("-", 1)[-1] for plan in own["plan"]])
        parts.append(own.drop(columns=["t", "followed_grey"]))
    if not parts:
        raise ValueError("no latent space was given; expected a mapping from its name to its pictures")
    return pd.concat(parts, ignore_index=True)


def figure(table):
    """The contact sheet from its table (``drawn``)."""
    images = {
        space: tuple(in_rows_and_columns(own, name) for name in ("image", "nearest_image"))
        for space, own in table.groupby("space", sort=False)
    }
    side = max(tile_side(samples) for samples, _ in images.values())
    models = table[["space", "model", "column"]].drop_duplicates()
    lines = {space: -(-len(samples) // LINE) for space, (samples, _) in images.items()}
    width = SIDE + side * min(LINE, max(len(samples) for samples, _ in images.values())) + 0.2
    width = max(width, 6.4)
    titles = {
        key: layout.wrapped(_title(*key, own["nearest_grey"].mean()), width - 0.2, layout.TITLE, "bold")
        for key, own in table.groupby(["space", "model"], sort=False)
    }
    heights = [
        ABOVE + layout.height_of(titles[space, model], layout.TITLE) + lines[space] * (2 * side + BETWEEN) + BELOW
        for space, model in zip(models["space"], models["model"])
    ]
    with style.look():
        picture = blank(width, sum(heights))
        top = 0.0
        for height, (space, model, column) in zip(heights, models.itertuples(index=False)):
            rows = table[(table["space"] == space) & (table["model"] == model)]
            picture.text(
                0.1 / width, 1 - (top + 0.12) / picture.get_figheight(), titles[space, model], va="top",
                fontweight="bold",
            )  # fmt: skip
            under = top + ABOVE + layout.height_of(titles[space, model], layout.TITLE)
            _pairs(picture, under, side, images[space], column, rows)
            top += height
        return picture


def _title(space, model, mean):
    return f"{space}, {model}: samples, {mean:.0f} grey levels (RMS) from the nearest training image on average"


def _pairs(picture, top, side, images, column, rows):
    """Lines of samples, each line with its nearest training images right under it."""
    samples, nearest = (part[:, column] for part in images)
    for line, start in enumerate(range(0, len(samples), LINE)):
        pair = np.stack([samples[start : start + LINE], nearest[start : start + LINE]])
        above = top + line * (2 * side + BETWEEN)
        axes = place(picture, SIDE, above, side * pair.shape[1], 2 * side)
        sheet(axes, pair)
        axes.text(-0.6, 0, "samples", ha="right", va="center", fontsize=9, fontweight="bold")
        axes.text(-0.6, 1, "nearest\ntraining", ha="right", va="center", fontsize=9)
        own = rows.sort_values("row").iloc[start : start + LINE]
        for place_of, (_, tile) in enumerate(own.iterrows()):
            name = class_words(tile, int(side / 0.058), lines=2)
            axes.text(place_of, -0.52, name, ha="center", va="bottom", fontsize=7)
            distance = f"{tile['nearest_grey']:.0f}"
            axes.text(place_of, 1.52, distance, ha="center", va="top", fontsize=7.5, color=style.QUIET)


def draw(pictures, output_pdf, output_png, output_csv, *, config=None):
    """Read {space: fig_samples-pictures.h5}; write the contact sheet as PDF, PNG and CSV."""
    table = drawn(pictures)
    inputs = list(pictures.values())
    style.save(figure(table), table, output_pdf, output_png, output_csv, inputs=inputs, config=config)
