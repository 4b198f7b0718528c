"""Floating-point operations of a LightningDiT, in closed form; nothing here imports torch."""

import math
from collections.abc import Mapping
from typing import Any

from twostage.sides import sides_of


def forward_flops(architecture: Mapping[str, Any]) -> int:
    """Operations of one forward pass of one sample: two per multiplication in its matrix products.

    architecture: as ``LightningDiT.architecture``; the numbers of heads and classes add no products. Torch's own
    counter gives the same number. A foreign model's says what torch's counter found.

    >>> xl = {"patch_size": 1, "hidden_size": 1152, "depth": 28}
    >>> f"{forward_flops({'input_size': 16, 'in_channels': 32, **xl}):.4g}"  # 256 tokens
    '2.373e+11'
    """
    if "forward_flops" in architecture:
        return architecture["forward_flops"]
    width, patch = architecture["hidden_size"], architecture["patch_size"]
    tokens = math.prod(side // patch for side in sides_of(architecture["input_size"]))
    pixels = architecture["in_channels"] * patch**2
    inner = int(2 / 3 * 4 * width)
    attention = 4 * width**2 + 2 * tokens * width
    block = tokens * (attention + 3 * width * inner) + 6 * width**2
    ends = 2 * tokens * width * pixels + 256 * width + 3 * width**2
    return 2 * (architecture["depth"] * block + ends)
