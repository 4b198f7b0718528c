"""Precision, recall, density and coverage by k nearest neighbours.

Precision and recall: Kynkaanniemi et al. 2019; density and coverage: Naeem et al. 2020.
"""

import torch

from twostage.evaluation.neighbours import (
    QUERIES,
    NearestNeighbours,
    Products,
    block_rows,
    centre_of,
    group_width,
    pair_distances,
)


def precision_recall_density_coverage(real, fake, k=5, real_radii=None):
    """The four numbers as a dict, from (N, D) real and (M, D) fake features (arrays or tensors).

    The ball around each sample reaches to the k-th nearest other sample of its own set. precision: share of fakes
    inside some real ball; recall: share of reals inside some fake ball; density: mean number of real balls that contain
    a fake, divided by k; coverage: share of real balls that contain a fake. real_radii: ``radii(real, k)``, when they
    are known already. Raises ValueError when a set has k samples or fewer.
    """
    real, fake = torch.as_tensor(real), torch.as_tensor(fake)
    if min(len(real), len(fake)) <= k:
        raise ValueError(f"there are {len(real)} real and {len(fake)} fake features; expected more than k = {k}")
    real_radii, fake_radii = radii(real, k) if real_radii is None else real_radii, radii(fake, k)
    reals_in_fakes = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    covered = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    inside_any, balls = 0, 0
    for (row, column), in_fake in _inside(real, fake, real_radii, fake_radii, k):
        inside_any += len(row.unique())
        balls += len(row)
        covered[column] = True
        reals_in_fakes[in_fake] = True
    return {
        "precision": inside_any / len(fake),
        "recall": reals_in_fakes.double().mean().item(),
        "density": balls / (k * len(fake)),
        "coverage": covered.double().mean().item(),
    }


def radii(features, k):
    """Distance of each row of (N, D) features to its k-th nearest other row, (N,) float64."""
    x = torch.as_tensor(features)
    search = NearestNeighbours(x, k + 1)  # each row's nearest is at distance 0: itself, or a copy
    search.add(x)
    return search.distances[:, -1]


def _inside(real, fake, real_radii, fake_radii, k):
    """Yield, for blocks of fakes, the pairs (row, column) where a fake is within a real's radius, and the reals (p,)
    that are within the radius of some fake.

    Both come from one product. Half of the squared radius of each real is subtracted from its column, which makes the
    numbers of the fakes within it negative. For the fakes' radii, half of a fake's squared radius is subtracted from
    its row; a real is within some fake's radius where its smallest number over the fakes is negative.
    """
    centre = centre_of(real, fake)
    real_halves = (real_radii.square() / 2).to(centre.dtype)
    products = Products(real, centre, group_width(len(real), k), real_halves)
    for rows in torch.arange(len(fake), device=fake.device).split(block_rows(QUERIES, fake.shape[1])):
        queries, radius = fake[rows], fake_radii[rows, None]
        margins, error = products(queries)
        row, column = products.not_above(margins, error, products.lowest(margins))
        inside = margins[row, column] < -error[row, 0]
        in_real = _with_doubtful(inside, queries, real, row, column, real_radii[column])
        half = (radius.square() / 2).to(centre.dtype)
        error = error.max() + products.rounding * half.max()
        margins = margins[:, : len(real)].sub_(half)
        lowest = margins.amin(0) + real_halves
        inside = lowest < -error
        doubtful = (~inside & ~(lowest > error)).nonzero()[:, 0]
        row, column = (~(margins[:, doubtful] + real_halves[doubtful] > error)).nonzero().T
        column = doubtful[column]
        again = pair_distances(queries, real, row, column) < radius[row, 0]
        inside[column[again]] = True
        yield in_real, inside


def _with_doubtful(inside, queries, real, row, column, radius):
    """The pairs (row, column) that are ``inside``, and those that differences in float64 show to be inside."""
    doubtful = (~inside).nonzero()[:, 0]
    found = pair_distances(queries, real, row[doubtful], column[doubtful]) < radius[doubtful]
    inside[doubtful] = found
    return row[inside], column[inside]
