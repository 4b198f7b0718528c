"""Standard errors of distances and of their differences: the delete-a-part jackknife (Shao and Wu 1989).

Plans share a seed's noise and labels, sample by sample. So most of the chance variation of one plan's distance is also
in the next plan's, and cancels in their difference. The jackknife keeps this: it leaves the same samples out of every
plan. The distances without each part are columns of the table, from which a reader can compute the standard error of
the difference between any two plans.
"""

import numpy as np

from twostage.evaluation.frechet import covariance_root, distance_of_roots, mean_and_root

PARTS = 10


def parts_of(labels, parts=PARTS):
    """The part of each sample, int64 (n,), from the samples' labels (n,) in the order of their index.

    Samples are assigned to the parts at random within each label, by a fixed seed. So every part has its share of every
    label, and plans with the same labels have the same parts.
    """
    order = np.lexsort((np.random.default_rng(0).random(len(labels)), labels))
    part = np.empty(len(labels), dtype=np.int64)
    part[order] = np.arange(len(labels)) % parts
    return part


def distances_without(features, part, mean, root):
    """Squared Frechet distances to a reference of features (n, D) without each part, float64 (parts,).

    part: int (n,), as ``parts_of`` gives it; mean, root: the reference's. NaN where parts have fewer than two samples.
    """
    parts = part.max(initial=-1) + 1
    if len(features) < 2 * PARTS:
        return np.full(PARTS, np.nan)
    features = np.asarray(features, dtype=np.float64)
    count, width = features.shape
    if count - np.bincount(part).max() <= width:
        return np.array([distance_of_roots(*mean_and_root(features[part != p]), mean, root) for p in range(parts)])
    # Each part's sums are subtracted from those of all samples: one pass over the features serves all parts.
    whole = features.mean(0)
    centred = features - whole
    scatter = centred.T @ centred
    distances = []
    for p in range(parts):
        own = centred[part == p]
        left = count - len(own)
        shift = -own.sum(0) / left  # of the mean
        covariance = (scatter - own.T @ own - left * np.outer(shift, shift)) / (left - 1)
        centre = whole + shift
        distances.append(distance_of_roots(centre, covariance_root(covariance, centre), mean, root))
    return np.array(distances)


def standard_error(without):
    """Standard error of a statistic from its values without each part (..., parts); NaN stays NaN."""
    without = np.asarray(without, dtype=np.float64)
    parts = without.shape[-1]
    deviations = without - without.mean(-1, keepdims=True)
    return np.sqrt((parts - 1) / parts * np.square(deviations).sum(-1))


def at_infinity(value, without):
    """A statistic extrapolated to infinitely many samples, if its bias is proportional to 1 / samples (jackknife).

    This is the extrapolation of Chong and Forsyth (2020) from two numbers of samples: all, and all but one part. It is
    good where there are many more samples than dimensions.
    """
    parts = len(without)
    return parts * value - (parts - 1) * float(np.mean(without))
