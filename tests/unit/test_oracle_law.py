"""The transition law: closed forms, and agreement with what is measured on synthetic and real data."""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from twostage.oracle import sweep
from twostage.oracle.law import (
    channel_information,
    corrected_self_weight,
    crossing_time,
    measured_transition,
    predicted_self_weight,
    resolved_times,
    scale_variance,
    spectrum,
    transition_grid,
    transition_interval,
    transition_time,
)
from twostage.oracle.synthetic import gaussian_curves


@pytest.mark.parametrize(("dim", "n"), [(2, 10), (64, 100), (8192, 1400), (10**6, 10**9)])
def test_iid_gaussians_have_the_closed_form(dim, n):
    r = math.sqrt(math.expm1(2 / dim * math.log(n)))
    assert transition_time(np.ones(dim), n) == pytest.approx(r / (1 + r), rel=1e-10)


def test_two_directions_by_hand():
    """(1 + 4 s)(1 + s) = n^2 for eigenvalues 4 and 1, a quadratic in s = t^2 / (1 - t)^2."""
    n = 30
    ratio = math.sqrt((-5 + math.sqrt(25 + 16 * (n**2 - 1))) / 8)
    assert transition_time([4.0, 1.0], n) == pytest.approx(ratio / (1 + ratio), rel=1e-10)


def test_transition_does_not_see_absent_directions_and_moves_as_it_should():
    values = np.array([5.0, 2.0, 0.5])
    assert transition_time([*values, 0.0, 0.0], 100) == pytest.approx(transition_time(values, 100), rel=1e-12)
    assert transition_time(values, 1000) > transition_time(values, 100)
    assert transition_time(4 * values, 100) < transition_time(values, 100)
    assert transition_time(values, 1) == 0.0
    assert transition_time([0.0, 0.0], 5) == 1.0


def test_information_and_its_variance():
    mean, variance = channel_information([1.0, 0.0], [0.0, 0.5, 1.0])
    np.testing.assert_allclose(mean, [0, math.log(2) / 2, math.inf])
    np.testing.assert_allclose(variance, [0, 0.5, 1.0])


def test_variance_is_that_of_the_information_density():
    """Against samples of log p(x_t | x_1) - log p(x_t) on a Gaussian channel."""
    draw, values, t = np.random.default_rng(0), np.array([3.0, 1.0, 0.2]), 0.4
    s = values * (t / (1 - t)) ** 2
    x, z = draw.standard_normal((2, 200_000, 3))
    density = (np.log1p(s) / 2 - z**2 / 2 + (np.sqrt(s) * x + z) ** 2 / (2 * (1 + s))).sum(1)
    mean, variance = channel_information(values, [t])
    assert density.mean() == pytest.approx(mean[0], abs=4 * density.std() / 447)
    assert density.var() == pytest.approx(variance[0], rel=0.02)


@pytest.mark.parametrize("predict", [predicted_self_weight, corrected_self_weight])
def test_predicted_curve_has_the_right_ends_and_rises(predict):
    curve = predict(np.ones(64), 500, np.linspace(0, 1, 51))
    assert curve[0] == pytest.approx(1 / 500, rel=1e-9)
    assert curve[-1] == pytest.approx(1)
    assert (np.diff(curve) > -1e-12).all()
    assert (predict(np.ones(3), 1, [0.0, 0.5]) == 1).all()


def test_predicted_curve_crosses_one_half_at_the_transition():
    values, n = np.array([30.0, 10, 5, 1, 1, 0.1]), 2000
    times = np.linspace(0, 1, 4001)
    crossing = crossing_time(predicted_self_weight(values, n + 1, times), times)
    assert crossing == pytest.approx(transition_time(values, n), abs=5e-4)


@pytest.mark.parametrize(("dim", "n"), [(16, 100), (64, 1000), (512, 1000), (4096, 300)])
def test_law_on_iid_gaussians(dim, n):
    values = np.ones(dim)
    times = transition_grid(values, n, points=41)
    measured = gaussian_curves(dim, n, times, 300, 0)[1]
    at = measured_transition(measured, times)
    assert transition_time(values, n) == pytest.approx(at, rel=0.08)
    assert np.abs(predicted_self_weight(values, n, times) - measured.mean(0)).max() < 0.12
    corrected = corrected_self_weight(values, n, times)
    assert crossing_time(corrected, times) == pytest.approx(at, rel=0.05)
    assert np.abs(corrected - measured.mean(0)).max() < 0.07


def test_law_on_digits():
    images, labels = load_digits(return_X_y=True)
    images = torch.tensor((images - images.mean()) / images.std(), dtype=torch.float32)
    for label in (2, 3, 7):
        data = images[torch.from_numpy(labels == label)]
        values = spectrum(data)
        times = transition_grid(values, len(data))
        index = torch.arange(len(data)).repeat(2)
        noise = torch.randn(len(index), 64, generator=torch.Generator().manual_seed(0))
        found = sweep(data, index, noise, times)
        assert transition_time(values, len(data)) == pytest.approx(measured_transition(found), rel=0.05)
        predicted = predicted_self_weight(values, len(data), times)
        assert np.abs(predicted - found.self_weight.mean(0)).max() < 0.10


@pytest.mark.parametrize("shape", [(40, 12), (12, 40), (15, 2, 3, 4)])
def test_spectrum_is_that_of_the_covariance(shape):
    torch.manual_seed(0)
    data = 3 + torch.randn(shape, dtype=torch.float64)
    expected = np.linalg.eigvalsh(np.cov(data.reshape(shape[0], -1).numpy().T, bias=True))[::-1]
    found = spectrum(data)
    np.testing.assert_allclose(found, expected[: len(found)], atol=1e-12)
    assert expected[len(found) :].sum() < 1e-12
    np.testing.assert_allclose(spectrum(data, budget_mb=0.01)[: len(found)], found, atol=1e-12)


def test_scale_variance_is_zero_for_gaussians_and_found_for_mixtures():
    torch.manual_seed(0)
    gaussian = torch.randn(4000, 30)
    scales = torch.where(torch.rand(4000, 1) < 0.5, 0.4, 1.6)  # mean 1, variance 0.36
    assert scale_variance(gaussian) < 0.02
    assert scale_variance(gaussian * scales.sqrt()) == pytest.approx(0.36, abs=0.05)


def test_crossing_by_linear_interpolation():
    assert crossing_time([0.0, 0.25, 0.75, 1.0], [0.0, 0.1, 0.2, 0.3]) == pytest.approx(0.15)
    assert crossing_time([0.6, 0.9], [0.2, 0.3]) == 0.2
    assert crossing_time([0.1, 0.4], [0.2, 0.3]) is None


def test_measured_transition_sorts_times_and_has_an_interval():
    draw = np.random.default_rng(0)
    times = np.linspace(0, 1, 21)
    at = 0.5 + 0.1 * draw.standard_normal((400, 1))
    weights = 1 / (1 + np.exp(-(times - at) / 0.02))
    found = measured_transition(weights, times)
    assert found == pytest.approx(0.5, abs=0.02)
    assert measured_transition(weights[:, ::-1], times[::-1]) == found
    low, high = transition_interval(weights, times, resamples=300)
    assert low < found < high
    assert high - low == pytest.approx(2 * 1.96 * 0.1 / 20, rel=0.3)
    assert transition_interval(weights, times, resamples=300) == (low, high)


def test_a_transition_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"reaches 0\.500 .*extend the grid"):
        measured_transition(np.full((3, 4), 0.49999), np.linspace(0, 1, 4))
    assert transition_interval(np.full((3, 4), 0.4), np.linspace(0, 1, 4), resamples=10) is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: transition_time([1.0, -0.1], 10), "eigenvalues are"),
        (lambda: transition_time([np.nan], 10), "eigenvalues are"),
        (lambda: transition_time([], 10), "eigenvalues are"),
        (lambda: transition_time([1.0], 0), "n is 0"),
        (lambda: predicted_self_weight([1.0], 0.5, [0.1]), r"n is 0\.5"),
        (lambda: predicted_self_weight([1.0], 5, [1.1]), "times are"),
        (lambda: transition_time([1.0], np.inf), "n is inf"),
        (lambda: measured_transition(np.zeros((3, 4)), np.zeros(5)), r"\(3, 4\)"),
        (lambda: measured_transition([[0.0, np.nan, 1.0]], [0.0, 0.5, 1.0]), "a self weight is nan"),
        (lambda: spectrum(torch.full((3, 3), float("nan"))), "NaN"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_resolved_times_keep_those_given_and_leave_no_gap_about_a_transition():
    times = np.array([0.0, 0.1, 0.5, 0.99, 1.0])
    found = resolved_times(times, [0.06, 0.4], step=0.1, reach=2.0)
    assert set(times) <= set(found)
    s = found[:-1] / (1 - found[:-1])
    for center in (0.06 / 0.94, 0.4 / 0.6):
        reached = s[s <= 2 * center]
        assert np.diff(reached).max() <= 0.1 * center * (1 + 1e-9)
        assert reached[-1] >= 1.9 * center * (1 - 1e-9)
    np.testing.assert_array_equal(resolved_times(found, [0.06, 0.4], step=0.1, reach=2.0), found)
    np.testing.assert_array_equal(resolved_times(times, [0.0, 1.0]), times)
    fine = np.linspace(0, 1, 10001)
    np.testing.assert_array_equal(resolved_times(fine, [0.3]), fine)
