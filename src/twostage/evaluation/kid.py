"""Kernel distance (KID): the unbiased squared maximum mean discrepancy with a cubic kernel (Binkowski et al. 2018)."""

import numpy as np

BLOCK = 1024


def kernel_distance(features_a, features_b, within_b=None):
    """Unbiased MMD^2 with ``k(x, y) = (x . y / D + 1)^3`` over all pairs of (N, D) and (M, D) features, float64.

    All pairs, in blocks, where other implementations average over random subsets: the same expectation, no noise from
    the choice of subsets. Can be negative. within_b: ``mean_within(features_b)``, when it is known already.
    Raises ValueError for sets of fewer than two samples.
    """
    a, b = np.asarray(features_a, dtype=np.float64), np.asarray(features_b, dtype=np.float64)
    if min(len(a), len(b)) < 2 or a.shape[1] != b.shape[1]:
        raise ValueError(
            f"features have shapes {a.shape} and {b.shape}; expected (N, D) and (M, D), N and M at least 2"
        )
    within_b = mean_within(b) if within_b is None else within_b
    return float(mean_within(a) + within_b - 2 * _sum(a, b) / (len(a) * len(b)))


def mean_within(features):
    """Mean of the kernel over the pairs of two different rows of (N, D) features."""
    x = np.asarray(features, dtype=np.float64)
    diagonal = _cube(np.square(x).sum(1) / x.shape[1] + 1).sum()
    return (_sum(x, x) - diagonal) / (len(x) * (len(x) - 1))


def _sum(x, y):
    return sum(_cube(x[start : start + BLOCK] @ y.T / x.shape[1] + 1).sum() for start in range(0, len(x), BLOCK))


def _cube(x):
    return x * x * x  # numpy's power of an array is many times slower
