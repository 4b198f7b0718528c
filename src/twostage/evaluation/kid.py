"""Kernel distance (KID): the unbiased squared maximum mean discrepancy with a cubic kernel (Binkowski et al. 2018)."""

import numpy as np

BLOCK = 1024


def kernel_distance(features_a, features_b, within_b=None):
    """Unbiased MMD^2 with ``k(x, y) = (x . y / D + 1)^3`` over all pairs of (N, D) and (M, D) features, float64.

    Other implementations average over random subsets; this one takes all pairs, in blocks. The expectation is the same,
    without noise from the choice of subsets. The result can be negative. within_b: ``mean_within(features_b)``, when it
    is known already. Raises ValueError for sets of fewer than two samples.
    """
    return kernel_distances(features_a, features_b, np.zeros(len(features_a), dtype=np.int64), within_b)[0]


def kernel_distances(features_a, features_b, part, within_b=None):
    """``kernel_distance`` of all of features_a, and without each part: a float and float64 (parts,).

    part: int (N,), the part of each row of features_a. NaN for a part without which fewer than two samples remain.
    """
    a, b = np.asarray(features_a, dtype=np.float64), np.asarray(features_b, dtype=np.float64)
    if min(len(a), len(b)) < 2 or a.shape[1] != b.shape[1]:
        raise ValueError(
            f"features have shapes {a.shape} and {b.shape}; expected (N, D) and (M, D), N and M at least 2"
        )
    within_b = mean_within(b) if within_b is None else within_b
    members = np.eye(part.max() + 1)[part]
    between_parts = members.T @ _row_sums(a, a, members)
    diagonals, to_b, counts = members.T @ _diagonal(a), members.T @ _row_sums(a, b), members.sum(0)

    def distance(inside, cross, count):
        if count < 2:
            return np.nan
        return inside / (count * (count - 1)) + within_b - 2 * cross / (count * len(b))

    inside = between_parts.sum() - diagonals.sum()
    lost = (
        2 * between_parts.sum(1) - np.diag(between_parts) - diagonals
    )  # the sums over pairs with a member in the part
    whole = distance(inside, to_b.sum(), len(a))
    without = [distance(inside - lost[p], to_b.sum() - to_b[p], len(a) - counts[p]) for p in range(len(counts))]
    return float(whole), np.array(without)


def mean_within(features):
    """Mean of the kernel over the pairs of two different rows of (N, D) features."""
    x = np.asarray(features, dtype=np.float64)
    return (_row_sums(x, x).sum() - _diagonal(x).sum()) / (len(x) * (len(x) - 1))


def _diagonal(x):
    return _cube(np.square(x).sum(1) / x.shape[1] + 1)


def _row_sums(x, y, members=None):
    """Sums of the kernel over the rows of y, (len(x),), or over those of each part: (len(x), parts)."""
    parts = []
    for start in range(0, len(x), BLOCK):
        kernel = _cube(x[start : start + BLOCK] @ y.T / x.shape[1] + 1)
        parts.append(kernel.sum(1) if members is None else kernel @ members)
    return np.concatenate(parts)


def _cube(x):
    return x * x * x  # numpy's power of an array is many times slower
