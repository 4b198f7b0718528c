"""The images that an autoencoder takes, from its config.json or the names in its file, without reading the weights.

Imports no torch, because it runs while a configuration is read. Pickled files do not tell; the job checks those.
"""

import json
import re
from pathlib import Path

from safetensors import SafetensorError, safe_open

from twostage.data.published import FOLDER_FILES


def structure_of(path):
    """(channels of the images, pixels that a latent position covers along a side) of an autoencoder's file or folder.

    A number is None if the file does not tell it or cannot be read; the job that reads the weights then gives the
    reason.
    """
    path = Path(path)
    try:
        if path.is_dir() or path.name in FOLDER_FILES:
            folder = path if path.is_dir() else path.parent
            if (folder / "config.json").is_file():
                return _of_config(json.loads((folder / "config.json").read_text(encoding="utf-8")))
            path = folder / FOLDER_FILES[0]
        return _of_shapes(_shapes(path)) if path.suffix == ".safetensors" else (None, None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError):
        return None, None


def _of_config(config):
    """From diffusers' config.json of an AutoencoderKL or an AutoencoderTiny."""
    levels = config.get("block_out_channels") or config.get("encoder_block_out_channels") or ()
    return config.get("in_channels"), 2 ** (len(levels) - 1) if levels else None


def _shapes(path):
    """{name: shape} of a safetensors file."""
    with safe_open(path, "np") as file:
        return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118


def _of_shapes(shapes):
    """From an AutoencoderKL's levels, in diffusers' names or LDM's, or from the layers of a tiny encoder."""
    levels = {match[1] for name in shapes if (match := re.search(r"\bencoder\.down(?:_blocks)?\.(\d+)\.", name))}
    first = [shape for name, shape in shapes.items() if re.search(r"\bencoder\.conv_in\.weight$", name)]
    if levels and first:
        return first[0][1], 2 ** (len(levels) - 1)
    layers = {name.removeprefix("encoder.layers."): shape for name, shape in shapes.items()}
    numbers = {int(name.partition(".")[0]) for name in layers if name[:1].isdigit()}
    if "0.weight" not in layers:
        return None, None
    # As in ``twostage.data.tiny``: a convolution halves where it has no bias, or a ReLU of its own.
    halves = lambda n: f"{n}.bias" not in layers or (n + 1 not in numbers and n + 2 in numbers)  # noqa: E731
    halvings = sum(f"{number}.weight" in layers and halves(number) for number in numbers)
    return layers["0.weight"][1], 2**halvings
