"""Checks of arguments: arrays become tensors, and devices must exist."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = Tensor | np.ndarray  # functions take both and return tensors


def as_tensor(name: str, values: Any) -> Tensor:
    """A tensor as it is; a numpy array, number or list as a tensor, with Python's floats in float64.

    ValueError for anything else.
    """
    if isinstance(values, torch.Tensor):
        return values
    try:
        array = np.asarray(values)
        # torch refuses arrays with negative strides, with another byte order, or that are read-only.
        return torch.from_numpy(np.require(array, array.dtype.newbyteorder("="), "CW").reshape(array.shape))
    except (TypeError, ValueError, RuntimeError):
        found = values.dtype if isinstance(values, np.ndarray) else type(values).__name__
        raise ValueError(f"{name} is {found}; expected numbers: a tensor, or a numpy array") from None


def as_floating(name: str, values: Any) -> Tensor:
    """As ``as_tensor``; also ValueError unless it holds floating-point numbers and has at least one axis."""
    found = as_tensor(name, values)
    if not found.is_floating_point() or found.ndim == 0:
        raise ValueError(f"{name} is {found.dtype} {tuple(found.shape)}; expected a floating tensor or numpy array")
    return found


def as_labels(name: str, values: Any) -> Tensor:
    """As ``as_tensor``; also ValueError unless the numbers are whole."""
    found = as_tensor(name, values)
    if found.is_floating_point() or found.is_complex() or found.dtype == torch.bool:
        raise ValueError(f"{name} has dtype {found.dtype}; expected integer labels")
    return found


def as_device(device: str | torch.device) -> torch.device:
    """``cpu``, ``cuda``, ``cuda:1``, or a torch.device, as a torch.device. ValueError for a device that does not
    exist."""
    try:
        found = torch.device(device)
    except (TypeError, RuntimeError):
        raise ValueError(f"device is {device!r}; expected cpu or cuda") from None
    if found.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device is '{found}', but torch sees no GPU; expected one, or device cpu")
    return found
