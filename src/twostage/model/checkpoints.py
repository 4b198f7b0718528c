"""Files of a LightningDiT: our safetensors with the architecture in their header, and published checkpoints.

``load_model`` needs nothing but the file. ``import_published`` reads what LightningDiT (``.pt`` with ``model, ema, opt,
config``), SiT-style training scripts (``model, ema, opt, args``) and safetensors exports hold; ``export_published``
writes the original's ``.pt``.
"""

import argparse
import json
import math
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from twostage.arguments import as_device
from twostage.finite import finite_weights
from twostage.model.lightningdit import LightningDiT
from twostage.provenance import atomic_write

SCHEMA = "twostage.model/1"


def save_model(path, model, architecture=None, **metadata):
    """Write weights as safetensors, atomically; architecture and metadata go into the file's header as JSON.

    model: a LightningDiT or its state dict; architecture: the constructor's sizes (None: the model's own);
    metadata: JSON-able facts, e.g. ``step=600``, which ``load_model`` hands back.
    """
    weights = model if isinstance(model, dict) else model.state_dict()
    if architecture is None:
        architecture = model.architecture
    tensors = {name: tensor.detach().contiguous().cpu() for name, tensor in weights.items()}
    # One entry: the writer puts several in an order of its own, and the same model would not be the same bytes.
    content = {"schema": SCHEMA, "architecture": architecture, "metadata": metadata}
    header = {"twostage": json.dumps(content, sort_keys=True)}
    with atomic_write(path) as temporary:
        try:
            save_file(tensors, temporary, metadata=header)
        except SafetensorError as error:  # what the writer makes of a full disk
            raise OSError(f"{path}: the model could not be written: {error}") from error


def read_header(path):
    """(architecture, metadata) of a file of ``save_model``, without its weights. ValueError for any other file."""
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {}).get("twostage", "{}"))
    except SafetensorError as error:
        raise ValueError(f"{path}: not a whole safetensors file ({error}); write it again") from error
    if header.get("schema") != SCHEMA:
        raise ValueError(
            f"{path}: schema is {header.get('schema')!r}; expected {SCHEMA!r}. "
            "A published checkpoint is read by import_published"
        )
    return header["architecture"], header["metadata"]


def load_model(path, device="cpu"):
    """The model in ``path`` on ``device``, in eval mode, its metadata as ``model.metadata``.

    Raises ValueError for a file that is truncated, not one of ours, or holds weights that are not finite, and for a
    device that is not there; OSError when it cannot be opened.
    """
    device = as_device(device)
    architecture, metadata = read_header(path)
    model = LightningDiT(**architecture)
    try:
        with safe_open(path, "pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path}: not a whole safetensors file ({error}); write it again") from error
    _load_strictly(model, weights, path)
    model.metadata = metadata
    return model.to(device).eval()


def import_published(path, input_size=None, num_heads=None, weights="ema"):
    """A LightningDiT from a published checkpoint, on the CPU, in eval mode.

    path: a ``.pt`` or ``.pth`` (read with ``weights_only``), or a ``.safetensors``; a file of ``save_model`` too.
    input_size: side of the latents, None reads it off the positions. num_heads: None reads it off the rotary
    buffers. weights: which entry of a training checkpoint to take, ``ema`` (what is evaluated) or ``model``.
    Sizes are read off the tensors; a ``module.`` prefix is dropped. Raises ValueError that lists the missing, the
    unexpected and the misshapen keys, and for weights that are not finite.
    """
    path = Path(path)
    state = _strip_prefix(_read_state(path, weights))
    architecture = _sizes_of(state, path, num_heads)
    if input_size is not None and input_size != architecture["input_size"]:
        raise ValueError(
            f"{path}: input_size is {input_size}; the checkpoint's positions are for {architecture['input_size']}"
        )
    model = LightningDiT(**architecture)
    _load_strictly(model, state, path)
    model.metadata = {"source": path.name, "weights": weights}
    return model.eval()


def export_published(path, model, **config):
    """Write a model as the original's ``.pt``: ``{model, ema, opt, config}``, weights float32, no optimiser state.

    The original's ``inference.py`` reads ``ema``; its ``weight_init`` reads ``model``.
    """
    state = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
    with atomic_write(path) as temporary:
        torch.save({"model": state, "ema": state, "opt": {}, "config": config}, temporary)


def _read_state(path, weights):
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, "pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(f"{path}: not a whole safetensors file ({error})") from error
    try:
        # SiT-style files carry an argparse.Namespace, which is harmless; nothing else beyond tensors is let in.
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except OSError:
        raise
    except Exception as error:  # unpickling fails in many ways: truncation, foreign classes, other formats
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path}: not a PyTorch checkpoint that can be read safely ({first_line})") from error
    if isinstance(content, dict) and ("ema" in content or "model" in content):
        if weights not in content:
            raise ValueError(f"{path}: holds {sorted(map(str, content))}; expected an entry {weights!r}")
        content = content[weights]
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise ValueError(f"{path}: expected a state dict, or a dict with one as `ema` or `model`")
    return content


def _is_zip(path):
    with open(path, "rb") as stream:
        return stream.read(2) == b"PK"


def _strip_prefix(state):
    """Names without the wrappers that data-parallel training and torch.compile put before them."""
    stripped = {}
    for name, tensor in state.items():
        for prefix in ("module.", "_orig_mod."):
            name = name.removeprefix(prefix)
        stripped[name] = tensor
    return stripped


def _sizes_of(state, path, num_heads):
    try:
        hidden_size, in_channels, patch_size, _ = state["x_embedder.proj.weight"].shape
        tokens = state["pos_embed"].shape[1]
        rows = state["y_embedder.embedding_table.weight"].shape[0]
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"{path}: does not look like a LightningDiT: {error} is missing or misshapen; it holds "
            f"{_some(sorted(state))}"
        ) from None
    if num_heads is None:
        if "feat_rope.freqs_cos" not in state:
            raise ValueError(
                f"{path}: has no feat_rope buffers (a DiT or SiT without rotary positions?); expected LightningDiT's"
            )
        num_heads = hidden_size // state["feat_rope.freqs_cos"].shape[1]
    depth = 1 + max((int(name.split(".")[1]) for name in state if name.startswith("blocks.")), default=-1)
    return {
        "input_size": math.isqrt(tokens) * patch_size,
        "patch_size": patch_size,
        "in_channels": in_channels,
        "hidden_size": hidden_size,
        "depth": depth,
        "num_heads": num_heads,
        "num_classes": rows - 1,
    }


def _load_strictly(model, state, path):
    expected = model.state_dict()
    missing = [name for name in expected if name not in state]
    unexpected = [name for name in state if name not in expected]
    misshapen = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in state and state[name].shape != tensor.shape
    ]
    if missing or unexpected or misshapen:
        lists = {"missing": missing, "unexpected": unexpected, "misshapen": misshapen}
        found = "; ".join(f"{kind}: {_some(names)}" for kind, names in lists.items() if names)
        raise ValueError(f"{path}: does not fit a LightningDiT {model.architecture}: {found}")
    model.load_state_dict(finite_weights(state, path, "train it again, or fetch it again"))


def _some(names, limit=6):
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest
