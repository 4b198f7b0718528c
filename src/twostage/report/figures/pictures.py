"""Picture arrays (HDF5) of sampled images, and how they are laid out on a sheet.

A sheet's CSV says for every tile what it shows and how far it is from the images beside it. It also holds the tile
itself as text, so that a sheet is drawn from its CSV alone.
"""

import base64
import io
import json
import textwrap
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from twostage.hdf5 import opened, read_texts
from twostage.unlabelled import EVERYTHING

SHOWN = 6  # rows of a sheet
GAP = 0.06  # white between tiles, in tiles
SMALL = 64  # pixels of the longer side; up to this, every pixel is shown
LARGEST = 128  # pixels of a tile's longer side: a tile is one inch wide, and a page has about two hundred of them


class Pictures(NamedTuple):
    """Rows of samples side by side, one column per plan.

    images: uint8 (rows, columns, H, W, C); labels, index: int (rows,); plans: names (columns,); t: float (columns,), a
    switch or resume time or NaN; nearest: training images like ``images``, or None; followed: (rows, H, W, C), the
    image whose trajectory the last plan follows, or None; class_names: texts by label, empty if they are not known.
    """

    images: np.ndarray
    labels: np.ndarray
    index: np.ndarray
    plans: list
    t: np.ndarray
    nearest: np.ndarray | None
    followed: np.ndarray | None
    class_names: list


def read_pictures(path, *needed):
    """The ``Pictures`` of an evaluation's HDF5 file; needed: "nearest" or "followed" if the file must have it.

    Raises ValueError, with the path, for a file that is not there, is not HDF5, or lacks a data set that it must have.
    """
    found = _read(path, ("images", "labels", "index", "columns", "t", *needed), ("nearest", "followed"))
    plans = [name.decode() if isinstance(name, bytes) else str(name) for name in found["columns"]]
    rest = [found.get(name) for name in ("nearest", "followed")]
    return Pictures(found["images"], found["labels"], found["index"], plans, found["t"], *rest, found["class_names"])


def read_predictions(path):
    """One-step predictions along a trajectory: (field, times (T,), labels (n,), names of their classes, images).

    field: the velocity field of the plan's parts; images: uint8 (n, T, H, W, C).
    """
    found = _read(path, ("predictions", "times", "labels"), ())
    field = " > ".join(part["field"] for part in json.loads(found["plan"])["parts"])
    names = names_of(found["labels"], found["class_names"])
    return field, found["times"], found["labels"], names, found["predictions"]


def read_flux(path):
    """The Flux study: (prompts, times (T,), shifts (S,), predictions, images by shift).

    predictions: uint8 (prompts, T, H, W, 3); images: uint8 (prompts, S, H, W, 3).
    """
    found = _read(path, ("prompts", "times", "shifts", "predictions", "images"), ())
    prompts = [text.decode() for text in found["prompts"]]
    return prompts, found["times"], found["shifts"], found["predictions"], found["images"]


class Snapshots(NamedTuple):
    """Samples of a latent space's snapshots; the n-th sample has the same noise and label in all snapshots.

    models: names, smallest first; steps: increasing; labels: int (n,); images: {(model, step): uint8 (n, H, W, C)}.
    """

    models: list
    steps: list
    labels: np.ndarray
    images: dict


def read_snapshots(path):
    """The ``Snapshots`` of the training stage's samples.h5."""
    found = _read(path, ("images", "model", "step", "labels"), ())
    models = [name.decode() for name in found["model"]]
    images = dict(zip(zip(models, found["step"].tolist()), found["images"]))
    return Snapshots(list(dict.fromkeys(models)), sorted(set(found["step"].tolist())), found["labels"], images)


def read_settling(path):
    """{row of the store: (its image, its nearest other image)}, uint8 (H, W, C), of a settling.h5, in its order.

    Empty for a latent space that nothing decodes.
    """
    found = _read(path, ("row",), ("images", "nearest"))
    pairs = zip(found["images"], found["nearest"]) if "images" in found else ()
    return dict(zip(found["row"].tolist(), pairs))


def _read(path, needed, wanted):
    if not Path(path).is_file():
        raise ValueError(f"{path} is not there; expected the pictures of an earlier stage: run that stage first")
    try:
        with opened(path) as file:
            missing = [name for name in needed if name not in file]
            if missing:
                raise ValueError(f"{path} lacks {', '.join(missing)}; it has {', '.join(file)}: run its stage again")
            found = {name: file[name][()] for name in (*needed, *wanted) if name in file}
            found["class_names"] = read_texts(file, "class_names")
            return found | {"plan": str(file.attrs.get("plan", '{"parts": []}'))}
    except OSError as error:
        raise ValueError(f"{path} cannot be read as HDF5 ({error}); delete it and run its stage again") from None


def first_of_each_class(labels, count=SHOWN):
    """Positions of the first sample of each class, then of the second, ...: at most ``count``, in that order."""
    seen = pd.Series(labels).groupby(labels).cumcount().to_numpy()
    return np.argsort(seen, kind="stable")[:count]


def names_of(labels, class_names):
    """Names of the classes of labels (n,), a list; the numbers if ``class_names`` is empty."""
    return [class_names[label] if class_names else str(label) for label in labels]


def grey_distance(images, others):
    """Root mean square difference in grey levels (0 to 255), over the last three axes: pixels and channels."""
    return np.sqrt(((images.astype(np.float64) - others) ** 2).mean((-3, -2, -1)))


def tiles(pictures, rows):
    """The tiles of a sheet at ``rows``: one row per (row, column), DataFrame.

    Columns: row, column, plan, t, index, label, class_name; followed_grey and nearest_grey, the distances (root mean
    square, grey levels) to the image followed and to the nearest training image, NaN if there is none; and image
    (``as_text``).
    """
    nearest, names = np.full(pictures.images.shape[:2], np.nan), names_of(pictures.labels, pictures.class_names)
    followed = nearest.copy()
    if pictures.nearest is not None:
        nearest = grey_distance(pictures.images, pictures.nearest)
    if pictures.followed is not None:
        followed = grey_distance(pictures.images, pictures.followed[:, None])
    return pd.DataFrame(
        [
            {
                "row": place, "column": column, "plan": plan, "t": pictures.t[column], "index": pictures.index[row],
                "label": pictures.labels[row], "class_name": names[row],
                "followed_grey": followed[row, column], "nearest_grey": nearest[row, column],
                "image": as_text(pictures.images[row, column]),
            }
            for place, row in enumerate(rows)
            for column, plan in enumerate(pictures.plans)
        ]
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- drawing


def reduced(images, largest=LARGEST):
    """Images (..., H, W, C) averaged over whole blocks of pixels, until the longer side is at most ``largest``."""
    *rest, height, width, channels = images.shape
    block = -(-max(height, width) // largest)
    if block == 1:
        return images
    cut = images[..., : height // block * block, : width // block * block, :]
    blocks = cut.reshape(*rest, height // block, block, width // block, block, channels)
    return blocks.mean((-4, -2)).round().astype(np.uint8)


def is_small(image):
    """Whether an image (..., H, W, C) is shown pixel by pixel."""
    return max(image.shape[-3:-1]) <= SMALL


def as_text(image):
    """An image (H, W, C), uint8, as base64 text for a CSV: a small image as PNG, a large one ``reduced`` and as
    JPEG."""
    image, file = reduced(image), io.BytesIO()
    options = {"format": "PNG", "optimize": True} if is_small(image) else {"format": "JPEG", "quality": 90}
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, **options)
    return base64.b64encode(file.getvalue()).decode("ascii")


def from_text(text):
    """The image (H, W, C), uint8, of ``as_text``."""
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))
    return image[..., None] if image.ndim == 2 else image


def in_rows_and_columns(table, name="image"):
    """The images in a column of a sheet's table as (rows, columns, H, W, C), uint8; white if there is no image."""
    table = table.dropna(subset=name)
    places = table[["row", "column"]].to_numpy(dtype=int)
    images = np.stack([from_text(text) for text in table[name]])
    found = np.full((*(places.max(0) + 1), *images.shape[1:]), 255, dtype=np.uint8)
    found[tuple(places.T)] = images
    return found


def class_words(tile, width, lines=1):
    """The name of a tile's class (a row of a sheet's table) for a picture: at most ``lines`` lines of ``width``
    characters. A class that has no name except its number is called "class 3"; images without classes have no word."""
    name, label = tile.get("class_name", ""), int(tile["label"])
    if not isinstance(name, str):  # a CSV's reader took it for a number, or for none
        name = "" if pd.isna(name) else f"{name:g}"
    if name == EVERYTHING:
        return ""
    found = textwrap.wrap(name if name not in ("", str(label)) else f"class {label}", width)
    if len(found) > lines:
        found[lines - 1 :] = [" ".join(found[lines - 1 :])[: width - 1].rstrip() + "…"]
    return "\n".join(found)


def tile_side(images):
    """Side of a tile in inches: small images need little room, large ones show more in a larger tile."""
    return float(np.clip(max(images.shape[-3:-1]) / 110, 0.62, 1.1))


def blank(width, height):
    """An empty figure of that size in inches, for ``place``."""
    return Figure(figsize=(width, height))


def place(picture, left, top, width, height, **options):
    """Axes at a place given in inches from the figure's top left corner."""
    across, down = picture.get_size_inches()
    return picture.add_axes((left / across, 1 - (top + height) / down, width / across, height / down), **options)


def squared(images):
    """Images (..., H, W, C) uint8, each in the middle of a white square, so that its proportions stay."""
    height, width = images.shape[-3:-1]
    beside = [(0, 0)] * (images.ndim - 3)
    for side in (height, width):
        missing = max(height, width) - side
        beside.append((missing // 2, missing - missing // 2))
    return np.pad(images, [*beside, (0, 0)], constant_values=255)


def sheet(axes, images, square=True):
    """Draw images (rows, columns, H, W, C), uint8, as tiles: column c from c - 1/2 to c + 1/2, rows likewise downwards.

    Small images are shown pixel by pixel (nearest), large ones are averaged down. square: whether the tiles are; other
    images are then ``squared``.
    """
    images = squared(images) if square else images
    rows, columns, height, width, channels = images.shape
    small, repeat = is_small(images), max(1, SMALL // max(height, width))
    images = images.repeat(repeat, axis=2).repeat(repeat, axis=3)
    gap_y, gap_x = (max(1, round(GAP * side / 2)) for side in images.shape[2:4])
    padding = ((0, 0), (0, 0), (gap_y, gap_y), (gap_x, gap_x), (0, 0))
    canvas = np.pad(images, padding, constant_values=255).transpose(0, 2, 1, 3, 4)
    canvas = canvas.reshape(rows * canvas.shape[1], columns * canvas.shape[3], channels)
    if channels == 1:
        canvas = canvas.repeat(3, axis=2)
    axes.imshow(
        canvas, extent=(-0.5, columns - 0.5, rows - 0.5, -0.5), aspect="auto",
        interpolation="nearest" if small else "antialiased",
    )  # fmt: skip
    axes.set_axis_off()
