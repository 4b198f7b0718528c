"""The information in x_t: three ways to it agree, for any data, and end at H(p); times too coarse are refused."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from twostage.oracle import Sweep, sweep
from twostage.oracle.information import class_information, information, resolving_times, window
from twostage.oracle.law import channel_information, resolved_times, spectrum, transition_time

PAIRS = 800
SIGMAS = 4.0  # of several hundred comparisons with random noise, all of which are seeded
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(120)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


BASE = normal(30, 12)
DATA = {
    "iid": BASE,
    "one dimension": normal(20, 1),
    "high dimension": normal(40, 600).float(),
    "copies": torch.cat([BASE, BASE[[0, 3, 3, 7, 7, 7, 7, 29]]]),
    "all alike": BASE[[4, 4, 4]],
    "one sample": BASE[:1],
    "two samples": BASE[:2],
    "mean far from 0": BASE.float() + 100,
    "near-duplicates": torch.cat([BASE, BASE + 1e-3 * normal(30, 12, seed=1)]),
    "nearer duplicates": torch.cat([BASE, BASE + 1e-6 * normal(30, 12, seed=1)]),
    "one tight cluster": BASE[:1] + 1e-4 * BASE,
    "an outlier": torch.cat([BASE, BASE[:1] + 500]),
    "directions of every scale": BASE * torch.logspace(-3, 1, 12),
}


def pairs_of(data, count=PAIRS, seed=2):
    index = torch.randint(len(data), (count,), generator=torch.Generator().manual_seed(seed))
    return index, normal(count, data.shape[1], seed=seed)


def swept(data, index, noise, **options):
    """A sweep on times that resolve the information, found as a user would."""
    values = spectrum(data)
    times = resolved_times(np.linspace(0, 1, 51), [transition_time(values, len(data))])
    for _ in range(10):
        found = sweep(data, index, noise, times, **options)
        finer = resolving_times(found)
        if len(finer) == len(times):
            return found
        times = finer
    raise AssertionError("times were not resolved in ten rounds")


def assert_agree(first, first_error, second, second_error, atol=1e-9):
    off, error = np.abs(first - second), np.hypot(first_error, second_error)
    assert (off <= SIGMAS * error + atol).all(), (off - SIGMAS * error).max()


@pytest.mark.parametrize("name", DATA)
def test_three_ways_to_it_agree_and_end_at_the_entropy_of_the_data(name):
    data = DATA[name]
    found = information(swept(data, *pairs_of(data)))
    images = {}
    for row in data.tolist():
        images[tuple(row)] = images.get(tuple(row), 0) + 1 / len(data)
    entropy = -sum(share * math.log(share) for share in images.values())
    assert found.total == pytest.approx(entropy, abs=1e-12)
    slack = 0.003 * entropy + 1e-9  # what the times leave open, and what happens to a pair in a thousand
    assert_agree(found.by_gap, found.by_gap_sem, found.by_entropy, found.by_entropy_sem, slack)
    assert_agree(found.by_weight, found.by_weight_sem, found.by_entropy, found.by_entropy_sem, slack)
    assert_agree(found.by_gap[-1], found.by_gap_sem[-1], entropy, 0, slack)
    assert_agree(found.by_weight[-1], found.by_weight_sem[-1], entropy, 0)
    assert found.by_entropy[-1] == pytest.approx(entropy, abs=1e-9)
    assert found.by_entropy_sem[-1] == pytest.approx(0, abs=1e-9)
    for nats in (found.by_gap, found.by_entropy, found.by_weight):
        assert nats[0] == pytest.approx(0, abs=1e-12)
    assert (np.diff(found.by_gap) >= 0).all()
    np.testing.assert_allclose(found.left, found.total - found.by_entropy)
    assert found.by_gap_sem[-1] <= 0.04 * entropy + 1e-9


@pytest.mark.parametrize("distance", [0.01, 3.0])
def test_two_samples_by_the_binary_channel(distance):
    """log 2 - E log(1 + e^r), r = s d Z - s^2 d^2 / 2: a signal of two levels in Gaussian noise."""
    data = torch.tensor([[0.0, 1.0], [distance, 1.0]], dtype=torch.float64)
    found = information(swept(data, *pairs_of(data)))
    inner = found.times < 1
    w = distance * found.times[inner] / (1 - found.times[inner])
    expected = math.log(2) - np.logaddexp(0, w[:, None] * NODES - w[:, None] ** 2 / 2) @ WEIGHTS
    for name in ("by_gap", "by_entropy", "by_weight"):
        got, error = getattr(found, name)[inner], getattr(found, f"{name}_sem")[inner]
        assert_agree(got, error, expected, 0, 1e-3)
    assert (expected > 0.1).sum() > 10  # times in the fall itself


def test_long_before_the_transition_it_is_that_of_the_gaussian():
    """While many samples stand for each other, a Gaussian's samples tell of themselves what the Gaussian does."""
    data = normal(1000, 3)
    found = information(swept(data, *pairs_of(data, 200)))
    gaussian = channel_information(spectrum(data), found.times)[0]
    early = (gaussian > 0.3) & (gaussian < 1.5)
    assert early.sum() >= 5
    np.testing.assert_allclose(found.by_entropy[early], gaussian[early], rtol=0.1)


def test_the_posteriors_variance_is_the_steadier_estimate_of_the_gap():
    data = DATA["iid"]
    one = swept(data, *pairs_of(data))
    found, squares = information(one), information(dataclasses.replace(one, variance=None))
    assert_agree(found.by_gap, found.by_gap_sem, squares.by_gap, squares.by_gap_sem)
    assert found.by_gap_sem[-1] < 0.6 * squares.by_gap_sem[-1]


def test_times_may_come_in_any_order():
    data = DATA["iid"]
    one = swept(data, *pairs_of(data, 50))
    order = np.random.default_rng(0).permutation(len(one.times))
    mixed = dataclasses.replace(
        one,
        times=one.times[order],
        **{name: getattr(one, name)[:, order] for name in ("self_weight", "effective_samples", "mse", "variance")},
    )
    for field in dataclasses.fields(information(one)):
        np.testing.assert_array_equal(getattr(information(mixed), field.name), getattr(information(one), field.name))


TWINS = torch.tensor([[0.0], [1e-3]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("data", "times", "message"),
    [
        (TWINS, np.linspace(0, 1, 101), "0.69. of 0.693 nats are still unknown at t = 0.99"),
        (TWINS, np.linspace(0, 1, 101)[:-1], "0.69. of 0.693 nats are still unknown at t = 0.99"),
        (TWINS, [0.0, 0.5, 0.99, 0.999999, 1.0], "between t = 0.99 and 0.999999 the gap falls"),
        (DATA["iid"], np.linspace(0, 1, 6), "in one step; expected steps that resolve it"),
        (DATA["iid"], np.linspace(0, 0.3, 31), "are still unknown at t = 0.3"),
        (DATA["iid"], np.linspace(0.01, 1, 100), "begin at 0.01; expected 0"),
    ],
)
def test_times_that_cannot_resolve_it_are_refused(data, times, message):
    with pytest.raises(ValueError, match=message):
        information(sweep(data, *pairs_of(data, 200), times))


def test_resolving_times_keep_the_users_and_add_none_where_they_will_do():
    times = np.linspace(0, 1, 101)
    one = sweep(TWINS, *pairs_of(TWINS, 200), times)
    assert set(times) < set(resolving_times(one))
    done = swept(DATA["iid"], *pairs_of(DATA["iid"], 200))
    np.testing.assert_array_equal(resolving_times(done), done.times)


LABELS = np.repeat([0, 1, 4], [6, 9, 15])


def by_class(data, labels, per_class=None, seed=3):
    """Sweeps of the same pairs within the classes and over all data, on one grid; pairs over all data by default."""
    index, noise = pairs_of(data, PAIRS, seed)
    if per_class is not None:
        index = torch.cat([torch.from_numpy(np.resize(np.flatnonzero(labels == c), per_class)) for c in set(labels)])
        noise = normal(len(index), data.shape[1], seed=seed)
    whole = swept(data, index, noise)
    parts, order = [], []
    for label in np.unique(labels):
        rows, mine = np.flatnonzero(labels == label), np.flatnonzero(labels[index.numpy()] == label)
        own = torch.from_numpy(np.searchsorted(rows, index[mine]))
        # of a class as of a tensor: the label is what the sweep was told
        part = sweep(data[rows], own, noise[mine], whole.times)
        parts.append(dataclasses.replace(part, label=np.full(len(mine), label)))
        order.append(mine)
    return Sweep.merge(parts), whole.select(np.concatenate(order))


def entropy_of(counts):
    share = np.asarray(counts) / np.sum(counts)
    return float(-(share * np.log(share)).sum())


@pytest.mark.parametrize("per_class", [None, 400], ids=["pairs of all data", "as many pairs of each class"])
def test_the_class_is_told_up_to_its_entropy_each_class_counting_by_its_size(per_class):
    of_class, of_all = by_class(BASE, LABELS, per_class)
    found = class_information(of_class, of_all)
    assert found.total == pytest.approx(entropy_of([6, 9, 15]), abs=1e-12)
    assert_agree(found.nats, found.sem, found.by_entropy, found.by_entropy_sem, 0.005)
    assert found.by_entropy[-1] == pytest.approx(found.total, abs=0.02 if per_class is None else 1e-9)
    assert_agree(found.nats[-1], found.sem[-1], found.total, 0, 0.005)
    assert found.sem[-1] < 0.6 * np.hypot(information(of_all).by_gap_sem[-1], information(of_class).by_gap_sem[-1])
    within = information(of_class)
    mean = np.average(np.log([6, 9, 15]), weights=[6, 9, 15])
    assert within.total == pytest.approx(mean, abs=1e-12)


def test_classes_far_apart_are_told_before_anything_else():
    data = BASE + 100 * torch.from_numpy(LABELS)[:, None]
    of_class, of_all = by_class(data, LABELS, 200)
    found, within = class_information(of_class, of_all), information(of_class)
    early = window(found.times, found.by_entropy)[1]
    late = window(within.times, within.by_entropy)[0]
    assert early < late


def test_an_image_of_two_classes_leaves_the_class_unknown():
    """Two classes of the same images: x_t never tells which, though H(Y) is log 2."""
    data, labels = torch.cat([BASE, BASE]), np.repeat([0, 1], 30)
    found = class_information(*by_class(data, labels, 100))
    assert found.total == pytest.approx(math.log(2))
    np.testing.assert_allclose(found.nats, 0, atol=1e-5)
    np.testing.assert_allclose(found.by_entropy, 0, atol=1e-9)


def test_sweeps_that_are_not_of_the_same_pairs_are_refused():
    of_class, of_all = by_class(BASE, LABELS, 20)
    with pytest.raises(ValueError, match="expected the same pairs"):
        class_information(of_class, of_all.select(slice(1, None)))
    with pytest.raises(ValueError, match="the first sweep is to run within classes"):
        class_information(of_all, of_all)
    with pytest.raises(ValueError, match="the first sweep is to run within classes"):
        class_information(of_class, of_class)


def test_window():
    assert window([0, 0.2, 0.6, 1], [0.0, 0.0, 2.0, 2.0], 0.25, 0.75) == pytest.approx((0.3, 0.5))
    for wrong in ([0, 0.0], [], 1.0):
        with pytest.raises(ValueError, match="expected \\(T,\\) that end above 0"):
            window([0, 1], wrong)
    with pytest.raises(ValueError, match="0 < low < high < 1"):
        window([0, 1], [0, 1], 0.9, 0.1)
