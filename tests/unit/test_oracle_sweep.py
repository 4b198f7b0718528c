"""All times at once against one time at a time, in float64 and in mpmath where float64 underflows."""

import mpmath
import numpy as np
import pytest
import torch

from twostage.oracle import Oracle, Sweep, sweep
from twostage.oracle.samples import Samples

TIMES = (0.0, 1e-4, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999, 1 - 1e-6)
STATISTICS = ("top1", "self_weight", "effective_samples", "mse", "variance")


def near_duplicates(distance, mean=0.0):
    base = mean + torch.randn(12, 12)
    return torch.cat([base, base + distance * torch.randn(12, 12)])


DATA = {
    "iid": lambda: torch.randn(24, 12),
    "duplicates within 1e-3": lambda: near_duplicates(1e-3),
    "duplicates within 1e-6": lambda: near_duplicates(1e-6),
    "exact duplicates": lambda: near_duplicates(0.0),
    "copies of some": lambda: torch.cat([base := torch.randn(16, 12), base[[0, 3, 3, 7, 7, 7, 7, 15]]]),
    "mean 10": lambda: 10 + torch.randn(24, 12),
    "mean 10 and duplicates": lambda: near_duplicates(1e-5, mean=10.0),
    "one tight cluster": lambda: torch.randn(1, 12) + 1e-4 * torch.randn(24, 12),
    "positive": lambda: torch.randn(24, 12).abs(),
    "one sample": lambda: torch.randn(1, 12),
    "float64": lambda: torch.randn(24, 12, dtype=torch.float64),
}


def reference(data, k, noise, t):
    """What ``STATISTICS`` name, of one pair by definition, in 340 digits.

    Equal rows are one sample, whose weight is the sum over them.
    """
    with mpmath.workdps(340):
        t = mpmath.mpf(t)
        exact = lambda values: [mpmath.mpf(value) for value in values.double().tolist()]  # noqa: E731
        rows, noise = [exact(row) for row in data], exact(noise)
        x_t = [t * a + (1 - t) * b for a, b in zip(rows[k], noise)]
        logits = [-sum((x - t * a) ** 2 for x, a in zip(x_t, row)) / (2 * (1 - t) ** 2) for row in rows]
        top = max(logits)
        weights = [mpmath.exp(value - top) for value in logits]
        weights = [value / mpmath.fsum(weights) for value in weights]
        mean = [mpmath.fsum(w * row[d] for w, row in zip(weights, rows)) for d in range(len(noise))]
        velocity = [(m - x) / (1 - t) for m, x in zip(mean, x_t)]
        squares = [(v - (a - b)) ** 2 for v, a, b in zip(velocity, rows[k], noise)]
        variance = mpmath.fsum(
            w * mpmath.fsum((a - m) ** 2 for a, m in zip(row, mean)) for w, row in zip(weights, rows)
        )
        images = {}
        for row, weight in zip(data.tolist(), weights):
            images[tuple(row)] = images.get(tuple(row), 0) + weight
        weights = list(images.values())
        entropy = -mpmath.fsum(w * mpmath.log(w) for w in weights if w > 0)
        found = (
            max(weights),
            images[tuple(data[k].tolist())],
            mpmath.exp(entropy),
            mpmath.fsum(squares) / len(squares),
            variance / len(mean) / (1 - t) ** 2,
        )
        return [float(value) for value in found]


@pytest.fixture(params=DATA)
def data(request):
    torch.manual_seed(0)
    return DATA[request.param]()


def pairs_of(data, count=1):
    index = torch.arange(min(count, len(data))) * (len(data) // 2 - 1 or 1) % len(data)
    return index, torch.randn(len(index), data.shape[1], generator=torch.Generator().manual_seed(1))


def test_statistics_match_their_definition(data):
    """The squared error too, relative, down to the smallest normal float64."""
    index, noise = pairs_of(data)
    found = sweep(data, index, noise, TIMES)
    for p in range(len(index)):
        for k, t in enumerate(TIMES):
            expected = reference(data, int(index[p]), noise[p], t)
            got = [getattr(found, name)[p, k] for name in STATISTICS]
            np.testing.assert_allclose(got[:3], expected[:3], rtol=1e-7, err_msg=f"pair {p}, t = {t}")
            np.testing.assert_allclose(got[3], expected[3], rtol=1e-5, atol=1e-300, err_msg=f"pair {p}, t = {t}")
            np.testing.assert_allclose(got[4], expected[4], rtol=1e-5, atol=1e-170, err_msg=f"pair {p}, t = {t}")


def test_tiny_squared_errors_are_reached():
    """The case of the test above is no empty promise: there are errors well below 1e-30, and not yet zero."""
    torch.manual_seed(0)
    data = torch.randn(24, 12)
    times = np.linspace(0.5, 0.9, 41)
    found = sweep(data, *pairs_of(data), times).mse[0]
    small = np.flatnonzero((found < 1e-100) & (found > 1e-300))
    assert len(small) >= 3
    for k in small[::3]:
        expected = reference(data, 0, pairs_of(data)[1][0], float(times[k]))[3]
        np.testing.assert_allclose(found[k], expected, rtol=1e-5)


@pytest.mark.parametrize("budget_mb", [0.02, 0.2])
def test_chunks_of_data_and_of_pairs_add_up_to_the_whole(data, budget_mb):
    index, noise = pairs_of(data, 12)
    whole = sweep(data, index, noise, TIMES, offset=1e-3)
    parts = sweep(data, index, noise, TIMES, offset=1e-3, budget_mb=budget_mb)
    for name in (*STATISTICS, "mse_offset"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-5, atol=1e-300, err_msg=name)


def test_agrees_with_the_oracle_one_time_after_another():
    torch.manual_seed(0)
    data, times = torch.randn(300, 64), [0.05, 0.15, 0.2, 0.3]
    index, noise = torch.arange(10), torch.randn(10, 64)
    found, oracle = sweep(data, index, noise, times), Oracle(data)
    for k, t in enumerate(times):
        x_t = t * data[index].double() + (1 - t) * noise.double()
        weights = oracle.log_weights(x_t, t).exp()
        error = oracle.velocity(x_t, t) - (data[index].double() - noise)
        np.testing.assert_allclose(found.top1[:, k], weights.amax(1), rtol=1e-5)
        np.testing.assert_allclose(found.self_weight[:, k], weights[range(10), index], rtol=1e-5)
        np.testing.assert_allclose(
            found.effective_samples[:, k], weights.mul(weights.log()).sum(1).neg().exp(), rtol=1e-5
        )
        np.testing.assert_allclose(found.mse[:, k], error.square().mean(1), rtol=1e-5, atol=1e-9)


def test_sparse_sums_agree_with_dense_ones():
    """Many samples, of which a few weigh: the sums that leave the rest out stay within the promised error."""
    torch.manual_seed(0)
    data, times = torch.randn(3000, 128), np.linspace(0.2, 0.45, 6)
    index, noise = torch.arange(4), torch.randn(4, 128)
    found = sweep(data, index, noise, times)
    assert (found.effective_samples[:, 0] > 1).any()
    wide = data.double()
    for p in range(4):
        difference = wide - wide[p]
        for k, t in enumerate(times):
            s = t / (1 - t)
            log = s * (difference @ noise[p].double()) - s**2 / 2 * difference.square().sum(1)
            moved = (log.softmax(0) @ difference) / (1 - t)
            np.testing.assert_allclose(found.mse[p, k], moved.square().mean(), rtol=1e-5)


def test_at_the_ends():
    torch.manual_seed(0)
    data = near_duplicates(0.0)
    found = sweep(data, *pairs_of(data, 2), [0.0, 1.0])
    np.testing.assert_array_equal(found.top1, [[1 / 12, 1]] * 2)
    np.testing.assert_array_equal(found.self_weight, [[1 / 12, 1]] * 2)
    np.testing.assert_allclose(found.effective_samples, [[12, 1]] * 2)
    np.testing.assert_array_equal(found.count, [12, 12])
    mean_error = (data.double().mean(0) - data[pairs_of(data, 2)[0]].double()).square().mean(1)
    np.testing.assert_allclose(found.mse, torch.stack([mean_error, torch.zeros(2)], 1), rtol=1e-12)


def test_a_set_given_twice_is_the_same_set():
    torch.manual_seed(0)
    data = torch.randn(40, 12)
    index, noise = pairs_of(data, 6)
    once, twice = (sweep(each, index, noise, TIMES, offset=1e-3) for each in (data, torch.cat([data, data])))
    for name in (*STATISTICS, "mse_offset", "count"):
        np.testing.assert_allclose(getattr(twice, name), getattr(once, name), rtol=1e-5, atol=1e-300, err_msg=name)


def test_copies_are_found_and_near_duplicates_are_not():
    torch.manual_seed(0)
    base = torch.randn(30, 700) + 5
    assert Samples(base).multiplicity is None
    assert Samples(torch.cat([base, base * (1 + 1e-6)])).distinct == 60
    data = torch.cat([base, base[[4, 4, 9]], torch.zeros(2, 700)])
    samples = Samples(data)
    assert samples.distinct == 31
    expected = [3 if k in (4, 30, 31) else 2 if k in (9, 32, 33, 34) else 1 for k in range(35)]
    assert samples.multiplicity.tolist() == expected
    assert samples.firsts().tolist() == [*range(30), 33]
    # on a sphere all norms are equal, the rows are not
    sphere = torch.nn.functional.normalize(torch.randn(500, 16).double(), dim=1)
    assert Samples(sphere).distinct == 500


def test_times_may_come_in_any_order():
    torch.manual_seed(0)
    data = torch.randn(30, 8)
    times, order = np.array([0.0, 0.2, 0.4, 0.6, 0.95, 1.0]), [3, 0, 5, 1, 4, 2]
    straight, mixed = (sweep(data, *pairs_of(data), each, offset=1e-3) for each in (times, times[order]))
    for name in (*STATISTICS, "mse_offset"):
        np.testing.assert_array_equal(getattr(mixed, name), getattr(straight, name)[:, order])


def test_the_exact_error_has_no_tail_and_the_offset_makes_one():
    """With all weight on x_1, u* is u exactly; with delta added to 1 - t, off by u delta / (1 - t + delta)."""
    torch.manual_seed(0)
    data, times = torch.randn(50, 64), np.array([0.95, 0.98, 0.99, 0.999, 1.0])
    index, noise = pairs_of(data, 5)
    found = sweep(data, index, noise, times, offset=1e-3)
    assert found.mse.max() < 1e-300
    square = (data[index].double() - noise).square().mean(1, keepdim=True).numpy()
    np.testing.assert_allclose(found.mse_offset, square * (1e-3 / (1 - times + 1e-3)) ** 2, rtol=1e-6)


def test_the_offset_by_definition():
    torch.manual_seed(0)
    data, times = torch.randn(50, 8), [0.0, 0.3, 0.5]
    index, noise = pairs_of(data, 5)
    found = sweep(data, index, noise, times, offset=0.05)
    for k, t in enumerate(times):
        x_1 = data[index].double()
        x_t = t * x_1 + (1 - t) * noise.double()
        velocity = (Oracle(data).posterior_mean(x_t, t) - x_t) / (1 - t + 0.05)
        expected = (velocity - (x_1 - noise)).square().mean(1)
        np.testing.assert_allclose(found.mse_offset[:, k], expected, rtol=1e-5)


def test_shards_merge_exactly_and_survive_the_disk(tmp_path):
    torch.manual_seed(0)
    data = torch.randn(30, 2, 2, 2)
    index, noise = torch.arange(12), torch.randn(12, 2, 2, 2)
    shards = []
    for k in range(3):
        part = sweep(data, index[4 * k : 4 * k + 4], noise[4 * k : 4 * k + 4], TIMES, offset=1e-3)
        part.save(tmp_path / f"{k}.npz")
        shards.append(Sweep.load(tmp_path / f"{k}.npz"))
    merged = Sweep.merge(shards)
    assert len(merged) == 12
    assert merged.dim == 8
    np.testing.assert_array_equal(merged.index, index)
    whole = sweep(data, index, noise, TIMES, offset=1e-3)
    for name in (*STATISTICS, "mse_offset"):
        np.testing.assert_allclose(getattr(merged, name), getattr(whole, name), rtol=1e-6, atol=1e-300)
    again = Sweep.merge([merged.select(slice(0, 5)), merged.select(slice(5, None))])
    for name in (*STATISTICS, "count", "label"):
        np.testing.assert_array_equal(getattr(again, name), getattr(merged, name))


def test_sweeps_that_do_not_belong_together_are_not_merged():
    data = torch.randn(10, 4)
    index, noise = pairs_of(data, 2)
    one = sweep(data, index, noise, [0.1, 0.2])
    with pytest.raises(ValueError, match="different times"):
        Sweep.merge([one, sweep(data, index, noise, [0.1, 0.3])])
    with pytest.raises(ValueError, match="mse_offset"):
        Sweep.merge([one, sweep(data, index, noise, [0.1, 0.2], offset=1e-3)])
    with pytest.raises(ValueError, match="no sweep"):
        Sweep.merge([])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"index": torch.tensor([0, 10])}, r"index holds 10; expected rows in \[0, 10\)"),
        ({"index": torch.tensor([0, -1])}, "index holds -1"),
        ({"index": torch.tensor([0.0, 1.0])}, "float32"),
        ({"index": torch.tensor([], dtype=torch.int64)}, r"shape \(0,\)"),
        ({"x_0": torch.zeros(3, 4)}, r"x_0 has shape \(3, 4\); expected \(2, 4\)"),
        ({"x_0": torch.zeros(2, 5)}, r"x_0 has shape \(2, 5\)"),
        ({"x_0": torch.full((2, 4), float("inf"))}, "NaN or infinite"),
        ({"times": [0.5, 1.1]}, r"times is 1\.1; expected times in \[0, 1\]"),
        ({"times": []}, r"times have shape \(0,\)"),
        ({"offset": 0.0}, r"offset is 0\.0"),
        ({"data": torch.full((10, 4), float("nan"))}, "NaN or infinite"),
        ({"data": torch.zeros(0, 4)}, r"shape \(0, 4\)"),
    ],
)
def test_bad_input_is_refused(change, message):
    arguments = {
        "data": torch.randn(10, 4),
        "index": torch.tensor([0, 1]),
        "x_0": torch.zeros(2, 4),
        "times": [0.5],
        "offset": None,
        **change,
    }
    with pytest.raises(ValueError, match=message):
        sweep(**arguments)


def test_a_sample_that_is_outweighed_early_still_counts_later():
    """The first sample outweighs the last but one by e^1000 at t = 0.3, and is outweighed later, in another chunk."""
    x_1, noise = torch.zeros(1, 2), torch.tensor([[60.0, 60.0]])
    data = torch.cat([torch.tensor([[60.0, 0.0]]), torch.zeros(40, 2) - 1e3, torch.tensor([[0.0, 2.0]]), x_1])
    times = [0.3, 0.5, 0.9, 0.95, 0.97]
    whole, parts = (sweep(data, [42], noise, times, budget_mb=budget) for budget in (64, 0.001))
    for name in STATISTICS:
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-6, err_msg=name)
    for k, t in enumerate(times):
        np.testing.assert_allclose(whole.self_weight[0, k], reference(data, 42, noise[0], t)[1], rtol=1e-6)
    assert whole.self_weight.max() < 1e-100
    assert whole.top1.min() > 0.99
