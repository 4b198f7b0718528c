"""Autoencoder weights in safetensors files, whose metadata describe the network as JSON."""

import json
from pathlib import Path

from twostage.finite import finite_weights


def save_network(path, network, architecture, **metadata):
    """Write a diffusers network; architecture: its class's arguments; metadata: anything JSON-able to keep."""
    from safetensors.torch import save

    facts = {"class": type(network).__name__, "architecture": architecture, **metadata}
    state = {key: value.contiguous().cpu() for key, value in network.state_dict().items()}
    # One key only: safetensors writes several keys in no fixed order, so that equal weights would give different bytes.
    Path(path).write_bytes(save(state, {"twostage": json.dumps(facts)}))


def load_network(path):
    """The diffusers network of a file that ``save_network`` wrote. Raises ValueError for any other file, for weights
    that do not fit the architecture in the file, and for weights that are not finite."""
    facts = file_metadata(path)
    if facts.get("class") != "AutoencoderKL":
        raise ValueError(f"{path}: not a whole weights file with its architecture; expected one that twostage wrote")
    import torch
    from diffusers import AutoencoderKL  # takes seconds, so not before a file is accepted
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from twostage.weights_file import refuse_misfit, shapes_of

    try:
        weights = load_file(path)
        with torch.device("meta"):  # shapes first, because a header may claim more memory than there is
            shapes = shapes_of(AutoencoderKL(**facts["architecture"]))
    except (OSError, SafetensorError, RuntimeError, TypeError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path}: weights do not fit their architecture ({reason}); make the file again") from None
    refuse_misfit(path, weights, shapes, "the architecture in its header")
    finite_weights(weights, path, "train the autoencoder again")
    network = AutoencoderKL(**facts["architecture"])
    network.load_state_dict(weights)
    return network


def file_metadata(path):
    """The metadata that ``save_network`` wrote: class, architecture and more (a dict); {} for other files."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError):
        return {}
    return json.loads(metadata.get("twostage", "{}"))
