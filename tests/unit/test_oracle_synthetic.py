"""The reduced sampler against brute force, its limits, its independence of workers, and its resumption."""

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp

from twostage.oracle import sweep, synthetic
from twostage.oracle.synthetic import gaussian_curves, top1_curve

TIMES = np.linspace(0, 1, 11)


def brute_force(dim, size, times, trials, rounded=False):
    """Top-1 and self weights on Gaussians drawn in full, by direct differences."""
    generator, found = torch.Generator().manual_seed(1), []
    for _ in range(trials):
        data = torch.randn(size, dim, generator=generator, dtype=torch.float64)
        noise = torch.randn(dim, generator=generator, dtype=torch.float64)
        curves = []
        for t in times:
            distance = (t * data[0] + (1 - t) * noise - t * data).square().sum(1)
            logits = -distance / (2 * (1 - t) ** 2)
            if rounded:
                logits = (-distance.bfloat16() / (2 * (1 - t) ** 2)).double()
            weights = logits.softmax(0)
            curves.append([weights.max(), weights[0]])
        found.append(curves)
    return np.array(found).transpose(2, 0, 1)


@pytest.mark.parametrize(
    ("dim", "size", "t"), [(2, 50, 0.7), (3, 20, 0.5), (16, 200, 0.4), (64, 100, 0.25), (256, 30, 0.12)]
)
def test_the_distribution_is_that_of_brute_force(dim, size, t):
    expected = brute_force(dim, size, [t], 1000)[:, :, 0]
    found = np.stack(gaussian_curves(dim, size, [t], 1000, 0))[:, :, 0]
    for k in range(2):
        assert 0.02 < np.median(expected[k]) < 0.98  # the test is made where there is something to see
        assert ks_2samp(expected[k], found[k]).pvalue > 0.01


def test_rounding_is_that_of_bfloat16_tensors():
    case = (2048, 30, [0.02])
    expected = brute_force(*case, 1000, rounded=True)[0, :, 0]
    found = top1_curve(*case, 1000, 0, precision="bfloat16")[:, 0]
    assert ks_2samp(expected, found).pvalue > 0.01
    assert ks_2samp(found, top1_curve(*case, 1000, 1)[:, 0]).pvalue < 1e-3  # the rounding is seen at all


def test_rounding_is_to_the_nearest_bfloat16():
    values = np.concatenate([np.random.default_rng(0).exponential(1000, 2000), [0.0, 1.00390625, 1.01171875]])
    expected = torch.from_numpy(values).float().bfloat16().double().numpy()
    np.testing.assert_array_equal(synthetic._round_to_bfloat16(values), expected)


def test_agrees_with_the_sweep_in_the_mean():
    torch.manual_seed(0)
    times = [0.1, 0.2, 0.3]
    runs = [sweep(torch.randn(100, 64), torch.arange(20), torch.randn(20, 64), times) for _ in range(20)]
    found, own = gaussian_curves(64, 100, times, 4000, 0)
    np.testing.assert_allclose(found.mean(0), np.mean([run.top1 for run in runs], (0, 1)), atol=0.04)
    np.testing.assert_allclose(own.mean(0), np.mean([run.self_weight for run in runs], (0, 1)), atol=0.04)


@pytest.mark.parametrize("precision", ["exact", "bfloat16"])
def test_ends_and_bounds(precision):
    top1, own = gaussian_curves(32, 50, TIMES, 20, 0, precision=precision)
    np.testing.assert_allclose(top1[:, 0], 1 / 50)
    np.testing.assert_array_equal(top1[:, -1], 1)
    assert ((own > 0) | (TIMES > 0)).all()
    assert (own <= top1 * (1 + 1e-12)).all()
    assert (top1 <= 1).all()


def test_one_sample_has_all_the_weight():
    np.testing.assert_array_equal(top1_curve(5, 1, TIMES, 3, 0), np.ones((3, 11)))


def test_huge_dimension_and_many_blocks():
    size = 3 * synthetic.BLOCK + 17
    curve = top1_curve(10**6, size, [0.0, 0.002, 0.006, 0.02], 3, 0)
    np.testing.assert_allclose(curve[:, 0], 1 / size)
    np.testing.assert_allclose(curve[:, -1], 1)
    assert (curve[:, 1] < 0.1).all()


def test_a_trial_depends_on_seed_and_number_alone(monkeypatch):
    monkeypatch.setattr(synthetic, "TASK", 1)
    size = 4 * synthetic.BLOCK
    times = [0.1, 0.3, 0.4]
    expected = top1_curve(16, size, times, 3, 7)
    np.testing.assert_array_equal(top1_curve(16, size, times, 3, 7, workers=3), expected)
    np.testing.assert_array_equal(top1_curve(16, size, times, 2, 7), expected[:2])
    assert (top1_curve(16, size, times, 3, 8)[:, 1] != expected[:, 1]).all()
    monkeypatch.setattr(synthetic, "TASK", 128)
    np.testing.assert_allclose(top1_curve(16, size, times, 3, 7), expected, rtol=1e-12)


def test_a_killed_run_goes_on_where_it_stopped(tmp_path, monkeypatch):
    state, arguments = tmp_path / "state.npz", (8, 10_000, TIMES, 120, 3)
    expected = top1_curve(*arguments)
    drawn, weights = [], synthetic._Trial.weights

    def dying(trial):
        if trial.number == 70:
            raise KeyboardInterrupt
        return weights(trial)

    monkeypatch.setattr(synthetic, "_batch_size", lambda *_: 8)
    monkeypatch.setattr(synthetic._Trial, "weights", dying)
    with pytest.raises(KeyboardInterrupt):
        top1_curve(*arguments, state=state)

    def counting(trial):
        drawn.append(trial.number)
        return weights(trial)

    monkeypatch.setattr(synthetic._Trial, "weights", counting)
    np.testing.assert_array_equal(top1_curve(*arguments, state=state), expected)
    assert drawn == list(range(64, 120))
    drawn.clear()
    np.testing.assert_array_equal(top1_curve(*arguments, state=state), expected)
    assert drawn == []
    assert not list(tmp_path.glob("*.tmp"))


def test_a_foreign_or_broken_state_is_refused(tmp_path):
    state = tmp_path / "state.npz"
    top1_curve(8, 10, TIMES, 2, 0, state=state)
    with pytest.raises(ValueError, match="belongs to another"):
        top1_curve(8, 11, TIMES, 2, 0, state=state)
    state.write_bytes(state.read_bytes()[:40])
    with pytest.raises(OSError, match="delete it to start over"):
        top1_curve(8, 10, TIMES, 2, 0, state=state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dim": 1}, "dim is 1; expected an integer of at least 2"),
        ({"size": 0}, "size is 0"),
        ({"size": 2.5}, r"size is 2\.5"),
        ({"size": np.inf}, "size is inf"),
        ({"dim": np.nan}, "dim is nan"),
        ({"trials": 0}, "trials is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"times": [1.2]}, "times are"),
        ({"times": "soon"}, "times is str; expected numbers"),
        ({"times": None}, "times is NoneType; expected numbers"),
        ({"size": "5"}, "size is '5'; expected an integer"),
        ({"size": None}, "size is None; expected an integer"),
        ({"workers": True}, "workers is True; expected an integer"),
        ({"times": []}, "times are"),
        ({"precision": "float8"}, "'float8'"),
    ],
)
def test_bad_input_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        top1_curve(**{"dim": 4, "size": 5, "times": [0.5], "trials": 1, "seed": 0, **change})
