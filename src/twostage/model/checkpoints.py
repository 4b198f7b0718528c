"""Files of a LightningDiT: our safetensors with the architecture in their header, and published checkpoints.

``load_model`` needs nothing but the file. ``import_published`` reads what LightningDiT (``.pt`` with ``model, ema, opt,
config``), SiT-style training scripts (``model, ema, opt, args``) and safetensors exports hold; ``export_published``
writes the original's ``.pt``.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from twostage.arguments import as_device
from twostage.finite import finite_weights
from twostage.model.foreign import SCHEMA as FOREIGN
from twostage.model.foreign import Foreign, load_foreign
from twostage.model.lightningdit import LightningDiT, state_shapes
from twostage.provenance import PathLike, atomic_write
from twostage.sides import Size, sides_of, size_of
from twostage.weights_file import EMA_ENTRIES, numbered, read_weights, refuse_misfit, some

SCHEMA = "twostage.model/1"


def save_model(
    path: PathLike,
    model: LightningDiT | Mapping[str, Tensor],
    architecture: Mapping[str, Any] | None = None,
    **metadata: Any,
) -> None:
    """Write weights as safetensors, atomically; architecture and metadata go into the file's header as JSON.

    model: a LightningDiT or its state dict; architecture: the constructor's sizes (None: the model's own);
    metadata: JSON-able facts, e.g. ``step=600``, which ``load_model`` returns.
    """
    weights = model if isinstance(model, Mapping) else model.state_dict()
    if architecture is None:
        architecture = model.architecture  # type: ignore[union-attr]  # a state dict comes with its sizes
    tensors = {name: tensor.detach().contiguous().cpu() for name, tensor in weights.items()}
    # One entry: the writer puts several in an order of its own, and equal models could then differ in their bytes.
    content = {"schema": SCHEMA, "architecture": architecture, "metadata": metadata}
    header = {"twostage": json.dumps(content, sort_keys=True)}
    with atomic_write(path) as temporary:
        try:
            save_file(tensors, temporary, metadata=header)
        except SafetensorError as error:  # the writer raises it for a full disk
            raise OSError(f"{path}: the model could not be written: {error}") from error


def read_header(path: PathLike) -> tuple[dict[str, Any], dict[str, Any]]:
    """(architecture, metadata) of a file of ``save_model``, without its weights, or of a foreign model.

    ValueError for any other file.
    """
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {}).get("twostage", "{}"))
    except SafetensorError as error:
        raise ValueError(f"{path}: not a whole safetensors file ({error}); write it again") from error
    if header.get("schema") not in (SCHEMA, FOREIGN):
        raise ValueError(
            f"{path}: schema is {header.get('schema')!r}; expected {SCHEMA!r}. "
            "A published checkpoint is read by import_published"
        )
    return header["architecture"], header["metadata"]


def load_model(path: PathLike, device: str | torch.device = "cpu") -> LightningDiT | Foreign:
    """The model in ``path`` on ``device``, in eval mode, its metadata as ``model.metadata``.

    A foreign model, which another code builds, is a callable (x, t, y) as a LightningDiT is.

    Raises ValueError for a file that is truncated, that ``save_model`` did not write, whose header and weights
    disagree, or whose weights are not finite, and for a device that is not there; OSError when it cannot be opened.
    """
    device = as_device(device)
    architecture, metadata = read_header(path)
    if "factory" in architecture:
        return load_foreign(path, architecture, metadata, device)
    try:
        with safe_open(path, "pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path}: not a whole safetensors file ({error}); write it again") from error
    found = _sizes_of(weights, path, None)
    if architecture != found:
        odd = [name for name in found if architecture.get(name) != found[name]] or sorted(architecture.keys() - found)
        raise ValueError(
            f"{path}: its header says {', '.join(f'{name} {architecture.get(name)}' for name in odd)}, its weights "
            f"{', '.join(f'{name} {found.get(name)}' for name in odd)}; expected the same: write it again"
        )
    model = _model_of(weights, architecture, path)
    model.metadata = metadata
    return model.to(device).eval()


def import_published(
    path: PathLike, input_size: Size | None = None, num_heads: int | None = None, weights: str | None = None
) -> LightningDiT:
    """A LightningDiT from a published checkpoint, on the CPU, in eval mode.

    path: a ``.pt`` or ``.pth`` (read with ``weights_only``), or a ``.safetensors``; a file of ``save_model`` too.
    input_size: side of the latents, or (height, width); None: read from the positions. num_heads: None: read from the
    rotary buffers.
    weights: which entry of a training checkpoint to take, e.g. ``model``. None takes ``ema``, the weights that are
    evaluated; a file without ``ema`` gives ``model``, with the warning ``twostage.weights_file.NoEMA``.
    Sizes are read from the tensors; the prefixes ``module.``, ``_orig_mod.`` and ``ema_model.`` are dropped. Raises
    ValueError for missing, unexpected and misshapen keys, all of them listed, and for weights that are not finite.
    """
    path = Path(path)
    state, entry = read_weights(path, weights)
    architecture = _sizes_of(state, path, num_heads)
    if input_size is not None and sides_of(input_size) != sides_of(architecture["input_size"]):
        raise ValueError(
            f"{path}: input_size is {input_size}; the checkpoint's positions are for {architecture['input_size']}"
        )
    model = _model_of(state, architecture, path)
    model.metadata = {"source": path.name, "weights": "ema" if entry in EMA_ENTRIES else entry or "as they are"}
    return model.eval()


def export_published(path: PathLike, model: LightningDiT, **config: Any) -> None:
    """Write a model as the original's ``.pt``: ``{model, ema, opt, config}``, weights float32, no optimiser state.

    The original's ``inference.py`` reads ``ema``; its ``weight_init`` reads ``model``.
    """
    state = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
    with atomic_write(path) as temporary:
        torch.save({"model": state, "ema": state, "opt": {}, "config": config}, temporary)


def _sizes_of(state, path, num_heads):
    """The constructor's sizes, read from the shapes of the weights alone."""

    def shape(name, axes):
        found = tuple(state[name].shape) if name in state else None
        if found is None or len(found) != axes or 0 in found:
            odd = f"{name} is missing" if found is None else f"{name} has the shape {found}"
            raise ValueError(f"{path}: does not look like a LightningDiT: {odd}; it holds {some(sorted(state))}")
        return found

    hidden_size, in_channels, patch_size, _ = shape("x_embedder.proj.weight", 4)
    shape("pos_embed", 3)
    rows = shape("y_embedder.embedding_table.weight", 2)[0]
    if num_heads is None:
        if "feat_rope.freqs_cos" not in state:
            raise ValueError(
                f"{path}: has no feat_rope buffers (a DiT or SiT without rotary positions?); expected LightningDiT's"
            )
        num_heads = hidden_size // shape("feat_rope.freqs_cos", 2)[1]
    return {
        "input_size": size_of(*(patch_size * patches for patches in _grid_of(state["pos_embed"][0]))),
        "patch_size": patch_size,
        "in_channels": in_channels,
        "hidden_size": hidden_size,
        "depth": numbered(path, state, "blocks."),
        "num_heads": num_heads,
        "num_classes": rows - 1,
    }


def _grid_of(positions):
    """(rows, columns) of the patches of positions (T, D), as ``sincos_positions`` makes them: sin(column) stands first,
    sin(row) in the middle. Other positions are taken as those of a square."""
    tokens, dim = positions.shape
    column, row = positions[:, 0].double(), positions[:, dim // 2].double()
    columns = int((row.abs() < 0.1).long().cumprod(0).sum())  # sin(0), before sin(1)
    if columns and tokens % columns == 0:
        places = torch.arange(tokens, dtype=torch.float64)
        own = (places % columns).sin() - column, (places // columns).sin() - row
        if all(difference.abs().max() < 0.02 for difference in own):  # as exact as bf16 is
            return tokens // columns, columns
    return (math.isqrt(tokens),) * 2


def _model_of(state, architecture, path):
    """The model of these sizes with these weights. It is built only when every name and shape is right."""
    try:
        shapes = state_shapes(**architecture)
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"{path}: no LightningDiT has the sizes {architecture} ({error})") from None
    refuse_misfit(path, state, shapes, f"a LightningDiT {architecture}")
    finite_weights(state, path, "train it again, or fetch it again")
    model = LightningDiT(**architecture)
    model.load_state_dict(state)
    return model
