"""The rectified-flow path against its closed forms."""

import numpy as np
import pytest
import torch

from twostage.flow import interpolate, predict_data, sample_noise, shift_time, time_grid, velocity_target


def test_path_ends_at_noise_and_data_and_its_velocity_is_the_target():
    x_0, x_1 = torch.randn(3, 2, 4, 4, dtype=torch.float64), torch.randn(3, 2, 4, 4, dtype=torch.float64)
    assert torch.equal(interpolate(x_0, x_1, 0.0), x_0)
    assert torch.equal(interpolate(x_0, x_1, 1.0), x_1)
    difference = (interpolate(x_0, x_1, 0.75) - interpolate(x_0, x_1, 0.25)) / 0.5
    torch.testing.assert_close(difference, velocity_target(x_0, x_1))


def test_one_step_prediction_of_the_true_velocity_is_the_data_at_every_time():
    x_0, x_1, t = torch.randn(5, 7), torch.randn(5, 7), torch.tensor([0.0, 0.1, 0.5, 0.9, 1.0])
    predicted = predict_data(interpolate(x_0, x_1, t), velocity_target(x_0, x_1), t)
    torch.testing.assert_close(predicted, x_1)


def test_times_of_another_length_than_the_batch_are_refused():
    with pytest.raises(ValueError, match=r"t has shape \(2,\)"):
        interpolate(torch.zeros(3, 4), torch.zeros(3, 4), torch.tensor([0.1, 0.2]))


def test_grid_has_steps_plus_one_edges_and_exact_ends():
    grid = time_grid(50, start=0.1, stop=0.7, shift=0.3)
    assert grid.shape == (51,)
    assert grid[0] == 0.1
    assert grid[-1] == 0.7
    assert (grid.diff() > 0).all()


@pytest.mark.parametrize(("shift", "share"), [(4, 6), (2, 12), (1, 22), (0.7, 28), (0.5, 34), (0.3, 46), (0.1, 72)])
def test_shift_gives_the_shares_of_table_2(shift, share):
    starts = time_grid(50, shift=shift)[:-1]
    assert round(100 * (starts <= 0.2 + 1e-12).double().mean().item()) == share


@pytest.mark.parametrize(
    "arguments", [{"steps": 0}, {"steps": 5, "start": 0.5, "stop": 0.5}, {"steps": 5, "stop": 1.5}]
)
def test_a_grid_that_cannot_be_walked_is_refused(arguments):
    with pytest.raises(ValueError, match="expected"):
        time_grid(**arguments)


def test_shift_inverts_with_its_reciprocal():
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    torch.testing.assert_close(shift_time(shift_time(t, 0.3), 1 / 0.3), t)


def test_noise_depends_on_seed_and_index_alone():
    together = sample_noise(3, range(10), (2, 5))
    apart = torch.cat([sample_noise(3, [index], (2, 5)) for index in range(10)])
    assert torch.equal(together, apart)
    assert not torch.equal(together, sample_noise(4, range(10), (2, 5)))
    assert len({row.tobytes() for row in together.numpy()}) == 10


def test_noise_is_standard_normal():
    noise = sample_noise(0, range(200), (500,)).numpy()
    assert abs(noise.mean()) < 4 / np.sqrt(noise.size)
    assert abs(noise.var() - 1) < 4 * np.sqrt(2 / noise.size)
