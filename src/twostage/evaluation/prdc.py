"""Precision, recall, density and coverage by k nearest neighbours.

Precision and recall: Kynkaanniemi et al. 2019; density and coverage: Naeem et al. 2020.
"""

import torch

from twostage.evaluation.neighbours import BLOCK, squared_distances


def precision_recall_density_coverage(real, fake, k=5, real_radii=None):
    """The four numbers as a dict, from (N, D) real and (M, D) fake features (arrays or tensors).

    A ball around each sample reaches its k-th nearest other sample of its own set. precision: share of fakes inside
    some real ball; recall: share of reals inside some fake ball; density: mean number of real balls that a fake lies
    in, over k; coverage: share of real balls that hold a fake. real_radii: ``radii(real, k)``, when they are
    known already. Raises ValueError when a set has k samples or fewer.
    """
    real, fake = torch.as_tensor(real).double(), torch.as_tensor(fake).double()
    if min(len(real), len(fake)) <= k:
        raise ValueError(f"there are {len(real)} real and {len(fake)} fake features; expected more than k = {k}")
    real_radii, fake_radii = radii(real, k) if real_radii is None else real_radii, radii(fake, k)
    reals_in_fakes = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    covered = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    inside_any, balls = 0, 0
    for start in range(0, len(fake), BLOCK):
        rows = slice(start, start + BLOCK)
        distances = squared_distances(fake[rows], real)
        in_real = distances < real_radii
        inside_any += in_real.any(1).sum().item()
        balls += in_real.sum().item()
        covered |= in_real.any(0)
        reals_in_fakes |= (distances < fake_radii[rows, None]).any(0)
    return {
        "precision": inside_any / len(fake),
        "recall": reals_in_fakes.double().mean().item(),
        "density": balls / (k * len(fake)),
        "coverage": covered.double().mean().item(),
    }


def radii(features, k):
    """Squared distance of each row of (N, D) features to its k-th nearest other row, (N,) float64."""
    x = torch.as_tensor(features).double()
    found = []
    for start in range(0, len(x), BLOCK):
        distances = squared_distances(x[start : start + BLOCK], x)
        rows = torch.arange(len(distances), device=x.device)
        distances[rows, rows + start] = torch.inf
        found.append(distances.kthvalue(k, dim=1).values)
    return torch.cat(found)
