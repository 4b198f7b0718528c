"""Training curves of every model, one row per latent space: (a) the loss, (b) the gradient norm, by step.

Pale curves are as logged, strong ones are smoothed. The legend gives each model's throughput and the time that its
training took. Below, for each latent space: (c) samples of every snapshot, all from the same noise and labels.
"""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from twostage.report.figures import layout, style
from twostage.report.figures.pictures import as_text, in_rows_and_columns, read_snapshots, sheet

LOGGED = ("step", "loss", "grad_norm", "lr", "samples_per_second", "seconds")
SMOOTHED = ("loss", "grad_norm")
POINTS = 1000  # largest number of points of a curve; longer logs are drawn as means of consecutive lines
WINDOW = 25  # a smoothed point is the mean over 1 / WINDOW of its curve, centred on it
WIDTH, HEIGHT, ABOVE, BELOW = 10.8, 3.7, 0.3, 0.15  # inches: the figure, a row of curves, around the samples
LEFT, NAME = 0.8, 9  # inches at the left of samples, for their steps; points of a model's name
WHAT = "(c) Samples by training step, from the same noise and labels, without guidance"
TILES = 30  # samples side by side, over all models
SHOWN_FROM = 0.02  # this first share of the steps, where values are far above the rest, does not set the panels' limits


def drawn(stats, samples, *, models=None):
    """The table of the training curves: one row per (space, model, point), then one per (space, tile), DataFrame.

    stats: {space: paths of stats.jsonl, in the order of ``models``}; samples: {space: samples.h5}; models: names, by
    default those of the files' folders. Columns: kind ("curve" or "tile"), space, model; for curves those of the log
    (``seconds``: since the training began), ``loss_smoothed`` and ``grad_norm_smoothed``; for tiles the step, row,
    column and image (``pictures.as_text``). Raises ValueError for a file that is missing, empty or broken.
    """
    tables = []
    for space, paths in stats.items():
        paths = [paths] if isinstance(paths, (str, Path)) else list(paths)
        names = models or [Path(path).parent.name for path in paths]
        if len(names) != len(paths):
            raise ValueError(
                f"{space} has {len(paths)} training logs for the models {', '.join(names)}; expected one each"
            )
        for name, path in zip(names, paths):
            table = _thinned(_read(path))
            for column in SMOOTHED:
                window = 2 * (len(table) // (2 * WINDOW)) + 1
                table[f"{column}_smoothed"] = table[column].rolling(window, center=True, min_periods=1).mean()
            table.insert(0, "space", space)
            table.insert(1, "model", name)
            table.insert(0, "kind", "curve")
            tables.append(table)
    if not tables:
        raise ValueError("no training log was given; expected a mapping from a latent space to its models' stats.jsonl")
    tiles = [tile for space, path in samples.items() for tile in _tiles(space, read_snapshots(path))]
    return pd.concat([*tables, pd.DataFrame(tiles)], ignore_index=True)


def _tiles(space, snapshots):
    """The samples of a latent space's snapshots: one row per step, one block of columns per model, with a free column
    between blocks."""
    models, steps = snapshots.models, snapshots.steps
    count = max(1, min(len(snapshots.labels), (TILES - len(models) + 1) // len(models)))
    for (model, step), images in snapshots.images.items():
        start = models.index(model) * (count + 1)
        for place, image in enumerate(images[:count]):
            tile = {"kind": "tile", "space": space, "model": model, "step": step, "row": steps.index(step)}
            yield tile | {"column": start + place, "image": as_text(image)}


def _read(path):
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); run the training stage first") from None
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            found = json.loads(line)
            rows.append([float(found[name]) for name in LOGGED])
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path}, line {number} is no line of a training log ({error!r}); expected a JSON object "
                             f"with {', '.join(LOGGED)}") from None  # fmt: skip
    if not rows:
        raise ValueError(f"{path} has no lines; delete it and run the training stage again")
    return pd.DataFrame(rows, columns=LOGGED).astype({"step": int})


def _thinned(table):
    """At most POINTS rows: means of consecutive rows, with the step, learning rate and time of the last one."""
    block = np.arange(len(table)) // math.ceil(len(table) / POINTS)
    how = {name: "mean" for name in LOGGED} | {"step": "last", "lr": "last", "seconds": "last"}
    return table.groupby(block).agg(how)


def figure(table):
    """The training curves from their table (``drawn``), and the samples under them."""
    colours = style.colours_of(table, "model")
    tiles, table = (table[table["kind"] == kind] for kind in ("tile", "curve"))
    spaces = list(dict.fromkeys(table["space"]))
    sheets = {space: in_rows_and_columns(tiles[tiles["space"] == space]) for space in spaces}
    words = {space: layout.wrapped(f"{space} {WHAT}", WIDTH - LEFT - 0.2, layout.TITLE, "bold") for space in spaces}
    names = {space: _names(tiles[tiles["space"] == space], images) for space, images in sheets.items()}
    over = {space: ABOVE + _above(names[space]) + layout.height_of(words[space], layout.TITLE) for space in spaces}
    tile = {space: (WIDTH - LEFT - 0.1) / images.shape[1] for space, images in sheets.items()}
    heights = [over[space] + tile[space] * images.shape[0] + BELOW for space, images in sheets.items()]
    with style.look():
        picture = Figure(figsize=(WIDTH, HEIGHT * len(spaces) + sum(heights)), layout="constrained")
        grid = picture.add_gridspec(1 + len(spaces), 1)
        above, *below = (picture.add_subfigure(place) for place in grid)
        panels = above.subplots(len(spaces), 2, squeeze=False)
        for space, axes in zip(spaces, panels):
            own = table[table["space"] == space]
            for panel, quantity in zip(axes, SMOOTHED):
                _curves(panel, own, quantity, colours)
                panel.set_xlabel("training step")
            layout.title(axes[0], f"{space} (a) Loss, at the end {_ends(own, 'loss_smoothed')}")
            layout.title(axes[1], f"{space} (b) Gradient norm, at the end {_ends(own, 'grad_norm_smoothed')}")
            axes[0].set_ylabel("loss against the model's own target")
            axes[1].set_ylabel("gradient norm before clipping")
            layout.legend(axes[0])
        curves = HEIGHT * len(spaces) + sum(layout.outside(picture, panels))
        grid.set_height_ratios([curves, *heights])
        picture.set_size_inches(WIDTH, curves + sum(heights))
        for space, part in zip(spaces, below):
            rows, columns = sheets[space].shape[:2]
            across, down = WIDTH, over[space] + tile[space] * rows + BELOW
            place = (LEFT / across, BELOW / down, tile[space] * columns / across, tile[space] * rows / down)
            part.text(LEFT / across, 1 - 0.1 / down, words[space], va="top", fontweight="bold")
            _samples(part.add_axes(place), tiles[tiles["space"] == space], sheets[space], names[space], colours)
        return picture


def _names(tiles, images):
    """{model: (its first column, its name in lines as wide as its block)} of a latent space's samples."""
    starts = tiles.groupby("model")["column"].min().sort_values()
    between = np.diff([*starts, images.shape[1]]).min() * (WIDTH - LEFT) / images.shape[1]
    return {model: (start, layout.wrapped(model, between - 0.1, NAME, "bold")) for model, start in starts.items()}


def _above(names):
    """Height of the models' names over their samples."""
    return max(layout.height_of(name, NAME) for _, name in names.values())


def _samples(axes, tiles, images, names, colours):
    sheet(axes, images)
    for model, (start, name) in names.items():
        axes.text(start - 0.45, -0.6, name, va="bottom", fontsize=NAME, fontweight="bold", color=colours.get(model))
    axes.text(-0.7, -0.6, "step", ha="right", va="bottom", fontsize=8.5)
    for row, step in tiles.groupby("row")["step"].first().items():
        axes.text(-0.7, row, f"{step:,}", ha="right", va="center", fontsize=8.5)


def _curves(axes, rows, quantity, colours):
    for model, own in rows.groupby("model", sort=False):
        axes.plot(own["step"], own[quantity], color=colours[model], alpha=0.25, linewidth=0.8)
        axes.plot(
            own["step"], own[f"{quantity}_smoothed"], color=colours[model], linewidth=1.6, label=_label(model, own)
        )
    settled = rows[rows["step"] > SHOWN_FROM * rows["step"].max()]
    values = (settled if len(settled) else rows)[quantity]
    axes.set_ylim(0, 1.05 * values.max())
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _label(model, rows):
    rate, seconds = rows["samples_per_second"].median(), rows["seconds"].iloc[-1]
    return f"{model}: {rate:,.0f} samples/s, {_duration(seconds)}"


def _duration(seconds):
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"


def _ends(rows, column):
    ends = [(own[column].iloc[-1], model) for model, own in rows.groupby("model", sort=False)]
    return layout.few([(end, f"{end:.3g} ({model})") for end, model in ends])


def draw(stats, samples, output_pdf, output_png, output_csv, *, models=None, config=None):
    """Read {space: paths of stats.jsonl, in the order of ``models``} and {space: samples.h5}; write the figure."""
    table = drawn(stats, samples, models=models)
    files = [path for paths in stats.values() for path in ([paths] if isinstance(paths, (str, Path)) else paths)]
    inputs = [*files, *samples.values()]
    style.save(figure(table), table, output_pdf, output_png, output_csv, inputs=inputs, config=config)
