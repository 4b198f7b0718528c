"""Velocity fields and solvers against closed forms."""

import math
from itertools import pairwise

import pytest
import torch

from twostage.flow import time_grid
from twostage.model.lightningdit import LightningDiT
from twostage.oracle import ClassOracle, Oracle
from twostage.sampling.solver import solve_euler, solve_heun
from twostage.sampling.velocity import Gained, Guided, ModelVelocity, OracleVelocity, Staged

DROPPED = 7


def labelled(x, t, y):
    """A field that tells its labels: y, channel by channel alike."""
    return y.to(x.dtype).reshape(-1, *[1] * (x.ndim - 1)).expand_as(x).clone()


class Counting:
    def __init__(self, field):
        self.field, self.calls, self.rows = field, 0, 0
        self.dropped_label = DROPPED

    def __call__(self, x, t, y):
        self.calls, self.rows = self.calls + 1, self.rows + len(x)
        return self.field(x, t, y)


X, Y = torch.zeros(2, 4, 3, 3), torch.tensor([1, 2])


def test_guidance_is_dropped_plus_scale_times_the_difference():
    guided = Guided(labelled, 3.0, dropped_label=DROPPED)(X, 0.5, Y)
    expected = DROPPED + 3.0 * (Y - DROPPED)
    assert torch.equal(guided[:, 0, 0, 0], expected.float())


def test_guidance_acts_inside_its_interval_only():
    field = Counting(labelled)
    guided = Guided(field, 3.0, interval=(0.3, 0.7))
    for t in (0.0, 0.29, 0.7, 1.0):
        assert torch.equal(guided(X, t, Y), labelled(X, t, Y))
    assert field.rows == 4 * len(X)  # outside, the dropped class is not asked for
    for t in (0.3, 0.5, 0.69):
        assert not torch.equal(guided(X, t, Y), labelled(X, t, Y))


def test_guidance_takes_the_ends_of_the_interval_in_float32_times_too():
    guided = Guided(labelled, 2.0, interval=(0.7, 1.0), dropped_label=DROPPED)
    inside = guided(X, torch.tensor([0.7, 1.0]), Y)
    assert torch.equal(inside, guided(X, 0.8, Y))


def test_a_gain_scales_a_guided_velocity_by_its_own_times():
    guided = Guided(labelled, 3.0, dropped_label=DROPPED)
    t = torch.tensor([0.5, 0.9])
    gained = Gained(guided, alpha=0.4, beta=2.0)(X, t, Y)
    assert torch.allclose(gained, guided(X, t, Y) * (1 + 0.4 * (1 - t) ** 2)[:, None, None, None])
    assert Gained(Counting(labelled), 0.4, 2.0).dropped_label == DROPPED  # so guidance may act on it as well
    with pytest.raises(ValueError, match="alpha above -1"):
        Gained(labelled, alpha=-1.0, beta=1.0)


def test_guidance_mixes_samples_inside_and_outside_the_interval():
    guided = Guided(labelled, 2.0, interval=(0.3, 0.7), dropped_label=DROPPED)
    mixed = guided(X, torch.tensor([0.5, 0.9]), Y)
    assert torch.equal(mixed[:1], guided(X, 0.5, Y)[:1])
    assert torch.equal(mixed[1:], labelled(X, 0.9, Y)[1:])


def test_guidance_of_three_channels_leaves_the_others_with_their_class():
    guided = Guided(labelled, 3.0, channels=3, dropped_label=DROPPED)(X, 0.5, Y)
    assert torch.equal(guided[:, :3], Guided(labelled, 3.0, dropped_label=DROPPED)(X, 0.5, Y)[:, :3])
    assert torch.equal(guided[:, 3:], labelled(X, 0.5, Y)[:, 3:])


def test_scale_one_is_the_field_itself():
    field = Counting(labelled)
    assert torch.equal(Guided(field, 1.0)(X, 0.5, Y), labelled(X, 0.5, Y))
    assert field.rows == len(X)


def test_guidance_refuses_bad_intervals_and_fields_without_a_dropped_label():
    for interval in ((-0.1, 0.5), (0.5, 1.2), (0.6, 0.4)):
        with pytest.raises(ValueError, match="interval is"):
            Guided(labelled, 2.0, interval=interval, dropped_label=DROPPED)
    with pytest.raises(ValueError, match="dropped"):
        Guided(labelled, 2.0)


def test_staged_uses_each_field_before_its_stop():
    one, two = (lambda x, t, y: x + 1), (lambda x, t, y: x + 2)
    staged = Staged([(0.3, one), (1.0, two)])
    for t, expected in ((0.0, 1), (0.299, 1), (0.3, 2), (0.9, 2), (1.0, 2)):
        assert torch.equal(staged(X, t, Y), X + expected)
    mixed = staged(X, torch.tensor([0.1, 0.3]), Y)
    assert torch.equal(mixed[0], X[0] + 1)
    assert torch.equal(mixed[1], X[1] + 2)


@pytest.mark.parametrize("stops", [[], [0.5], [0.6, 0.4, 1.0], [0.0, 1.0], [0.5, 0.5, 1.0]])
def test_staged_refuses_stops_that_do_not_cover_the_time(stops):
    with pytest.raises(ValueError, match="stages stop at"):
        Staged([(stop, labelled) for stop in stops])


def test_staged_keeps_the_dropped_label_that_its_fields_share():
    assert Staged([(0.5, Counting(labelled)), (1.0, Counting(labelled))]).dropped_label == DROPPED
    assert Staged([(0.5, Counting(labelled)), (1.0, labelled)]).dropped_label is None


def test_model_velocity_feeds_one_time_a_sample_and_keeps_the_dtype():
    seen = {}

    def model(x, t, y):
        seen.update(t=t, dtype=x.dtype)
        return x.to(torch.bfloat16)

    velocity = ModelVelocity(model)(X, 0.25, Y)
    assert seen["t"].tolist() == [0.25, 0.25]
    assert velocity.dtype == X.dtype
    with pytest.raises(ValueError, match="precision is 'half'"):
        ModelVelocity(model, "half")


def test_a_network_on_a_cpu_takes_as_many_rows_as_its_cache_holds():
    sizes = {"hidden_size": 128, "depth": 1, "num_heads": 2, "num_classes": 10}
    model, seen = LightningDiT(8, 1, 3, **sizes).eval(), []  # 64 tokens of 128 float32: 32 rows in a MiB
    torch.nn.init.normal_(model.final_layer.linear.weight)
    model.register_forward_pre_hook(lambda _, args: seen.append(tuple(map(len, args))))
    x, y = torch.randn(70, 3, 8, 8), torch.arange(70) % 11
    for t in (0.5, torch.linspace(0, 1, 70)):
        seen.clear()
        with torch.inference_mode():
            found = ModelVelocity(model)(x, t, y)
            assert seen == [(24, 24, 24), (23, 23, 23), (23, 23, 23)]
            expected = model(x, torch.as_tensor(t).expand(70), y)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_oracle_velocity_takes_both_oracles():
    generator = torch.Generator().manual_seed(0)
    data, x = torch.randn(20, 4, generator=generator), torch.randn(6, 4, generator=generator)
    labels = torch.arange(20) % 2
    y = torch.tensor([0, 1, 0, 1, 1, 0])
    by_class = OracleVelocity(ClassOracle(data, labels))(x, 0.4, y)
    for label in (0, 1):
        own = Oracle(data[labels == label]).velocity(x[y == label], 0.4)
        torch.testing.assert_close(by_class[y == label], own)
    torch.testing.assert_close(OracleVelocity(Oracle(data))(x, 0.4, y), Oracle(data).velocity(x, 0.4))


# ------------------------------------------------------------------------------------------------------------- solvers


@pytest.mark.parametrize("solve", [solve_euler, solve_heun])
def test_a_constant_velocity_is_integrated_exactly_on_any_grid(solve):
    velocity = torch.randn(3, 5, dtype=torch.float64)
    x = torch.randn(3, 5, dtype=torch.float64)
    for shift in (1.0, 0.3):
        end = solve(lambda x, t, y: velocity, x, time_grid(7, shift=shift), None)
        torch.testing.assert_close(end, x + velocity, rtol=0, atol=1e-12)


def test_euler_multiplies_by_one_plus_the_step_for_growth():
    x = torch.tensor([[2.0]], dtype=torch.float64)
    edges = time_grid(20, shift=0.5)
    expected = 2.0 * math.prod(1 + step for step in torch.diff(edges).tolist())
    assert solve_euler(lambda x, t, y: x, x, edges, None).item() == pytest.approx(expected, rel=1e-14)


def gaussian_velocity(mean, std):
    """The rectified flow's velocity towards N(mean, std^2): linear in x, with solution known in closed form."""

    def field(x, t, y):
        variance = t**2 * std**2 + (1 - t) ** 2
        return mean + (t * std**2 - (1 - t)) / variance * (x - t * mean)

    return field


def test_orders_of_convergence_on_the_flow_to_a_gaussian():
    mean, std = 0.7, 0.4
    x = torch.tensor([[-1.3], [0.2], [2.1]], dtype=torch.float64)
    exact = mean + std * x

    def error(solve, steps):
        return (solve(gaussian_velocity(mean, std), x, time_grid(steps), None) - exact).abs().max().item()

    # Halving the step halves Euler's error and quarters Heun's.
    assert error(solve_euler, 200) / error(solve_euler, 400) == pytest.approx(2, rel=0.05)
    assert error(solve_heun, 200) / error(solve_heun, 400) == pytest.approx(4, rel=0.1)


def test_evaluations_and_observed_steps():
    for solve, evaluations in ((solve_euler, 10), (solve_heun, 19)):
        field, seen = Counting(lambda x, t, y: -x), []
        solve(field, X, time_grid(10), Y, observe=lambda t, t_next, x, v, seen=seen: seen.append((t, t_next)))
        assert field.calls == evaluations
        assert [t for t, _ in seen] == pytest.approx([k / 10 for k in range(10)])
        assert seen[-1][1] == 1.0
    field = Counting(lambda x, t, y: -x)
    solve_heun(field, X, time_grid(10, 0.0, 0.5), Y)
    assert field.calls == 20


@pytest.mark.parametrize("solve", [solve_euler, solve_heun])
def test_the_oracle_to_the_end_arrives_at_a_data_point(solve):
    generator = torch.Generator().manual_seed(1)
    data = torch.randn(30, 8, generator=generator)
    x = torch.randn(12, 8, generator=generator)
    end = solve(OracleVelocity(Oracle(data)), x, time_grid(50), None)
    assert (end[:, None] - data).norm(dim=2).min(1).values.max() < 1e-5


@pytest.mark.parametrize(("channels", "guided_channels"), [(3, 3), ("all", 5)])
def test_shift_and_guidance_together_are_lightningdits_sampler(channels, guided_channels):
    """The published sampler in plain steps: shifted edges of linspace, guidance from 0.125 on, some channels only."""
    torch.manual_seed(0)
    model = LightningDiT(4, 1, 5, 16, 1, 2, 3).eval()
    for parameter in model.parameters():
        if parameter.requires_grad and not parameter.any():  # zero at initialisation: the field would be zero
            torch.nn.init.normal_(parameter, std=0.2)
    noise, y = torch.randn(4, 5, 4, 4), torch.tensor([0, 1, 2, 0])
    scale, start, shift, steps = 3.0, 0.125, 0.3, 20
    with torch.no_grad():
        x, edges = noise.clone(), torch.linspace(0, 1, steps + 1)
        edges = shift * edges / (1 + (shift - 1) * edges)
        for t, t_next in pairwise(edges):
            times = t.expand(4)
            with_class, without = model(x, times, y), model(x, times, torch.full_like(y, 3))
            velocity = with_class.clone()
            if t >= start:
                guided = without + scale * (with_class - without)
                velocity[:, :guided_channels] = guided[:, :guided_channels]
            x = x + (t_next - t) * velocity
        field = Guided(ModelVelocity(model), scale, (start, 1.0), channels)
        ours = solve_euler(field, noise, time_grid(steps, shift=shift), y)
    torch.testing.assert_close(ours, x, rtol=0, atol=1e-4)
    assert (ours - noise).abs().max() > 1
