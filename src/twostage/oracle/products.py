"""The two matrix products of an oracle, in the form in which a CPU's library is fastest with few points.

One thread, 64 points, 1,300 samples, D = 4,096: the samples times the points take 6.0 ms, the points times the samples
6.9; sums over the samples in panels of 128 take 4.8 ms, in one product 6.1. With more points, or fewer numbers in
each, both are as fast or faster in one plain product; so they are, for all that was tried, on a GPU. With more threads
each product is a place where they wait for each other, which on a busy machine takes longer than is saved.
"""

import torch

from twostage.arithmetic import full_products

FEW_POINTS = 128
MANY_NUMBERS = 1024  # in each sample
PANEL = 128  # samples


def inner_products(points, rows):
    """``points @ rows.T``, (B, n), of points (B, D) and samples (n, D); in memory it may lie as its transpose."""
    with full_products():
        return torch.mm(rows, points.T).T if _pays(points, rows) else torch.mm(points, rows.T)


def add_weighted(onto, weights, rows):
    """``onto`` (B, D), overwritten, plus ``weights @ rows`` of weights (B, n) and samples (n, D).

    The product is made in the samples' dtype; ``onto`` may be wider.
    """
    with full_products():
        if onto.dtype != rows.dtype:
            return onto.add_(torch.mm(weights, rows))
        if not _pays(weights, rows):
            return onto.addmm_(weights, rows)
        size = -(-len(rows) // -(-len(rows) // PANEL))  # of equal panels: a short one takes as long as a whole one
        for start in range(0, len(rows), size):
            onto.addmm_(weights[:, start : start + size], rows[start : start + size])
        return onto


def _pays(points, rows):
    few = len(points) <= FEW_POINTS and rows.shape[1] >= MANY_NUMBERS
    return few and rows.device.type == "cpu" and torch.get_num_threads() == 1
