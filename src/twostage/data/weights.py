"""Autoencoder weights in safetensors files that bear, as JSON in their metadata, what it takes to build the network."""

import json
from pathlib import Path

from twostage.finite import finite_weights


def save_network(path, network, architecture, **metadata):
    """Write a diffusers network; architecture: its class's arguments; metadata: anything JSON-able to keep."""
    from safetensors.torch import save

    facts = {"class": type(network).__name__, "architecture": architecture, **metadata}
    state = {key: value.contiguous().cpu() for key, value in network.state_dict().items()}
    # One key: safetensors writes several in no fixed order, and the same weights would not be the same bytes.
    Path(path).write_bytes(save(state, {"twostage": json.dumps(facts)}))


def load_network(path):
    """The diffusers network of a file that ``save_network`` wrote. Raises ValueError for any other file, and for
    weights that are not finite."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    facts = file_metadata(path)
    if not facts:
        raise ValueError(f"{path}: not a whole weights file with its architecture; expected one that twostage wrote")
    import diffusers  # takes seconds: not for a file that is refused anyway

    network = getattr(diffusers, facts["class"])(**facts["architecture"])
    try:
        weights = load_file(path)
        network.load_state_dict(weights)
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path}: weights do not fit their architecture ({reason}); make the file again") from None
    finite_weights(weights, path, "train the autoencoder again")
    return network


def file_metadata(path):
    """What ``save_network`` wrote beside the weights: class, architecture and more (a dict); {} for other files."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError):
        return {}
    return json.loads(metadata.get("twostage", "{}"))
