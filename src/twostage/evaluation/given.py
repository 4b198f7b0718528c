"""The content of reference files from elsewhere, read from their headers, so that it is checked before any sampling.

The workflow looks at these files before its first job. Therefore nothing here imports torch.
"""

import contextlib
import json
import zipfile
from pathlib import Path

import numpy as np

from twostage.fetch import refuse_stand_in
from twostage.provenance import provenance_path
from twostage.sides import in_words, sides_of

IMAGES, STATISTICS = "images", "statistics"
EXPECTED = "expected an npz with mu (D,) and sigma (D, D), or with images as arr_0, uint8 (N, H, W, C)"
WIDTHS = {"inception": 2048, "dinov2": 768}  # features per image
SPATIAL_WIDTH = 2023  # Inception's spatial features per image


def refuse_unfit_reference(path, features, *, width=None, image_size=None, weights_sha256=None):
    """The kind of content of a reference file, IMAGES or STATISTICS. Raises ValueError, with the file's name, where it
    does not fit the features.

    features: "classifier", "inception" or "dinov2"; width: features per image, where it is known; image_size: side of
    the run's images, or (height, width), which images for the classifier must have; weights_sha256: digest of the
    network. The features and weights in the file's provenance (``write_provenance``) must be the same.
    """
    kind, shape = held(path)
    width = width or WIDTHS.get(features)
    if kind == STATISTICS and width and shape != (width,):
        raise ValueError(
            f"{path}: statistics of {shape[0]} features per image; {features} has {width}: give statistics of the same "
            "network, or the images themselves (npz with arr_0)"
        )
    if kind == STATISTICS and features == "inception":
        spatial = _shapes(path).get("mu_s", ((SPATIAL_WIDTH,),))[0]
        if spatial != (SPATIAL_WIDTH,):
            raise ValueError(
                f"{path}: mu_s has the shape {spatial}; Inception's spatial features are ({SPATIAL_WIDTH},): give "
                "statistics of the same network, or leave mu_s and sigma_s out"
            )
    if kind == IMAGES and features == "classifier" and image_size and shape[1:3] != sides_of(image_size):
        raise ValueError(
            f"{path}: images of {shape[1]} x {shape[2]} pixels; the run's classifier sees {in_words(image_size)}"
        )
    said = _provenance(path)
    for what, theirs, ours in (
        ("features", (said.get("config") or {}).get("features"), features),
        ("weights_sha256", said.get("weights_sha256"), weights_sha256),
    ):
        if theirs and ours and theirs != ours and kind == STATISTICS:
            raise ValueError(
                f"{path}: its provenance says {what} {theirs}; expected {ours}: compute the reference again"
            )
    return kind


def held(path):
    """(IMAGES, their shape) or (STATISTICS, shape of mu) of an npz. Raises ValueError, with its name, for others."""
    path = Path(path)
    if path.is_file():
        refuse_stand_in(path)
    try:
        shapes = _shapes(path)
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        raise ValueError(f"{path} is not a reference ({error}); {EXPECTED}") from None
    if {"mu", "sigma"} <= set(shapes):
        mean, covariance = shapes["mu"][0], shapes["sigma"][0]
        if len(mean) != 1 or covariance != mean * 2:
            raise ValueError(f"{path} is not a reference (mu {mean}, sigma {covariance}); {EXPECTED}")
        return STATISTICS, mean
    shape, dtype = shapes.get("arr_0", ((), None))
    if dtype == np.uint8 and len(shape) == 4 and shape[0] >= 2 and shape[3] in (1, 3):
        return IMAGES, shape
    found = f"arr_0, {dtype} of shape {shape}" if dtype else f"{', '.join(_names(path))}"
    raise ValueError(f"{path} is not a reference (it holds {found}); {EXPECTED}")


def image_batches(path, batch_size):
    """Yield the images (n, H, W, C) uint8 of an npz's arr_0, at most ``batch_size`` at a time and in memory."""
    with zipfile.ZipFile(path) as archive, archive.open("arr_0.npy") as stream:
        shape, _, in_columns = _read_header(stream)
        if in_columns:
            raise ValueError(f"{path}: arr_0 is stored column by column; expected NumPy's usual order: save it again")
        size = int(np.prod(shape[1:]))
        for start in range(0, shape[0], batch_size):
            count = min(batch_size, shape[0] - start)
            content = stream.read(count * size)
            if len(content) != count * size:
                raise ValueError(f"{path}: arr_0 ends before its {shape[0]} images do; fetch the file again")
            yield np.frombuffer(content, dtype=np.uint8).reshape(count, *shape[1:]).copy()


def _names(path):
    """Names of the arrays in an npz."""
    with zipfile.ZipFile(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def _shapes(path):
    """{name: (shape, dtype)} of the arrays in an npz that a reference may have."""
    with zipfile.ZipFile(path) as archive:
        known = [name for name in _names(path) if name in ("mu", "sigma", "mu_s", "arr_0")]
        return {name: _header(archive, name)[:2] for name in known}


def _header(archive, name):
    with archive.open(f"{name}.npy") as stream:
        return _read_header(stream)


def _read_header(stream):
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, in_columns, dtype = read(stream)
    return shape, dtype, in_columns


def _provenance(path):
    with contextlib.suppress(OSError, ValueError):
        return json.loads(provenance_path(path).read_text(encoding="utf-8"))
    return {}
