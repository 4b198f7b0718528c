"""The two matrix products of an oracle, in the form that is fastest in a CPU's library with few points.

One thread, 64 points, 1,300 samples, D = 4,096: samples times points takes 6.0 ms, points times samples 6.9 ms; a sum
over the samples takes 4.8 ms in panels of 128, and 6.1 ms in one product. With more points, or fewer numbers per point,
one plain product is as fast or faster; on a GPU it was so in all cases tried. With more threads, the threads wait for
each other at every product, which on a busy machine costs more than the panels save. (Another CPU, of AMD, took as long
in all of these forms.)

A library adds the terms of a sum of float32 in turn: its rounding grows with their number. On that CPU, for fewer than
four points, they are added one by one, and small ones are lost beside the sum. So no product here has more than
``BLOCK`` terms, nor a sum over the samples more than ``ONE_BY_ONE`` for so few points.
"""

import contextlib

import numpy as np
import torch

from twostage.arithmetic import full_products

FEW_POINTS = 128
MANY_NUMBERS = 1024  # in each sample
PANEL = 128  # samples
BLOCK = 8192  # terms of a sum in one product
ONE_BY_ONE = 512  # the same of a sum over samples with few points


def inner_products(points, rows):
    """``points @ rows.T``, (B, n), of points (B, D) and samples (n, D); it may be stored as its transpose."""

    def product(points, rows):
        return torch.mm(rows, points.T).T if _pays(points, rows) else torch.mm(points, rows.T)

    with full_products():
        parts = map(product, points.split(BLOCK, 1), rows.split(BLOCK, 1))
        found = next(parts)
        for part in parts:
            found += part
        return found


def weighted_sum(weights, rows):
    """``weights @ rows`` (B, D) of weights (B, n) and samples (n, D), in their dtype, or float64 of several blocks."""
    size = BLOCK if len(weights) >= 4 else ONE_BY_ONE
    with full_products():
        if len(rows) <= size:
            return _panels(weights, rows)
        found = torch.zeros(len(weights), rows.shape[1], dtype=torch.float64, device=rows.device)
        for some, block in zip(weights.split(size, 1), rows.split(size)):
            found += _panels(some, block)
        return found


def _panels(weights, rows):
    if not _pays(weights, rows):
        return torch.mm(weights, rows)
    size = -(-len(rows) // -(-len(rows) // PANEL))  # of equal panels: a short one takes as long as a whole one
    found = torch.mm(weights[:, :size], rows[:size])
    for start in range(size, len(rows), size):
        found.addmm_(weights[:, start : start + size], rows[start : start + size])
    return found


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
