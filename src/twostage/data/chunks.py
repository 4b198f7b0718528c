"""Images through an encoder, a decoder or a feature network: in chunks of one fixed size.

Memory is bounded by a budget, however many images there are. A network's rounding depends on the size of its batch.
Here that size is always the same, because the last chunk is filled up with repeats of its last image. So an image's
result does not depend on the number of images.
"""

import os

VARIABLE = "TWOSTAGE_NETWORK_MB"  # the workflow sets it from `networks.memory_mb`
GPU_MB, CPU_MB = 16384, 256  # budgets: on a GPU unless VARIABLE is set, and on CPUs, which gain nothing from more
MOST = 64  # images per chunk: with more, no GPU is faster, and CPUs are slower on small images


def budget_mb(device):
    """Memory that one chunk may use on a device, MiB."""
    return int(os.environ.get(VARIABLE) or GPU_MB) if str(device).startswith("cuda") else CPU_MB


def chunk_size(item_bytes, budget):
    """Number of images per chunk: the largest power of two, at most 64, that fits in the budget, and at least 1.

    item_bytes: bound on the memory of one image in the network, weights apart; budget: MiB. An image's widest feature
    map takes at most a third of ``item_bytes``, so no tensor reaches 2^31 elements with a budget of up to 24 GiB.
    """
    fits = (budget << 20) // item_bytes
    return 1 << (max(1, min(MOST, fits)).bit_length() - 1)


def in_chunks(network, size, *items):
    """Yield (first, results) of ``network(*chunk)`` over tensors (n, ...) of equal n, ``size`` rows at a time.

    network: function that gives a tensor (size, ...) for tensors (size, ...), or for None where an item is None.
    first: position of the chunk's first row among the n; results: without those of repeated rows.
    """
    for first in range(0, len(items[0]), size):
        parts = [item if item is None else item[first : first + size] for item in items]
        count = len(parts[0])
        yield first, network(*(_filled(part, size) for part in parts))[:count]


def _filled(part, size):
    """``size`` rows in the memory layout of a new tensor: in another layout a convolution rounds differently."""
    import torch  # takes seconds: the workflow imports this module for the name of the variable alone

    if part is None:
        return None
    return torch.cat([part, part[-1:].expand(size - len(part), *part.shape[1:])]).contiguous()
