"""Memorization where training images have copies or mirrored twins: the second distance is to a different image."""

import math

import h5py
import numpy as np
import pandas as pd
import pytest
from test_evaluation_samples import IDENTITY, SEEDS, write_samples

from twostage.data.datasets import ArrayDataset
from twostage.data.encode import encode
from twostage.data.encoders import load_encoder
from twostage.data.latents import LatentStore
from twostage.evaluation import nearest_images
from twostage.evaluation.memorization import CONTROL, measure_memorization

SHAPE = (4, 6, 3)
DISTANCES = ["followed_distance", "nearest_distance", "second_distance", "ratio", "retrieved"]


@pytest.fixture
def pixels():
    return np.random.default_rng(5).integers(20, 236, (12, *SHAPE), dtype=np.uint8)


def measured(folder, images, labels, samples, followed=None, flips=False, mirrored=None, **options):
    """(summary, table of samples) for training images and samples, two of each seed; followed: training images."""
    folder.mkdir()
    dataset = ArrayDataset("t", "train", images, labels, ["a", "b"])
    encode(dataset, load_encoder(IDENTITY, None, "cpu"), folder / "l.h5", flips=flips)
    rows = None if followed is None else np.argsort(LatentStore.open(folder / "l.h5").source)[followed]
    seeds, index = np.repeat(SEEDS, 2), [0, 1, 0, 1]
    write_samples(folder / "s.h5", samples, np.zeros(4, dtype=int), seeds, index, total=2, followed=rows)
    if mirrored is not None:
        with h5py.File(folder / "s.h5", "a") as file:
            file["followed_mirrored"][:] = mirrored
    found = measure_memorization(
        {"p": [folder / "s.h5"]}, folder / "a.csv", folder / "b.csv",
        store_path=folder / "l.h5", encoder_spec=IDENTITY, features=(), **options,
    )  # fmt: skip
    return found, pd.read_csv(folder / "b.csv")


@pytest.mark.parametrize("within_class", [False, True])
def test_a_set_with_each_image_three_times_has_the_numbers_of_the_set_without_copies(tmp_path, pixels, within_class):
    labels = np.repeat([0, 1], 6)
    samples = np.clip(pixels[:4].astype(int) + np.array([0, 3, -2]), 0, 255).astype(np.uint8)
    once, rows = measured(tmp_path / "1", pixels, labels, samples, np.arange(4), within_class=within_class)
    thrice, copies = measured(
        tmp_path / "3", np.tile(pixels, (3, 1, 1, 1)), np.tile(labels, 3), samples, np.arange(4) + 24,
        within_class=within_class,
    )  # fmt: skip
    assert np.array_equal(rows[DISTANCES], copies[DISTANCES])
    assert (rows["retrieved"] == 1).all()
    numbers = once.select_dtypes("number").columns
    pd.testing.assert_frame_equal(once[numbers], thrice[numbers])


def test_the_second_is_not_the_mirrored_twin(tmp_path, pixels):
    nearly = pixels.copy()  # images that nearly are their own mirrors
    nearly[:, :, 3:] = nearly[:, :, 2::-1]
    nearly[:, 0, 0, 0] ^= 4
    _, rows = measured(tmp_path / "a", nearly, np.zeros(12), nearly[:4], np.arange(4), flips=True)
    both = np.concatenate([nearly, nearly[:, :, ::-1]]).astype(float)
    for number in range(4):
        distances = np.sqrt(((both - nearly[number]) ** 2).mean((1, 2, 3)))
        others = np.delete(distances, [number, number + 12])
        assert rows["nearest_distance"][number] == 0
        assert rows["second_distance"][number] == pytest.approx(others.min())
        assert others.min() > distances[number + 12]
    assert (rows["retrieved"] == 1).all()


def test_the_mirrored_twin_of_the_followed_image_is_not_what_was_followed(tmp_path, pixels):
    _, rows = measured(
        tmp_path / "a", pixels, np.zeros(12), pixels[:4], np.arange(4), flips=True, mirrored=[True, True, False, False]
    )
    assert rows["retrieved"].tolist() == [0, 0, 1, 1]


def test_without_a_different_image_there_is_no_ratio(tmp_path, pixels):
    summary, rows = measured(tmp_path / "a", np.stack([pixels[0]] * 3), np.zeros(3), pixels[:4], flips=True)
    assert np.isinf(rows["second_distance"]).all()
    assert rows["ratio"].isna().all()
    assert summary["copied"].isna().all()
    assert summary["retrieved"].isna().all()


@pytest.mark.parametrize("within_class", [False, True])
def test_images_that_are_too_many_at_a_time_have_the_same_numbers(tmp_path, pixels, monkeypatch, within_class):
    """Whatever fits on the device: training images are decoded once, and the samples' pixels read for every block."""
    dataset = ArrayDataset("t", "train", pixels, np.repeat([0, 1], 6), ["a", "b"])
    encode(dataset, load_encoder(IDENTITY, None, "cpu"), tmp_path / "l.h5")
    held_out = ArrayDataset("t", "held_out", pixels[::-1] ^ 3, np.repeat([0, 1], 6), ["a", "b"])
    encode(held_out, load_encoder(IDENTITY, None, "cpu"), tmp_path / "h.h5", statistics=tmp_path / "l.h5")
    write_samples(tmp_path / "s.h5", pixels[:4] ^ 1, np.zeros(4, int), np.repeat(SEEDS, 2), [0, 1, 0, 1], total=2)
    size, passed, original = math.prod(SHAPE), [], nearest_images.decoded
    monkeypatch.setattr(nearest_images, "decoded", lambda *given: passed.append(len(given[2])) or original(*given))
    tables = []
    for number, (many, few) in enumerate([(1 << 30, 1 << 20), (12 * size, 1 * size), (11 * size, 5 * size), (1, 1)]):
        monkeypatch.setattr(nearest_images, "MANY", many)
        monkeypatch.setattr(nearest_images, "FEW", few)
        monkeypatch.setattr(nearest_images, "READ_BYTES", 3 * size)
        passed.clear()
        folder = tmp_path / str(number)
        measure_memorization(
            {name: [tmp_path / "s.h5"] for name in "pq"}, folder / "a.csv", folder / "b.csv",
            store_path=tmp_path / "l.h5", held_out_path=tmp_path / "h.h5", encoder_spec=IDENTITY, features=(),
            control_images=4, within_class=within_class,
        )  # fmt: skip
        assert sum(passed) == len(pixels)
        tables.append(pd.read_csv(folder / "b.csv"))
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0], check_exact=True)
    control = tables[0][tables[0]["plan"] == CONTROL]
    assert control["index"].tolist() == [0, 4, 7, 11]  # evenly spaced over both classes
    assert len(tables[0]) == 4 + 4 + 4


@pytest.mark.parametrize(("step", "share"), [(0, 1.0), (1, 1.0), (2, 0.0)])
def test_one_grey_level_is_within_one_grey_level(tmp_path, pixels, step, share):
    samples = pixels[:4].copy()
    samples[:, 1, 2, 0] += step
    summary, rows = measured(tmp_path / "a", pixels, np.zeros(12), samples, np.arange(4))
    assert (rows["followed_grey"] == step).all()
    assert (summary["within_one_grey_level"] == share).all()
