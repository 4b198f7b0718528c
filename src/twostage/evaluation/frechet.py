"""The Frechet distance between Gaussians fitted to two sets of features.

``d^2 = |mu_a - mu_b|^2 + tr S_a + tr S_b - 2 tr (S_a S_b)^(1/2)`` (Dowson and Landau 1982; Heusel et al. 2017). With
roots ``S = R^T R`` the last trace is the nuclear norm of ``R_a R_b^T``, so no matrix square root is needed. A root is
the Cholesky factor of the covariance, or, with fewer samples than dimensions, the centred features themselves.
"""

import warnings

import numpy as np
import scipy.linalg
from jaxtyping import Float, Float64, Real

from twostage.finite import finite

EXACT_SIDE = 512
ROUNDING = np.finfo(np.float32).eps  # of covariances that were computed or stored in float32


def frechet_distance(features_a: Real[np.ndarray, "n dim"], features_b: Real[np.ndarray, "m dim"]) -> float:
    """Squared Frechet distance between the Gaussians of two sets of features (the number called FID).

    features_a, features_b: (N, D) and (M, D) arrays, any float dtype. Computed in float64; covariances divide by N - 1.
    Warns when a set has no more samples than dimensions: the distance is then exact for the singular covariance, but
    biased upwards. Raises ValueError for shapes that do not fit, fewer than two samples, or values that are not finite.

    >>> corners = np.array([[0.0, 0.0], [0.0, 2.0], [2.0, 0.0], [2.0, 2.0]])
    >>> round(frechet_distance(corners, corners + [3.0, 4.0]), 6)  # the same covariance: the means' distance alone
    25.0
    """
    a, b = _checked(features_a, "a"), _checked(features_b, "b")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"features have {a.shape[1]} and {b.shape[1]} dimensions; expected the same")
    for name, features in (("a", a), ("b", b)):
        if len(features) <= features.shape[1]:
            warnings.warn(
                f"features_{name}: {len(features)} samples for {features.shape[1]} dimensions; their covariance is "
                "singular and the distance biased upwards (use more samples to compare with published numbers)",
                stacklevel=2,
            )
    return distance_of_roots(*mean_and_root(a), *mean_and_root(b))


def frechet_from_statistics(
    mu_a: Real[np.ndarray, " dim"],
    sigma_a: Real[np.ndarray, "dim dim"],
    mu_b: Real[np.ndarray, " dim"],
    sigma_b: Real[np.ndarray, "dim dim"],
) -> float:
    """Squared Frechet distance between two Gaussians: means (D,) and covariances (D, D), positive semidefinite.

    Raises ValueError for shapes that do not fit, values that are not finite, and matrices that are no covariance.
    """
    mu_a, mu_b = np.asarray(mu_a, dtype=np.float64), np.asarray(mu_b, dtype=np.float64)
    return distance_of_roots(mu_a, covariance_root(sigma_a, mu_a), mu_b, covariance_root(sigma_b, mu_b))


def distance_of_roots(
    mu_a: Float[np.ndarray, " dim"],
    root_a: Float[np.ndarray, "rank_a dim"],
    mu_b: Float[np.ndarray, " dim"],
    root_b: Float[np.ndarray, "rank_b dim"],
) -> float:
    """Squared Frechet distance from means (D,) and roots (R, D), ``S = root^T root``."""
    if mu_a.shape != mu_b.shape:
        raise ValueError(f"means have shapes {mu_a.shape} and {mu_b.shape}; expected the same")
    cross = _nuclear_norm(root_a @ root_b.T)
    mean_part = np.square(mu_a - mu_b).sum()
    return float(mean_part + np.square(root_a).sum() + np.square(root_b).sum() - 2 * cross)


def _nuclear_norm(matrix):
    """Sum of the singular values of a matrix (n, m)."""
    if min(matrix.shape) <= EXACT_SIDE:
        return scipy.linalg.svdvals(matrix, check_finite=False).sum()
    # By symmetric eigenvalues: three times faster. The error of a small singular value is up to 1e-8 of the largest.
    square = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    values = scipy.linalg.eigvalsh(square, overwrite_a=True, check_finite=False)
    return np.sqrt(np.maximum(values, 0)).sum()


def mean_and_root(
    features: Real[np.ndarray, "n dim"],
) -> tuple[Float64[np.ndarray, " dim"], Float64[np.ndarray, "rank dim"]]:
    """Mean (D,) and root (R, D) of the sample covariance of (N, D) features, float64; R = min(N, D).

    Raises ValueError for fewer than two samples, which have no covariance.
    """
    features = np.asarray(features, dtype=np.float64)
    if len(features) < 2:
        raise ValueError(f"features of {len(features)} images; expected two or more, for a covariance")
    mean = features.mean(0)
    centred = features - mean
    if len(features) <= features.shape[1]:
        return mean, centred / np.sqrt(len(features) - 1)
    return mean, covariance_root(centred.T @ centred / (len(features) - 1), mean)


def covariance_root(
    sigma: Real[np.ndarray, "dim dim"], mean: Real[np.ndarray, " dim"]
) -> Float64[np.ndarray, "rank dim"]:
    """A root R with ``sigma = R^T R``: the Cholesky factor, or, where sigma is singular, from its eigenvalues, without
    those that are zero up to rounding.

    Raises ValueError for a sigma that is no covariance: of another shape, not finite, not symmetric, or with a negative
    eigenvalue that rounding does not explain (its size above D times float32's precision of the largest).
    """
    sigma = np.asarray(sigma, dtype=np.float64)
    if mean.ndim != 1 or sigma.shape != (len(mean), len(mean)):
        raise ValueError(f"mean and covariance have shapes {mean.shape} and {sigma.shape}; expected (D,) and (D, D)")
    for name, values in (("mean", mean), ("covariance", sigma)):
        finite(values, name, "expected numbers: compute it again")
    rounding = len(mean) * ROUNDING * np.abs(sigma).max(initial=0.0)
    if (asymmetry := np.abs(sigma - sigma.T).max(initial=0.0)) > rounding:
        raise ValueError(f"the covariance is not symmetric: entries differ by {asymmetry:.3g} from their mirror images")
    try:
        return scipy.linalg.cholesky(sigma, check_finite=False)
    except scipy.linalg.LinAlgError:
        values, vectors = scipy.linalg.eigh(sigma, check_finite=False)
        if values[0] < -len(values) * ROUNDING * np.abs(values).max():
            raise ValueError(
                f"the covariance has an eigenvalue of {values[0]:.3g} (the largest is {values[-1]:.3g}); expected "
                "none below zero"
            ) from None
        kept = values > len(values) * np.finfo(np.float64).eps * values[-1]
        return np.sqrt(values[kept])[:, None] * vectors[:, kept].T


def _checked(features, name):
    features = np.asarray(features, dtype=np.float64)
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(
            f"features_{name} has shape {features.shape}; expected (samples, dimensions), two samples or more"
        )
    return finite(features, f"features_{name}", "expected numbers: extract them again")
