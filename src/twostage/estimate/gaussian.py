"""What the closed-form Gaussians of ``twostage.oracle.gaussian`` cost, in a job that uses them."""

import math

from twostage.estimate.memory import MIB, default_of
from twostage.estimate.oracle import EIGENVALUES, spectrum_bytes
from twostage.estimate.row import BYTES, MULTIPLY_ADD, WIDE
from twostage.sampling.plan import GAUSSIAN


def uses_gaussians(plans):
    """Whether one of the plans (``Plan``) has a Gaussian as a field, or starts from one."""
    return any(GAUSSIAN in plan.start or any(part.field == GAUSSIAN for part in plan.parts) for plan in plans)


def velocity_flops(setting, space):
    """Operations of one velocity of a Gaussian, or of one flow: products with its axes, and their weighted sum."""
    return 2 * MULTIPLY_ADD * _rank(setting, space) * setting.dim(space)


def fit_flops(setting, space):
    """Operations of the Gaussians of all classes: each one's smaller Gram matrix, its eigenvectors, and its axes."""
    side, dim = _rank(setting, space), setting.dim(space)
    products = MULTIPLY_ADD * side * setting.class_size * dim + (side < dim) * MULTIPLY_ADD * side**2 * dim
    return setting.classes * (products + EIGENVALUES * side**3)


def _rank(setting, space):
    return min(setting.class_size, setting.dim(space))


def gaussian_bytes(count, dim, classes, budget, points):
    """Bound of what ``twostage.oracle.gaussian`` takes for ``points`` states: classes of ``count`` samples each.

    The axes of as many classes as the budget holds, and of the one that is fitted, from rows that are held up to half
    of the budget, and once more where they are centred; eigenvectors beside what ``spectrum_bytes`` counts; and
    float64 states.
    """
    side = min(count, dim)
    axes, rows = WIDE * side * dim, 2 * min(count * dim * BYTES, budget // 2)
    fit = rows + spectrum_bytes(count, dim) + 4 * WIDE * side**2 + axes
    return min(classes * axes, budget + axes) + fit + WIDE * points * (8 * dim + 4 * side)


def gaussians_of_space(setting, space, points):
    """``gaussian_bytes`` of a latent space's classes, within the default budget."""
    count = math.ceil(setting.class_size)
    return gaussian_bytes(count, setting.dim(space), setting.classes, gaussians_mb() * MIB, points)


def gaussians_mb():
    """Budget of the classes' Gaussians in MiB, where sampling asks for their velocities."""
    from twostage.oracle.gaussian import ClassGaussian

    return default_of(ClassGaussian, "budget_mb")
