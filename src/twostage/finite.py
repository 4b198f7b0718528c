"""One check that values are finite, where arrays enter: weights, latents, images, states, features, references.

A NaN that passes becomes a number later: its image is black, a maximum skips it, a distance computed from it looks like
any other. Nothing here imports torch.
"""

import numpy as np


def finite(values, what, remedy, rows=None):
    """Return ``values``, a numpy array or a tensor of any dtype and device. ValueError if one of them is not finite.

    what: names the file and the array; remedy: how to mend it; rows: numbers (n,) of the rows of the first axis, if
    they are not 0, 1, 2, ...: the error then names the row of the first bad value.
    """
    if _all_finite(values):
        return values
    bad = ~_is_finite(values)
    first = [int(axis[0]) for axis in (bad.nonzero(as_tuple=True) if _is_tensor(values) else bad.nonzero())]
    place = f"the first at index {first}"
    if rows is not None:
        place = f"the first in row {int(rows[first[0]])}"
    count, total = int(bad.sum()), int(np.prod(values.shape))
    are = "is" if count == 1 else "are"
    raise ValueError(f"{what}: {count} of {total} values {are} not finite (NaN or infinity), {place}; {remedy}")


def finite_weights(tensors, what, remedy="make or fetch the file again"):
    """Return ``tensors`` {name: tensor}. ValueError, with file, tensor and count, if a weight is not finite."""
    bad = [name for name, tensor in tensors.items() if not _all_finite(tensor)]
    if bad:
        others = f" (and {len(bad) - 1} tensors more)" if len(bad) > 1 else ""
        finite(tensors[bad[0]], f"{what}: weights {bad[0]}{others}", remedy)
    return tensors


def _all_finite(values):
    # A sum takes a third of the time of a mask. It is finite only if all values are; finite values may still overflow
    # it.
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(_is_finite(values.sum())) or bool(_is_finite(values).all())


def _is_tensor(values):
    return hasattr(values, "isfinite")


def _is_finite(values):
    return values.isfinite() if _is_tensor(values) else np.isfinite(values)
