"""Kernel distance (KID): the unbiased squared maximum mean discrepancy with a cubic kernel (Binkowski et al. 2018)."""

import numpy as np

BLOCK = 1024


def kernel_distance(features_a, features_b):
    """Unbiased MMD^2 with ``k(x, y) = (x . y / D + 1)^3`` over all pairs of (N, D) and (M, D) features, float64.

    All pairs, in blocks, where other implementations average over random subsets: the same expectation, no noise from
    the choice of subsets. Can be negative. Raises ValueError for sets of fewer than two samples.
    """
    a, b = np.asarray(features_a, dtype=np.float64), np.asarray(features_b, dtype=np.float64)
    if min(len(a), len(b)) < 2 or a.shape[1] != b.shape[1]:
        raise ValueError(
            f"features have shapes {a.shape} and {b.shape}; expected (N, D) and (M, D), N and M at least 2"
        )
    return float(_mean_within(a) + _mean_within(b) - 2 * _sum(a, b) / (len(a) * len(b)))


def _mean_within(x):
    diagonal = ((np.square(x).sum(1) / x.shape[1] + 1) ** 3).sum()
    return (_sum(x, x) - diagonal) / (len(x) * (len(x) - 1))


def _sum(x, y):
    return sum(((x[start : start + BLOCK] @ y.T / x.shape[1] + 1) ** 3).sum() for start in range(0, len(x), BLOCK))
