"""The time from which the oracle velocity of a training pair equals x_1 - x_0, to within float32's rounding.

For a pair (x_0, x_1), with d_j = x^(j) - x_1, s = t / (1 - t) and w_j = s |d_j| (``twostage.oracle.pairs``):

    |u* - u| = |sum_j gamma_j d_j| / (1 - t) <= sum_j |d_j| exp(s <x_0, d_j> - w_j^2 / 2) / (1 - t)

over the samples j that differ from x_1: its copies have d = 0. Given d_j, <x_0, d_j> is normal with standard deviation
|d_j|. All N - 1 of them stay below z |d_j|, except with probability MISS = 1e-12, where Q(z) = MISS / (N - 1), Q the
normal tail. Then each term is at most |d_j| exp(z w_j - w_j^2 / 2), which falls with |d_j| once w_j >= z + 1 / z. With
delta = |d_j| of the nearest and w = s delta

    |u* - u| <= (N - 1) delta exp(z w - w^2 / 2) (1 + s),         as 1 / (1 - t) = 1 + s,

which falls with s once w >= 2 z. Where it is at most TOLERANCE, no oracle needs to be computed. Both hold after the
time at which w = z + sqrt(z^2 + 2 L), L = log((N - 1) delta (1 + s) / TOLERANCE), taken as 0 if it is negative.
A distance that is too small makes that time later but never wrong, so products of low precision will do
(``nearest_other``).
"""

import numpy as np
import torch
from scipy.special import ndtri

from twostage.arithmetic import exact_product
from twostage.oracle.samples import MEGABYTE, WIDE

TOLERANCE = 2.0**-25  # of |u* - u|, over all D numbers: half the spacing of float32 numbers between 1/2 and 1
MISS = 1e-12  # probability, per training sample, that an inner product <x_0, d_j> is larger than assumed
NEVER = 2.0  # a time that never comes
AGAIN = 4  # squared distances below this many times their error are computed again by differences
BLOCK = 4096  # number of samples at a time


def settled_times(nearest, count):
    """The time from which a pair's oracle velocity is x_1 - x_0, for each x_1: (n,) float32, NEVER if there is none.

    nearest: (n,) distance of x_1 to the nearest other sample, or a smaller number; inf if there is no other; count: the
    number of samples N of the posterior. The statement fails with probability MISS per sample, and holds for a normal
    x_0 that does not depend on the data.
    """
    nearest = np.asarray(torch.as_tensor(nearest).cpu(), dtype=float)
    others = max(count - 1, 1)
    z = -ndtri(MISS / others)
    with np.errstate(divide="ignore", invalid="ignore"):
        base = np.log(others) + np.log(nearest) - np.log(TOLERANCE)
        # w depends on log(1 + s), s = w / delta: iterated from above, every step is a bound, which is soon exact
        s = np.full(nearest.shape, 1e9)
        for _ in range(20):
            w = z + np.sqrt(z**2 + 2 * np.maximum(base + np.log1p(s), 0))
            s = np.minimum(s, w / nearest)
        s = np.where(np.isinf(nearest), 0.0, s)
    times = np.where(s < 1e7, s / (1 + s), NEVER)  # beyond this, float32 cannot represent the time
    return torch.from_numpy(np.nextafter(times.astype(np.float32), np.float32(NEVER)) * (times > 0))


def nearest_other(rows, blocks, *, products=None, budget_mb=1024):
    """A lower bound on the distance of each row to the nearest sample that differs from it: (n,) float64.

    rows: (n, D) floating tensor; blocks: iterable of (m, D) tensors, all samples, the rows among them; products: dtype
    of the matrix products (None: bfloat16 on a GPU, otherwise the data's). Samples equal to a row are left out; inf if
    no other is there. The bound is below the distance by the largest possible rounding error: in squares, 2% of
    |x|^2 + |y|^2 in bfloat16, (2 D + 36) 2^-24 of it in float32. Pairs whose distance is not clearly larger than this
    are computed by float64 differences.
    """
    products = products or (torch.bfloat16 if rows.device.type == "cuda" else rows.dtype)
    low = torch.finfo(products).eps / 2 if products == torch.bfloat16 else 0
    # in units of |x|^2 + |y|^2: inputs and result in the products' dtype, sums of D terms, norms and centred rows
    unit = 5 * low + (2 * rows.shape[1] + 36) * torch.finfo(torch.float32 if low else rows.dtype).eps / 2
    found = torch.full((len(rows),), torch.inf, dtype=WIDE, device=rows.device)
    if len(rows) == 0:
        for _ in blocks:  # all processes may have to take part in making them
            pass
        return found
    centre = rows.mean(0)
    for block in blocks:
        chunk = max(1, int(budget_mb * MEGABYTE) // 8 // max(4 * rows.shape[1], 24 * len(block)))
        others = block - centre
        other_squares, others = others.square().sum(1), others.to(products)
        for start in range(0, len(rows), chunk):
            part = slice(start, start + chunk)
            mine = rows[part] - centre
            both = mine.square().sum(1)[:, None] + other_squares
            squares = torch.sub(both, exact_product(mine.to(products), others.T), alpha=2)
            error = both.mul_(unit)
            row, column = (squares <= AGAIN * error).nonzero(as_tuple=True)
            squares -= error
            squares[row, column] = torch.inf
            least = squares.amin(1).to(WIDE)
            for few in _groups(len(row), rows.shape[1], budget_mb):
                difference = rows[part][row[few]].to(WIDE) - block[column[few]].to(WIDE)
                exact = difference.square().sum(1)
                least.scatter_reduce_(0, row[few], exact.masked_fill_(exact == 0, torch.inf), "amin")
            found[part] = torch.minimum(found[part], least)
    return found.sqrt_()


def blocks_of(rows, budget_mb=1024):
    """``rows`` (n, D) in blocks that ``nearest_other`` can take at a time."""
    return rows.split(block_size(rows.shape[1], budget_mb))


def block_size(dim, budget_mb=1024):
    """Rows of ``dim`` numbers in a block."""
    return max(1, min(BLOCK, int(budget_mb * MEGABYTE) // 8 // (4 * dim)))


def _groups(count, dim, budget_mb):
    size = max(1, int(budget_mb * MEGABYTE) // 8 // (24 * dim))
    return [slice(start, start + size) for start in range(0, count, size)]
