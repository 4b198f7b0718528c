"""Images through an encoder, a decoder or a feature network: in chunks of one fixed size.

Memory is bounded by a budget however many images there are. What comes out of an image does not depend on how many go
in: a network's rounding depends on the size of its batch, and here that size is always the same, the last chunk being
filled up by repeating its last image.
"""

import os

VARIABLE = "TWOSTAGE_NETWORK_MB"  # the workflow sets it from `networks.memory_mb`
GPU_MB, CPU_MB = 16384, 256  # budgets: on a GPU unless the variable says, and on CPUs, which gain nothing by more
MOST = 64  # images per chunk: more make no GPU faster, and small images on CPUs slower


def budget_mb(device):
    """Memory that one chunk may take on a device, MiB."""
    return int(os.environ.get(VARIABLE) or GPU_MB) if str(device).startswith("cuda") else CPU_MB


def chunk_size(item_bytes, budget):
    """Number of images per chunk: the largest power of two, at most 64, that fits in the budget, and at least 1.

    item_bytes: bound of what one image takes in the network beside the weights; budget: MiB. An image's widest feature
    map takes at most a third of ``item_bytes``, so a budget of up to 24 GiB makes no tensor of 2^31 elements.
    """
    fits = (budget << 20) // item_bytes
    return 1 << (max(1, min(MOST, fits)).bit_length() - 1)


def in_chunks(network, size, *items):
    """Yield (first, results) of ``network(*chunk)`` over tensors (n, ...) of equal n, ``size`` rows at a time.

    network: function of tensors (size, ...), or of None for an item that is None, to a tensor (size, ...). first:
    position of the chunk's first row among the n; results: those of the rows that are not repeated ones.
    """
    for first in range(0, len(items[0]), size):
        parts = [item if item is None else item[first : first + size] for item in items]
        count = len(parts[0])
        yield first, network(*(_filled(part, size) for part in parts))[:count]


def _filled(part, size):
    """``size`` rows in the order of memory that a new tensor has: a convolution rounds otherwise in another one."""
    import torch  # takes seconds: not for the workflow, which reads this file for the name of the variable

    if part is None:
        return None
    return torch.cat([part, part[-1:].expand(size - len(part), *part.shape[1:])]).contiguous()
