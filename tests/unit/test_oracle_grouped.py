"""Many classes' oracles in one call, against the exact velocity of each: any sizes, times, centres and budgets."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from twostage.oracle import Oracle
from twostage.oracle.grouped import GroupedOracle
from twostage.testing.pretended_gpu import pretended_gpu

SIZES = (9, 1, 30, 4, 30, 17)
ENDS = np.cumsum([0, *SIZES]).tolist()
PARTS = [slice(*ends) for ends in pairwise(ENDS)]
DIM = 24


class Case:
    """Samples of classes of many sizes, a copy and a near-duplicate among them; points of the classes in disorder."""

    def __init__(self, offset=0.0, points=60):
        generator = torch.Generator().manual_seed(5)
        self.rows = torch.randn(sum(SIZES), DIM, generator=generator)
        self.rows[PARTS[2]] += offset
        self.rows[PARTS[4]] -= offset / 2
        self.rows[12], self.rows[15] = self.rows[11], self.rows[14] + 1e-4
        chosen = torch.randint(len(self.rows), (points,), generator=generator)
        self.which = torch.bucketize(chosen, torch.tensor(ENDS[1:]), right=True)
        self.t = torch.linspace(0, 1 - 1e-6, points)[torch.randperm(points, generator=generator)]
        noise = torch.randn(points, DIM, generator=generator)
        self.x_t = self.t[:, None] * self.rows[chosen] + (1 - self.t[:, None]) * noise

    def exact(self):
        found = torch.empty(len(self.x_t), DIM, dtype=torch.float64)
        for number, part in enumerate(PARTS):
            mine = self.which == number
            if mine.any():
                found[mine] = Oracle(self.rows[part].double()).velocity(self.x_t[mine].double(), self.t[mine].double())
        return found


# 16 kB are two or three points at a time of the largest class; then no class's copy about its centre is held either.
@pytest.mark.parametrize("budget_mb", [1024, 0.016])
@pytest.mark.parametrize("offset", [0.0, 40.0])
def test_each_point_has_the_velocity_of_its_own_class(offset, budget_mb):
    case = Case(offset)
    oracle = GroupedOracle(case.rows, PARTS, budget_mb)
    assert (oracle.each[2].centre is not None) == (offset > 0)
    assert sum(samples.held for samples in oracle.each) <= budget_mb * 2**20 / 2
    found = oracle.velocity(case.x_t, case.t, case.which)
    assert found.dtype == torch.float32
    exact = case.exact()
    scale = exact.abs().amax(1, keepdim=True).clamp(min=1)
    assert ((found - exact).abs() / scale).max() < 2e-6


def test_the_budget_says_how_many_points_go_together():
    case = Case()
    groups = list(GroupedOracle(case.rows, PARTS, 0.016)._groups(case.which.numpy()))
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(case.which)))
    assert len(groups) > 5
    for group in groups:
        widest = max(SIZES[number] for number in case.which[group].tolist())
        assert len(group) == 1 or len(group) * (100 * DIM + 48 * widest) <= 0.016 * 2**20


@pytest.mark.parametrize("offset", [0.0, 40.0])
def test_a_gpu_gives_the_same_bits_and_is_waited_for_once(offset):
    case = Case(offset)
    plain = GroupedOracle(case.rows, PARTS).velocity(case.x_t, case.t, case.which)
    with pretended_gpu() as record:
        oracle = GroupedOracle(case.rows.to("cuda"), PARTS)
        x_t, t = case.x_t.to("cuda"), case.t.to("cuda")
        record.clear()
        found = oracle.velocity(x_t, t, case.which)
        assert sum(record.syncs.values()) == 1, record
        assert torch.equal(found.cpu(), plain)
