"""The Inception score (Salimans et al. 2016): how clearly each image shows one class, and how many classes there are.

``exp(mean KL(p(y | x) || p(y)))``, p(y) the mean of p(y | x). As ADM's evaluator does: the mean over groups of 5,000
images in their order, p(y | x) a softmax without bias. The score grows with the number of images per group, so scores
of different numbers of images must not be compared.
"""

import numpy as np
from scipy.special import log_softmax, xlogy

from twostage.evaluation.jackknife import PARTS

GROUP = 5000  # images, of ADM's evaluator
BLOCK = 1024  # images whose probabilities are held together


def inception_scores(features, class_weights, part, group=GROUP):
    """The score of all images, and without each part: a float and float64 (parts,).

    features: (N, D), in the order of the images; class_weights: (classes, D); part: int (N,), the part of each image.
    Computed in float64. NaN without each part where there are fewer than two images per part.
    """
    weights = np.asarray(class_weights, dtype=np.float64).T
    groups, parts = -(-len(features) // group), PARTS
    # Sums per group and part: of the images, of sum_y p log p, and of p.
    counts, certainty = np.zeros((groups, parts)), np.zeros((groups, parts))
    sums = np.zeros((groups, parts, weights.shape[1]))
    for first in range(0, len(features), BLOCK):
        rows = slice(first, first + BLOCK)
        logs = log_softmax(np.asarray(features[rows], dtype=np.float64) @ weights, axis=1)
        shares = np.exp(logs)
        own = np.arange(first, first + len(logs)) // group, part[rows]
        np.add.at(counts, own, 1)
        np.add.at(certainty, own, (shares * logs).sum(1))
        np.add.at(sums, own, shares)

    def score(kept):
        images = counts[:, kept].sum(1)
        some = images > 0
        mean = sums[:, kept].sum(1)[some] / images[some, None]
        divergence = certainty[:, kept].sum(1)[some] / images[some] - xlogy(mean, mean).sum(1)
        return float(np.exp(divergence).mean())

    if len(features) < 2 * PARTS:
        return score(np.arange(parts)), np.full(parts, np.nan)
    return score(np.arange(parts)), np.array([score(np.arange(parts) != p) for p in range(parts)])
