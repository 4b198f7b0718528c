"""A network on a CPU takes as many rows at a time as its cache holds: the same numbers, in less time."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

# Bytes of one activation: more leaves a core's cache, and took up to 1.5 times as long (benchmarks/rows.py).
IN_CACHE = 1 << 20
FEWEST = 16  # rows at a time, where one has many tokens: with fewer, the weights are read too often


def by_rows(
    model: Callable[..., Tensor],
    x: Float[Tensor, " batch *shape"],
    t: Float[Tensor, " batch"],
    y: Int[Tensor, " batch"],
) -> Float[Tensor, " batch *shape"]:
    """``model(x, t, y)``, on a CPU some rows at a time; at once on a GPU, and where the tokens are not known."""
    tokens = getattr(model, "pos_embed", None)
    if tokens is None or x.device.type != "cpu":
        return model(x, t, y)
    rows = max(FEWEST, IN_CACHE // (tokens.numel() * tokens.element_size()))
    pieces = math.ceil(len(x) / rows)
    if pieces == 1:
        return model(x, t, y)
    return torch.cat([model(*some) for some in zip(*(each.tensor_split(pieces) for each in (x, t, y)))])
