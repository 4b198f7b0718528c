"""The jackknife of distances: parts, distances without each, standard errors, extrapolation."""

import contextlib

import numpy as np
import pytest

from twostage.evaluation.frechet import distance_of_roots, frechet_distance, mean_and_root
from twostage.evaluation.jackknife import PARTS, at_infinity, distances_without, parts_of, standard_error
from twostage.evaluation.kid import kernel_distance, kernel_distances


def test_every_part_has_its_share_of_every_label_and_like_labels_like_parts():
    labels = np.arange(430) % 10
    part = parts_of(labels)
    counts = np.array([np.bincount(part[labels == label], minlength=PARTS) for label in range(10)])
    assert counts.min() >= 4
    assert counts.max() <= 5
    assert np.array_equal(part, parts_of(labels.copy()))
    assert not np.array_equal(part, np.arange(430) % PARTS)


@pytest.mark.parametrize("count", [300, 41, 25], ids=["many", "parts leave as many as dimensions", "few"])
def test_distances_without_a_part_are_those_of_the_rest(count):
    generator = np.random.default_rng(0)
    real, fake = generator.standard_normal((500, 37)), 3 + 2 * generator.standard_normal((count, 37))
    part = parts_of(np.arange(count) % 3)
    found = distances_without(fake, part, *mean_and_root(real))
    with pytest.warns() if count < 300 else contextlib.nullcontext():
        direct = [frechet_distance(fake[part != p], real) for p in range(PARTS)]
    np.testing.assert_allclose(found, direct, rtol=1e-9)
    assert np.isnan(distances_without(fake[:19], part[:19], *mean_and_root(real))).all()


def test_kernel_distances_without_a_part_are_those_of_the_rest():
    generator = np.random.default_rng(1)
    real, fake = generator.standard_normal((1100, 6)), 0.2 + generator.standard_normal((1050, 6))
    part = parts_of(np.zeros(len(fake)))
    whole, without = kernel_distances(fake, real, part)
    assert whole == pytest.approx(kernel_distance(fake, real), rel=1e-12)
    np.testing.assert_allclose(without, [kernel_distance(fake[part != p], real) for p in range(PARTS)], rtol=1e-9)


def test_standard_error_of_a_mean_is_that_of_a_mean():
    x = np.random.default_rng(2).standard_normal((200, 1000))
    part = parts_of(np.zeros(1000))
    found = standard_error(np.stack([x[:, part != p].mean(1) for p in range(PARTS)], axis=1))
    assert np.sqrt(np.mean(found**2)) == pytest.approx(1 / np.sqrt(1000), rel=0.05)
    assert np.isnan(standard_error(np.full(PARTS, np.nan)))


def test_extrapolated_distances_of_few_and_of_many_samples_agree():
    generator = np.random.default_rng(4)
    root = np.eye(8)
    few, many = np.empty((60, 2)), np.empty((60, 2))
    for row in range(60):
        for found, count in ((few, 100), (many, 400)):
            x = 0.2 + generator.standard_normal((count, 8))
            part = parts_of(np.zeros(count))
            value = distance_of_roots(*mean_and_root(x), np.zeros(8), root)
            found[row] = value, at_infinity(value, distances_without(x, part, np.zeros(8), root))
    exact = 8 * 0.2**2
    assert few[:, 0].mean() - exact > 4 * abs(few[:, 1].mean() - exact)
    assert few[:, 0].mean() - many[:, 0].mean() > 4 * abs(few[:, 1].mean() - many[:, 1].mean())
