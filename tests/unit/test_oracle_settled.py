"""From when on the oracle velocity is x_1 - x_0: the bound against the velocity, distances against differences."""

import pytest
import torch

from twostage.oracle import Oracle, sweep
from twostage.oracle.settled import NEVER, TOLERANCE, block_size, blocks_of, nearest_other, settled_times

GENERATOR = torch.Generator().manual_seed(0)


def clusters(count=60, dim=48, offset=0.0):
    """Samples about a few centres, a copy and a near-duplicate among them."""
    centres = 2 * torch.randn(5, dim, generator=GENERATOR)
    data = centres.repeat(count // 5, 1) + torch.randn(count, dim, generator=GENERATOR) + offset
    data[7], data[11] = data[3], data[20]
    data[11, 0] += 1e-3
    return data


def nearest_by_differences(data):
    distances = (data.double()[:, None] - data.double()).norm(dim=2)
    return distances.masked_fill(distances == 0, torch.inf).amin(1)


@pytest.mark.parametrize("offset", [0.0, 30.0])
@pytest.mark.parametrize(("products", "loss"), [(None, 1e-4), (torch.float64, 1e-5), (torch.bfloat16, 0.12)])
def test_distances_to_the_nearest_other_are_bounded_from_below(products, loss, offset):
    data = clusters(offset=offset)
    data = data.double() if products == torch.float64 else data
    exact = nearest_by_differences(data)
    found = nearest_other(data[5:40], data.split(17), products=products, budget_mb=0.05)
    assert (found <= exact[5:40] * (1 + 1e-12)).all()
    assert (found >= exact[5:40] * (1 - loss)).all()


def test_copies_are_no_other_samples_and_near_duplicates_are():
    data = clusters()
    found = nearest_other(data, [data])
    assert found[3] == found[7] > 1
    assert found[11] == found[20] == pytest.approx(1e-3, rel=1e-3)
    alike = data[:1].expand(4, -1)
    assert nearest_other(alike, [alike]).tolist() == [torch.inf] * 4
    assert len(nearest_other(data[:0], [data])) == 0


def test_blocks_are_all_of_the_rows_within_the_budget():
    data = clusters()
    assert torch.equal(torch.cat(blocks_of(data, 0.01)), data)
    assert len(blocks_of(data, 0.01)[0]) == block_size(data.shape[1], 0.01) == 6


@pytest.mark.parametrize("dim", [3, 48, 1024])
def test_from_the_settled_time_on_the_exact_velocity_is_the_conditional_one(dim):
    data = clusters(dim=dim)
    times = settled_times(nearest_by_differences(data), len(data))
    exact = Oracle(data.double())
    x_0 = torch.randn(len(data), dim, generator=GENERATOR, dtype=torch.float64)
    used = times < 1
    assert used.sum() >= len(data) - 2
    for share in (0.0, 0.01, 0.3):
        t = (times + share * (1 - times)).double()[used]
        x_1 = data[used].double()
        x_t = t[:, None] * x_1 + (1 - t[:, None]) * x_0[used]
        distance = (exact.velocity(x_t, t) - (x_1 - x_0[used])).norm(dim=1)
        # of float64 itself: rounding of x_t, divided by 1 - t
        assert (distance <= TOLERANCE + 1e-15 * x_t.norm(dim=1) / (1 - t)).all()


def test_the_bound_is_not_far_from_what_it_bounds():
    data, noise = clusters(dim=1024), torch.randn(60, 1024, generator=GENERATOR)
    times = settled_times(nearest_by_differences(data), len(data)).double()
    for row in (0, 30):
        grid = torch.linspace(0.01, 0.99, 197, dtype=torch.float64)
        error = (sweep(data, torch.tensor([row]), noise[row : row + 1], grid).mse[0] * 1024) ** 0.5
        first = grid[(torch.from_numpy(error) > TOLERANCE).nonzero().max() + 1]
        assert first <= times[row] < first + 0.2  # a noise like this is no worst case: 7 standard deviations off
    assert 0.5 < (1 - times.clamp(max=1)).mean() < 0.8


def test_settled_times_at_the_ends():
    far, near, alone = settled_times(torch.tensor([1e6, 1e-12, torch.inf]), 1000).tolist()
    assert 0 < far < 1e-4
    assert near == NEVER
    assert alone == 0
    assert settled_times([torch.inf], 1).tolist() == [0]
    few, many = settled_times([10.0, 10.0], 100), settled_times([10.0, 10.0], 10**6)
    assert few.dtype == torch.float32
    assert (few < many).all()
