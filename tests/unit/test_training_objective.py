"""The objective: draws, the loss against closed forms, the oracle as a target."""

import pytest
import torch
from training_examples import write_latents

from twostage.data.latents import LatentStore
from twostage.flow import interpolate
from twostage.training.objective import Draw, Draws, Objective

SHAPE = (4000, 1, 2, 2)


@pytest.fixture
def store(tmp_path):
    return LatentStore.open(write_latents(tmp_path / "latents.h5", flips=True))


def draw_of(store, t, dropped=False):
    count = len(store)
    noise = torch.randn(count, *store.shape[1:], generator=torch.Generator().manual_seed(1))
    return Draw(noise, torch.full((count,), t), torch.full((count,), dropped))


def test_draws_depend_on_seed_and_step_alone():
    draws = Draws(3, SHAPE, "uniform", 0.1, "cpu")
    first, second = draws.at(5), draws.at(6)
    again = Draws(3, SHAPE, "uniform", 0.1, "cpu").at(5)
    for name in ("x_0", "t", "dropped"):
        assert torch.equal(getattr(first, name), getattr(again, name))
        assert not torch.equal(getattr(first, name), getattr(second, name))
    assert not torch.equal(Draws(4, SHAPE, "uniform", 0.1, "cpu").at(5).x_0, first.x_0)
    assert torch.equal(first.part(slice(2, 4)).t, first.t[2:4])


def test_draws_have_the_distributions_they_are_named_for():
    uniform, lognormal = (Draws(0, SHAPE, time, 0.1, "cpu").at(0) for time in ("uniform", "lognormal"))
    assert abs(uniform.x_0.mean()) < 0.03
    assert abs(uniform.x_0.std() - 1) < 0.03
    assert abs(uniform.dropped.float().mean() - 0.1) < 0.02
    quarter = torch.tensor([0.25, 0.5, 0.75])
    assert (uniform.t.quantile(quarter) - quarter).abs().max() < 0.03
    assert (lognormal.t.logit().quantile(quarter) - torch.tensor([-0.6745, 0.0, 0.6745])).abs().max() < 0.1


def test_loss_is_the_mean_squared_error_to_the_conditional_velocity(store):
    x_1, labels, draw = store.read(slice(0, len(store))), torch.from_numpy(store.labels), draw_of(store, 0.3)
    seen = {}

    def model(x, t, y):
        seen.update(x=x, t=t, y=y)
        return 0.5 * x

    loss, squared = Objective(3).loss(model, x_1, labels, draw)
    x_t = 0.3 * x_1 + 0.7 * draw.x_0
    torch.testing.assert_close(loss, (0.5 * x_t - x_1 + draw.x_0).square().mean())
    assert torch.equal(loss, squared)
    torch.testing.assert_close(seen["x"], x_t)
    assert torch.equal(seen["t"], draw.t)
    assert torch.equal(seen["y"], labels)


def test_cosine_loss_is_added_over_channels_and_left_out_of_the_reported_error(store):
    x_1, labels, draw = store.read(slice(0, len(store))), torch.from_numpy(store.labels), draw_of(store, 0.3)
    model = lambda x, t, y: x  # noqa: E731
    loss, squared = Objective(3, cosine=True).loss(model, x_1, labels, draw)
    velocity, target = interpolate(draw.x_0, x_1, 0.3), x_1 - draw.x_0
    cosine = (velocity * target).sum(1) / (velocity.norm(dim=1) * target.norm(dim=1))
    torch.testing.assert_close(squared, (velocity - target).square().mean())
    torch.testing.assert_close(loss, squared + 1 - cosine.mean())
