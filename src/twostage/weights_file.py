"""Files of weights from elsewhere: recognised, read without running code, and checked before use.

Shapes are compared with the network's before the network takes memory, because a file may claim more memory than there
is.
"""

import argparse
import pickletools
import re
import warnings

import torch
from safetensors import SafetensorError, safe_open

from twostage.fetch import refuse_stand_in

# Parts that data-parallel training, torch.compile and averaging put into the names, at any place.
WRAPPERS = {"module", "_orig_mod", "ema_model"}
COUNTERS = {"n_averaged", "initted", "step"}  # of torch's AveragedModel and of ema_pytorch, beside the weights
EMA_ENTRIES = ("ema", "ema_model", "model_ema", "ema_state_dict", "state_dict_ema")
PLAIN_ENTRIES = ("model", "state_dict", "model_state_dict")
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class NoEMA(UserWarning):
    """A training checkpoint whose weights were not averaged."""


# ------------------------------------------------------------------------------------------------------------- reading


def read_weights(path, entry=None, averaged=True):
    """({name: tensor} on the CPU, name of their entry or None) of a torch checkpoint or a safetensors file.

    entry: which entry of a training checkpoint to take; None takes the averaged weights, or the plain ones if there are
    none (with the warning NoEMA if ``averaged``, for networks that are evaluated by their EMA). ``module.``,
    ``_orig_mod.`` and ``ema_model.`` are removed from the names, and ``model.`` if all names begin with it. Raises
    ValueError, in one line, for a file that is no such file, names a foreign class, or lacks the entry.
    """
    refuse_stand_in(path)
    content = _read_safetensors(path) if _is_safetensors(path) else _read_torch(path)
    state, found = _choose(content, path, entry, averaged)
    state, wrapped = _unwrapped(state, path, entry)
    return state, found or wrapped


def _is_safetensors(path):
    with open(path, "rb") as stream:
        head = stream.read(9)
    # Eight bytes of a length, then JSON; a file that is too short for this is recognised by its name.
    return head[8:] == b"{" or str(path).endswith(".safetensors")


def _read_safetensors(path):
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise ValueError(f"{path}: not a whole safetensors file ({error}); fetch it again") from None


def _read_torch(path):
    try:
        # SiT-style files carry an argparse.Namespace, which is harmless; nothing else beyond tensors is let in.
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle protocols: the error says what matters
            return torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except OSError:
        raise
    except Exception as error:  # unpickling fails in many ways: truncation, foreign classes, other formats
        text = str(error) or type(error).__name__
        found = re.search(r"GLOBAL ([\w.]+)", text)
        if foreign := found[1] if found else _first_class(path):
            reason = (
                f"it names {foreign}, whose code would run; where it was made, save the weights alone, by torch.save "
                "of a dict of tensors or by safetensors"
            )
        else:
            first_line = (text.rpartition("WeightsUnpickler error:")[2].strip().splitlines() or [text])[0]
            reason = f"{first_line}; fetch the file again"
        raise ValueError(f"{path}: not a PyTorch checkpoint that can be read safely: {reason}") from None


def _first_class(path):
    """The first class or function outside torch that a plain pickle names, or None; no code of it is run."""
    words = []
    try:
        with open(path, "rb") as stream:
            for operation, argument, _ in pickletools.genops(stream):
                if operation.name == "STACK_GLOBAL":
                    argument = " ".join(words[-2:])
                elif isinstance(argument, str) and operation.name != "GLOBAL":
                    words.append(argument)
                    continue
                if operation.name in ("GLOBAL", "STACK_GLOBAL") and not argument.startswith(("torch", "collections ")):
                    return argument.replace(" ", ".")
    except (ValueError, OSError):  # no pickle at all
        return None
    return None


def _is_zip(path):
    with open(path, "rb") as stream:
        return stream.read(2) == b"PK"


def _choose(content, path, entry, averaged):
    """The weights among a file's entries, and the entry's name; None if the file holds only the weights."""
    if not isinstance(content, dict):
        raise ValueError(f"{path}: holds a {type(content).__name__}; expected weights by name")
    entries = [name for name in (*EMA_ENTRIES, *PLAIN_ENTRIES) if isinstance(content.get(name), dict) and content[name]]
    if not entries and _is_state(content):
        if entry is not None and not any("ema_model" in str(name).split(".") for name in content):
            raise ValueError(
                f"{path}: holds weights alone, no entries; expected an entry {entry!r}: leave `weights` out"
            )
        return content, None
    chosen = entry or (entries[0] if entries else None)
    if chosen is None or not _is_state(content.get(chosen)) or not content[chosen]:
        expected = repr(chosen) if chosen else " or ".join(map(repr, ("ema", "model")))
        raise ValueError(
            f"{path}: holds {sorted(map(str, content))}; expected an entry {expected} with weights by name"
        )
    averages = any("ema_model" in name.split(".") for name in content[chosen])
    if averaged and entry is None and chosen not in EMA_ENTRIES and not averages:
        warnings.warn(
            f"{path}: holds no EMA weights, only {', '.join(entries)}; {chosen!r} is taken as it is "
            f"(`weights: {chosen}` confirms this choice)",
            NoEMA,
            stacklevel=3,
        )
    return content[chosen], chosen


def _is_state(content):
    return isinstance(content, dict) and all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in content.items()
    )


def _unwrapped(state, path, entry):
    """The weights without wrappers in their names, and "ema_model" if they are the averages among other weights."""
    averages = {name for name in state if "ema_model" in name.split(".")}
    wrapped = None
    if averages and entry in PLAIN_ENTRIES:
        state = {name.removeprefix("online_model."): state[name] for name in state if name not in averages}
    elif averages:
        state, wrapped = {name: state[name] for name in averages}, "ema_model"
    found, origins = {}, {}
    for (name, tensor), bare in zip(state.items(), _bare(state)):
        if bare in COUNTERS and tensor.numel() == 1:
            continue
        if bare in found:
            raise ValueError(
                f"{path}: {origins[bare]} and {name} are one name without the prefixes of wrappers; expected only one"
            )
        found[bare], origins[bare] = tensor, name
    return found, wrapped


def _bare(names):
    """Names without wrappers, and without ``model.`` if all begin with it (Lightning, for a module's only network)."""
    bare = [".".join(part for part in name.split(".") if part not in WRAPPERS) for name in names]
    while bare and all(name.startswith("model.") for name in bare):
        bare = [name.removeprefix("model.") for name in bare]
    return bare


def _refuse_odd_tensor(path, name, tensor):
    if tensor.layout != torch.strided or tensor.dtype not in FLOATS:
        kind = tensor.dtype if tensor.layout == torch.strided else tensor.layout
        raise ValueError(f"{path}: {name} is of {kind}; expected dense numbers of 16, 32 or 64 bits")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise ValueError(
            f"{path}: {name} claims the shape {tuple(tensor.shape)}, more than the file holds; fetch the file again"
        )


# ------------------------------------------------------------------------------------------------------------ checking


def shapes_of(module):
    """{name: shape} of a module's weights and buffers, as its state dict has them."""
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def refuse_misfit(path, state, expected, what):
    """Raise ValueError with the missing, the unexpected and the misshapen names of ``state``, or with the name of a
    tensor that is not an array of floats in the file.

    state: {name: tensor}; expected: {name: shape}; what: the network, in words.
    """
    missing = [name for name in expected if name not in state]
    unexpected = [name for name in state if name not in expected]
    misshapen = [
        f"{name} {tuple(state[name].shape)} instead of {shape}"
        for name, shape in expected.items()
        if name in state and tuple(state[name].shape) != shape
    ]
    if missing or unexpected or misshapen:
        lists = {"missing": missing, "unexpected": unexpected, "misshapen": misshapen}
        found = "; ".join(f"{kind}: {some(names)}" for kind, names in lists.items() if names)
        raise ValueError(f"{path}: does not fit {what}: {found}")
    for name, tensor in state.items():
        _refuse_odd_tensor(path, name, tensor)


def some(names, limit=6):
    """The first few names, and the number of further ones."""
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest


def numbered(path, names, prefix):
    """Number of numbers 0, 1, 2, ... after ``prefix`` in the names. ValueError if one is missing or is not a number."""
    found = {name[len(prefix) :].partition(".")[0] for name in names if name.startswith(prefix)}
    numbers = sorted(int(part) for part in found if re.fullmatch(r"[0-9]{1,9}", part))
    if len(numbers) != len(found) or numbers != list(range(len(numbers))):
        odd = sorted(found - {str(number) for number in range(len(found))})
        raise ValueError(f"{path}: {prefix}{odd[0]} among {len(found)} of {prefix}*; expected them numbered from 0 on")
    return len(numbers)
