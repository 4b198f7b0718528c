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
    pair_distances,
)


def precision_recall_density_coverage(real, fake, k=5, real_radii=None):
    """The four numbers as a dict, from (N, D) real and (M, D) fake features (arrays or tensors).

    A ball around each sample reaches its k-th nearest other sample of its own set. precision: share of fakes inside
    some real ball; recall: share of reals inside some fake ball; density: mean number of real balls that a fake lies
    in, over k; coverage: share of real balls that hold a fake. real_radii: ``radii(real, k)``, when they are
    known already. Raises ValueError when a set has k samples or fewer.
    """
    real, fake = torch.as_tensor(real), torch.as_tensor(fake)
    if min(len(real), len(fake)) <= k:
        raise ValueError(f"there are {len(real)} real and {len(fake)} fake features; expected more than k = {k}")
    real_radii, fake_radii = radii(real, k) if real_radii is None else real_radii, radii(fake, k)
    reals_in_fakes = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    covered = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    inside_any, balls = 0, 0
    for in_real, in_fake in _inside(real, fake, real_radii, fake_radii):
        inside_any += in_real.any(1).sum().item()
        balls += in_real.sum().item()
        covered |= in_real.any(0)
        reals_in_fakes |= in_fake.any(0)
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


def _inside(real, fake, real_radii, fake_radii):
    """Yield, of blocks of fakes, (n, N) booleans: within the reals' radii of them, and within the fakes' own radii.

    Of one product: with s = (d^2 - |a|^2) / 2 (``Products``), d < radius is s < (radius^2 - |a|^2) / 2.
    """
    products = Products(real, centre_of(real, fake))
    real_halves = (real_radii.square() / 2).to(products.centre.dtype)
    rounding = torch.finfo(products.centre.dtype).eps * real_radii.max().square()
    for rows in torch.arange(len(fake), device=fake.device).split(block_rows(QUERIES, fake.shape[1])):
        queries, radius = fake[rows], fake_radii[rows, None]
        scores, squares, error = products(queries)
        in_fake = _below(scores, (radius.square() - squares) / 2, error)
        in_real = _below(scores.sub_(real_halves), -squares / 2, error + rounding)
        for (inside, doubtful), limits in (
            (in_fake, radius.expand(-1, len(real))),
            (in_real, real_radii.expand(len(rows), -1)),
        ):
            row, column = doubtful.nonzero().T
            inside[row, column] = pair_distances(queries, real, row, column) < limits[row, column]
        yield in_real[0], in_fake[0]


def _below(scores, limit, error):
    """Where scores (n, m) are below a limit (n, 1), and where an ``error`` (n, 1) of theirs leaves that in doubt."""
    surely = scores < (limit - error).to(scores.dtype)
    return surely, surely ^ ~(scores > (limit + error).to(scores.dtype))
