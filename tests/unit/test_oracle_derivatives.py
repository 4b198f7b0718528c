"""The oracle's derivatives against finite differences, direct covariances, closed forms and ``torch.autograd``."""

import math

import pytest
import torch
from data_examples import write_random_store

from twostage.data.latents import LatentStore
from twostage.flow import cosine, edm, vp
from twostage.oracle import ClassOracle, Oracle

TIMES = (0.0, 0.02, 0.3, 0.6, 0.87, 0.95, 1 - 1e-3)


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def clustered(distance, mean=0.0, dim=48):
    base = mean + normal(40, dim) * torch.linspace(0.1, 2, dim)
    return torch.cat([base, base + distance * normal(40, dim, seed=1)])


DATA = {
    "iid": lambda: normal(80, 48),
    "apart by 0.1": lambda: clustered(0.1),
    "apart by 1e-3": lambda: clustered(1e-3),
    "exact copies": lambda: clustered(0.0),
    "mean 10": lambda: clustered(0.03, mean=10.0),
    "one sample": lambda: normal(1, 48),
}


def points(data, t, count=6):
    data = data.double()
    return t * data[torch.arange(count) % len(data)] + (1 - t) * normal(count, data.shape[1], seed=2)


def mean_and_velocity(data, x, t):
    """By direct differences in float64."""
    weights = (-(x[:, None] - t * data).square().sum(-1) / (2 * (1 - t) ** 2)).softmax(1)
    away = (weights[..., None] * (data - x[:, None])).sum(1)
    return x + away, away / (1 - t)


def jacobian(data, x, t):
    """t / (1 - t)^2 times the posterior's covariance, (B, D, D), by direct differences in float64."""
    weights = (-(x[:, None] - t * data).square().sum(-1) / (2 * (1 - t) ** 2)).softmax(1)
    difference = data - (weights @ data)[:, None]
    return t / (1 - t) ** 2 * torch.einsum("bn,bni,bnj->bij", weights, difference, difference)


@pytest.fixture(params=DATA)
def data(request):
    return DATA[request.param]()


@pytest.mark.parametrize("t", TIMES)
def test_products_are_finite_differences_of_double_precision(data, t):
    x, along, step = points(data, t), normal(6, 48, seed=3), 1e-5 * (1 - t)
    oracle = Oracle(data)
    ahead, behind = mean_and_velocity(data, x + step * along, t), mean_and_velocity(data, x - step * along, t)
    for name, after, before in zip(("posterior_mean", "velocity"), ahead, behind):
        slope = (after - before) / (2 * step)
        for product in ("jvp", "vjp"):
            found = getattr(oracle, f"{name}_{product}")(x, t, along)
            assert ((found - slope).norm(dim=1) / (slope.norm(dim=1) + along.norm(dim=1))).max() < 1e-5


@pytest.mark.parametrize("t", TIMES)
@pytest.mark.parametrize("budget_mb", [1024, 0.1])  # all samples at once, and a few at a time
def test_float32_data_lose_nothing_at_any_time(data, t, budget_mb):
    data = data.float()
    x, along = points(data, t).float(), normal(6, 48, seed=3).float()
    oracle = Oracle(data, budget_mb=budget_mb)
    exact = jacobian(data.double(), x.double(), t)
    slope = (exact @ along.double()[..., None])[..., 0]
    size = slope.norm(dim=1) + along.double().norm(dim=1)
    found = oracle.posterior_mean_jvp(x, t, along)
    assert found.dtype == torch.float32
    assert ((found.double() - slope).norm(dim=1) / size).max() < 1e-5
    velocity = (slope - along.double()) / (1 - t)
    error = (oracle.velocity_jvp(x, t, along).double() - velocity).norm(dim=1)
    assert (error * (1 - t) / size).max() < 1e-5
    divergence = (exact.diagonal(dim1=1, dim2=2).sum(1) - 48) / (1 - t)
    torch.testing.assert_close(oracle.divergence(x, t), divergence, rtol=1e-5, atol=1e-5 * 48 / (1 - t))


def test_many_numbers_of_float32_data_at_the_transition_and_after():
    data = normal(300, 1500).float()
    oracle = Oracle(data)
    for t in (0.05, 0.08, 0.12, 0.3, 0.8):
        x, along = points(data, t, 3).float(), normal(3, 1500, seed=3).float()
        weights = oracle.log_weights(x.double(), t).exp()
        difference = data.double() - (weights @ data.double())[:, None]
        slopes = (difference * along.double()[:, None]).sum(-1)
        exact = t / (1 - t) ** 2 * ((weights * slopes)[..., None] * difference).sum(1)
        error = (oracle.posterior_mean_jvp(x, t, along).double() - exact).norm(dim=1)
        assert (error / (exact.norm(dim=1) + along.double().norm(dim=1))).max() < 1e-5


@pytest.mark.parametrize("path", [vp(), cosine(), edm()], ids=lambda path: path.name)
def test_on_another_path_products_divergence_and_density_are_consistent(path):
    data = clustered(0.1, dim=10)
    oracle, t = Oracle(data, path=path), path.time(torch.tensor([0.05, 0.8, 12.0], dtype=torch.float64))
    x = path.interpolate(normal(3, 10, seed=2), data[:3], t)
    basis = torch.eye(10, dtype=torch.float64)
    columns = torch.stack([oracle.velocity_jvp(x, t, each.expand(3, -1)) for each in basis], 2)
    step = 1e-6 * path.sigma(t)[:, None]
    for k in range(10):
        slope = (oracle.velocity(x + step * basis[k], t) - oracle.velocity(x - step * basis[k], t)) / (2 * step)
        torch.testing.assert_close(columns[..., k], slope, rtol=1e-5, atol=1e-5 * float(columns.abs().max()))
    torch.testing.assert_close(oracle.divergence(x, t), columns.diagonal(dim1=1, dim2=2).sum(1))


def test_a_streamed_store_gives_what_its_samples_give_in_memory(tmp_path):
    write_random_store(tmp_path / "latents.h5", labels=[0] * 60, classes=1, flips=True)
    store = LatentStore.open(tmp_path / "latents.h5")
    whole, streamed = Oracle(store), Oracle(store, budget_mb=0.01)
    assert whole.samples.in_memory
    assert not streamed.samples.in_memory
    x, along = normal(5, 2, 3, 4, seed=2), normal(5, 2, 3, 4, seed=3)
    for t in (0.2, 0.6, 0.97):
        point = t * whole.samples.take(torch.arange(5)).reshape(x.shape) + (1 - t) * x
        product = whole.velocity_jvp(point, t, along)
        torch.testing.assert_close(streamed.velocity_jvp(point, t, along), product, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(streamed.divergence(point, t), whole.divergence(point, t), rtol=1e-5, atol=0)
        torch.testing.assert_close(streamed.log_density(point, t), whole.log_density(point, t), rtol=1e-6, atol=0)


def test_two_points_have_the_derivative_of_the_hyperbolic_tangent():
    a, x, along, t = normal(1, 5), normal(4, 5, seed=1), normal(4, 5, seed=2), 0.45
    oracle, scale = Oracle(torch.cat([a, -a])), t / (1 - t) ** 2
    slope = scale * (1 - torch.tanh(scale * x @ a.T) ** 2)
    expected = slope * (along @ a.T) * a
    torch.testing.assert_close(oracle.posterior_mean_jvp(x, t, along), expected)
    torch.testing.assert_close(oracle.divergence(x, t), ((slope * a.square().sum()) - 5)[:, 0] / (1 - t))


def test_autograd_agrees_with_finite_differences():
    data, x = clustered(0.3, dim=4).reshape(80, 1, 2, 2), normal(2, 1, 2, 2, seed=2).requires_grad_()
    oracle, t = Oracle(data), torch.tensor([0.2, 0.5], dtype=torch.float64)
    for name in ("posterior_mean", "velocity", "noise", "score", "log_density"):
        value = getattr(oracle, name)
        assert torch.autograd.gradcheck(lambda x, value=value: value(x, t), x), name
    classes, y = ClassOracle(data, torch.arange(80) % 2), torch.tensor([0, 1])
    along = normal(2, 1, 2, 2, seed=3)
    [gradient] = torch.autograd.grad((classes.velocity(x, t, y) * along).sum(), x)
    torch.testing.assert_close(classes.velocity_vjp(x.detach(), t, along, y), gradient)
    torch.testing.assert_close(
        classes.posterior_mean_vjp(x.detach(), t, along, y)[:1],
        Oracle(data[::2]).posterior_mean_jvp(x.detach()[:1], t[:1], along[:1]),
    )


def test_the_log_density_is_differentiable_twice_and_the_velocity_says_that_it_is_not():
    data, x = clustered(0.3, dim=4), normal(2, 4, seed=2).requires_grad_()
    oracle = Oracle(data)
    assert torch.autograd.gradgradcheck(lambda x: oracle.log_density(x, 0.4), x)
    [gradient] = torch.autograd.grad(oracle.velocity(x, 0.4).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="have one derivative by x_t, and a second is asked for"):
        gradient.sum().backward()


def test_functional_transforms_give_the_same_products():
    data, x, along = clustered(0.3, dim=4), normal(3, 4, seed=2), normal(3, 4, seed=3)
    oracle = Oracle(data)
    value, slope = torch.func.jvp(lambda x: oracle.velocity(x, 0.4), (x,), (along,))
    torch.testing.assert_close(value, oracle.velocity(x, 0.4))
    torch.testing.assert_close(slope, oracle.velocity_jvp(x, 0.4, along))
    score = torch.func.grad(lambda x: oracle.log_density(x, 0.4).sum())(x)
    torch.testing.assert_close(score, oracle.score(x, 0.4))


def test_large_small_and_zero_directions_scale_the_product():
    data, x, along = DATA["iid"]().float(), normal(1, 48, seed=2).float(), normal(1, 48, seed=3).float()
    oracle = Oracle(data)
    product = oracle.posterior_mean_jvp(x, 0.2, along)
    for factor in (1e-25, 1e25):
        torch.testing.assert_close(
            oracle.posterior_mean_jvp(x, 0.2, factor * along), factor * product, rtol=1e-4, atol=0
        )
    assert not oracle.posterior_mean_jvp(x, 0.2, 0 * along).any()


def test_directions_and_times_without_an_answer_are_refused():
    oracle, x = Oracle(normal(5, 4)), normal(2, 4)
    with pytest.raises(ValueError, match=r"along has shape \(1, 4\); expected \(2, 4\), that of x_t"):
        oracle.velocity_jvp(x, 0.5, x[:1])
    with pytest.raises(ValueError, match="of along holds NaN"):
        oracle.velocity_jvp(x, 0.5, math.nan * x)
    for method in ("divergence", "log_density"):
        with pytest.raises(ValueError, match="t is 1, where"):
            getattr(oracle, method)(x, 1.0)
    with pytest.raises(ValueError, match="t is 1, where"):
        oracle.posterior_mean_jvp(x, 1.0, x)
