"""The two matrix products of an oracle, in the form that is fastest in a CPU's library with few points.

One thread, 64 points, 1,300 samples, D = 4,096: samples times points takes 6.0 ms, points times samples 6.9 ms; a sum
over the samples takes 4.8 ms in panels of 128, and 6.1 ms in one product. With more points, or fewer numbers per point,
one plain product is as fast or faster; on a GPU it was so in all cases tried. With more threads, the threads wait for
each other at every product, which on a busy machine costs more than the panels save.
"""

import contextlib

import numpy as np
import torch

from twostage.arithmetic import full_products

FEW_POINTS = 128
MANY_NUMBERS = 1024  # in each sample
PANEL = 128  # samples


def inner_products(points, rows):
    """``points @ rows.T``, (B, n), of points (B, D) and samples (n, D); it may be stored as its transpose."""
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


def row_products(a, b):
    """``<a_i, b_i>`` of rows (k, D), (k,) float64.

    NumPy widens them piece by piece, in the cache; torch would all at once.
    """
    if a.device.type == "cpu":
        # the tensors of a transform of torch.func have no memory that NumPy could read
        with contextlib.suppress(RuntimeError):
            return torch.from_numpy(np.einsum("ij,ij->i", a.numpy(), b.numpy(), dtype=np.float64))
    return (a.to(torch.float64) * b).sum(1)


def _pays(points, rows):
    few = len(points) <= FEW_POINTS and rows.shape[1] >= MANY_NUMBERS
    return few and rows.device.type == "cpu" and torch.get_num_threads() == 1
