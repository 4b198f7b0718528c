"""The Gaussian's field and its exact flow: against a solver, closed forms, and the oracle that it is the limit of."""

import numpy as np
import pytest
import torch
from data_examples import write_random_store

from twostage.data.latents import LatentStore
from twostage.flow import time_grid
from twostage.oracle import ClassOracle, Oracle
from twostage.oracle.gaussian import ClassGaussian, Gaussian
from twostage.oracle.law import spectrum
from twostage.sampling.solver import solve_heun
from twostage.sampling.velocity import GaussianVelocity

WIDE = torch.float64


def draws(*shape, seed=0):
    return torch.randn(*shape, dtype=WIDE, generator=torch.Generator().manual_seed(seed))


def data_of(count, dim, seed=0):
    """Correlated data of unequal variances about a mean far from 0."""
    return draws(count, dim, seed=seed) @ draws(dim, dim, seed=seed + 1) * dim**-0.5 + 3 * draws(dim, seed=seed + 2)


def velocity_by_solve(data, x_t, t):
    """E[x_1 - x_0 | x_t] by textbook conditioning on the joint Gaussian of (x_1 - x_0, x_t), with a D x D solve."""
    mean, noise = data.mean(0), torch.eye(data.shape[1], dtype=WIDE)
    covariance = (data - mean).T @ (data - mean) / len(data)
    of_both, of_x = t * covariance - (1 - t) * noise, t**2 * covariance + (1 - t) ** 2 * noise
    return mean + torch.linalg.solve(of_x, (x_t - t * mean).T).T @ of_both


SIZES = [(50, 6), (6, 20), (7, 7), (2, 5), (1, 4)]


@pytest.mark.parametrize(("count", "dim"), SIZES)
@pytest.mark.parametrize("t", [0.0, 0.3, 0.9, 0.999])
def test_the_velocity_is_the_conditional_mean(count, dim, t):
    data, x_t = data_of(count, dim), draws(5, dim, seed=9)
    expected = velocity_by_solve(data, x_t, t)
    torch.testing.assert_close(Gaussian(data).velocity(x_t, t), expected, rtol=1e-9, atol=1e-8 / (1 - t))


@pytest.mark.parametrize(("count", "dim"), SIZES)
@pytest.mark.parametrize(("start", "stop"), [(0.0, 0.5), (0.2, 0.9), (0.8, 0.1)])
def test_the_flow_is_where_a_fine_solver_arrives(count, dim, start, stop):
    gaussian, x, sign = Gaussian(data_of(count, dim)), draws(4, dim, seed=9), 1 if stop > start else -1
    field = lambda x, t, y: sign * gaussian.velocity(x, abs(t))  # noqa: E731
    edges = sign * torch.linspace(start, stop, 401, dtype=WIDE)  # the solver's times increase
    fine, coarse = (solve_heun(field, x, times, None) for times in (edges, edges[::2]))
    arrived = fine + (fine - coarse) / 3  # its error falls as the square of a step
    torch.testing.assert_close(gaussian.flow(x, start, stop), arrived, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("count", "dim"), SIZES)
def test_flows_compose_begin_as_they_are_and_end_with_the_datas_moments(count, dim):
    data, noise = data_of(count, dim), draws(3, dim, seed=9)
    gaussian = Gaussian(data)
    torch.testing.assert_close(gaussian.flow(noise, 0.0, 0.0), noise, rtol=0, atol=1e-12)
    there = gaussian.flow(gaussian.flow(noise, 0.0, 0.4), 0.4, 1.0)
    torch.testing.assert_close(there, gaussian.flow(noise, 0.0, 1.0), rtol=1e-9, atol=1e-9)
    # x_1 = mu + A x_0: A A^T is the covariance, of low rank too
    moved = gaussian.flow(torch.cat([torch.zeros(1, dim, dtype=WIDE), torch.eye(dim, dtype=WIDE)]), 0.0, 1.0)
    torch.testing.assert_close(moved[0], data.mean(0))
    matrix = moved[1:] - moved[0]
    covariance = (data - data.mean(0)).T @ (data - data.mean(0)) / count
    torch.testing.assert_close(matrix.T @ matrix, covariance, rtol=1e-8, atol=1e-9)


def test_low_rank_and_full_rank_are_the_same_field():
    """The same data three times have the same moments, by the D x D covariance in place of the N x N Gram matrix."""
    data, x = data_of(8, 20), draws(5, 20, seed=9)
    low, full = Gaussian(data), Gaussian(data.repeat(3, 1))
    assert (len(low.variances), len(full.variances)) == (7, 20)
    torch.testing.assert_close(low.axes @ low.axes.T, torch.eye(7, dtype=WIDE))
    np.testing.assert_allclose(low.variances.flip(0), spectrum(data)[:7], rtol=1e-9)
    for t in (0.0, 0.5, 0.99):
        torch.testing.assert_close(low.velocity(x, t), full.velocity(x, t), rtol=1e-8, atol=1e-7)
        torch.testing.assert_close(low.flow(x, t, 0.999), full.flow(x, t, 0.999), rtol=1e-8, atol=1e-7)


def test_for_gaussian_data_the_field_is_the_oracles_limit():
    """The oracle's distance from it falls with N as 1 / sqrt(N): both are exact in the limit."""
    x_0, errors = draws(200, 2, seed=9), []
    for count in (200, 3200, 51200):
        data = data_of(count, 2)
        x_t = 0.4 * data[:200] + 0.6 * x_0
        difference = Oracle(data).velocity(x_t, 0.4) - Gaussian(data).velocity(x_t, 0.4)
        errors.append(float(difference.square().mean().sqrt()))
    assert errors[2] < 0.02
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_near_the_prior_the_oracle_has_just_this_covariance():
    """Of any data, and fewer than dimensions: the difference falls as t^2; with a shrunk covariance it would as t."""
    data, x = draws(8, 20).exp(), draws(50, 20, seed=9)
    oracle, gaussian = Oracle(data), Gaussian(data)
    at = lambda t: float((oracle.velocity(x, t) - gaussian.velocity(x, t)).norm())  # noqa: E731
    assert at(0.0) < 1e-10
    assert at(0.001) / at(0.002) == pytest.approx(1 / 4, rel=0.05)
    gaussian.variances *= 0.9
    assert at(0.001) / at(0.002) == pytest.approx(1 / 2, rel=0.05)


def test_one_image_of_a_class_is_the_oracle_itself():
    data, labels = draws(3, 6), torch.tensor([0, 1, 1])
    gaussian, oracle = ClassGaussian(data, labels), ClassOracle(data, labels)
    x, y = draws(4, 6, seed=9), torch.zeros(4, dtype=torch.int64)
    for t in (0.0, 0.5, 0.999):
        torch.testing.assert_close(gaussian.velocity(x, t, y), oracle.velocity(x, t, y))
    torch.testing.assert_close(gaussian.flow(x, 0.0, 1.0, y), data[:1].expand(4, 6))


def test_copies_weigh_as_often_as_they_stand():
    twice, x = data_of(6, 4)[[0, 1, 1, 2, 3, 3, 4, 5]], draws(3, 4, seed=9)
    torch.testing.assert_close(Gaussian(twice).velocity(x, 0.6), velocity_by_solve(twice, x, 0.6))
    alike = Gaussian(twice[:1].repeat(5, 1))
    torch.testing.assert_close(alike.flow(x, 0.0, 1.0), twice[:1].expand(3, 4))


@pytest.mark.parametrize(("shape", "label"), [((2, 1, 3), 0), ((2, 4, 8), 1)])  # 80 of 6 numbers, 40 of 64
def test_a_streamed_store_is_as_one_in_memory_mirrored_images_included(tmp_path, shape, label):
    labels = [0] * 40 + [1] * 20
    write_random_store(tmp_path / "l.h5", labels, shape, classes=2, flips=True)
    store, x = LatentStore.open(tmp_path / "l.h5"), draws(5, *shape, seed=9)
    expected = Gaussian(store.class_data(label))
    streamed = Gaussian(store, label, budget_mb=0.002)  # 2 kB: less than any class
    assert len(store.class_data(label)) == 2 * labels.count(label)
    torch.testing.assert_close(streamed.mean, expected.mean)
    torch.testing.assert_close(streamed.flow(x, 0.1, 0.8), expected.flow(x, 0.1, 0.8), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(streamed.velocity(x, 0.8), expected.velocity(x, 0.8), rtol=1e-9, atol=1e-9)


def test_each_state_has_its_class_whatever_the_batch_and_whatever_is_kept():
    data, labels = data_of(30, 5).float(), torch.arange(30) % 3
    x, y, t = draws(9, 5, seed=9).float(), torch.arange(9) % 3, torch.linspace(0, 0.9, 9)
    kept = ClassGaussian(data, labels)
    one = ClassGaussian(data, labels, budget_mb=1e-4)  # 100 bytes: room for a class at a time
    together = kept.velocity(x, t, y), kept.flow(x, t, 0.95, y)
    for row in range(9):
        alone = one.velocity(x[[row]], t[[row]], y[[row]]), one.flow(x[[row]], t[[row]], 0.95, y[[row]])
        own = Gaussian(data[labels == y[row]])
        for found, whole, exact in zip(alone, together, (own.velocity(x, t), own.flow(x, t, 0.95))):
            torch.testing.assert_close(found[0], whole[row], rtol=1e-6, atol=1e-6)
            torch.testing.assert_close(found[0], exact[row], rtol=1e-6, atol=1e-6)
    assert (list(one._found), list(kept._found)) == ([2], [0, 1, 2])
    torch.testing.assert_close(GaussianVelocity(kept)(x, t, y), together[0])
    assert together[0].dtype == torch.float32


def test_euler_steps_along_the_field_arrive_at_the_flow():
    data = data_of(40, 5)
    field, x = GaussianVelocity(Gaussian(data)), draws(3, 5, seed=9)
    exact = field.gaussian.flow(x, 0.0, 0.8)
    error = [float((solve_heun(field, x, time_grid(n, 0.0, 0.8), None) - exact).norm()) for n in (20, 40)]
    assert error[0] / error[1] == pytest.approx(4, rel=0.2)  # second order


@pytest.mark.parametrize("t", [1.0, torch.tensor([0.5, 1.0]), -0.1, 1.1])
def test_times_without_a_velocity_are_refused(t):
    gaussians, x, y = ClassGaussian(data_of(6, 3), torch.zeros(6, dtype=torch.int64)), draws(2, 3), torch.tensor([0, 0])
    for call in (
        lambda: gaussians.velocity(x, t, y),
        lambda: gaussians.gaussian(0).velocity(x, t),
        lambda: gaussians.flow(x, t, 0.5, y),
    ):
        with pytest.raises(ValueError, match=r"(t|start) is (-0\.1|1|1\.1)[ ;,].*expected (a time below 1|times in)"):
            call()
    with pytest.raises(ValueError, match="stop is 2"):
        gaussians.flow(x, 0.5, 2.0, y)


def test_states_and_labels_that_do_not_fit_are_refused():
    gaussians = ClassGaussian(data_of(6, 3), torch.zeros(6, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"x_t has shape \(2, 4\); expected \(B, D = 3"):
        gaussians.velocity(draws(2, 4), 0.5, 0)
    with pytest.raises(ValueError, match="label 7 has no samples"):
        gaussians.velocity(draws(2, 3), 0.5, 7)
    with pytest.raises(ValueError, match="y has dtype"):
        gaussians.velocity(draws(2, 3), 0.5, torch.zeros(2))
