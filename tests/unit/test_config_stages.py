"""Images too few for stages are known by their number, and refused exactly where the measured split would be."""

import json

import numpy as np
import pytest
from data_examples import write_images
from test_config import DEFAULT
from test_config_mistakes import FOLDERS, lines_of
from training_examples import write_latents

from twostage.config import load
from twostage.config.stages import MANY, refuse_without_stages
from twostage.data.datasets import load_dataset
from twostage.oracle.study import measure_posterior
from twostage.split import measured_split


def configured(folder, **data):
    spaces = {"pixel": DEFAULT["spaces"]["pixel"]}
    return load(DEFAULT | {"data": FOLDERS | {"path": str(folder)} | data, "spaces": spaces, "experiments": {}})


def fill(folder, counts):
    for label, count in enumerate(counts):
        write_images(folder / f"class{label:02d}", [(8, 8)] * count, seed=label)


def refused(config, spaces=("pixel",)):
    try:
        return lines_of(refuse_without_stages, config, spaces)
    except pytest.fail.Exception:
        return []


@pytest.mark.parametrize("counts", [(2, 2), (1, 3), (1, 1, 9), (1, 3, 3), (1, 3, 4, 4), (3, 3), (1, MANY, MANY)])
def test_it_is_refused_where_the_measured_split_is_none(counts, tmp_path):
    write_latents(tmp_path / "latents.h5", counts)
    measure_posterior(
        tmp_path / "latents.h5", tmp_path, times=np.linspace(0, 1, 11), pairs_per_class=4, pairs_unconditional=0,
        seed=0, bootstrap=2,
    )  # fmt: skip
    fill(tmp_path / "images", counts)
    fill(tmp_path / "held_out", counts)
    lines = refused(configured(tmp_path / "images", held_out_path=str(tmp_path / "held_out")))
    assert bool(lines) == (json.loads((tmp_path / "transition.json").read_text())["split"] == 0)
    if lines:
        assert f"at t = 0 each has {np.mean(1 / np.array(counts)):.0%} of the posterior weight as a mean" in lines[0]
        with pytest.raises(ValueError, match="the stage split is 0"):
            measured_split(tmp_path / "transition.json")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("count", [2, 3, 4, 6, 12, MANY])
def test_images_that_are_held_out_do_not_count_and_mirrored_ones_do(share, count, tmp_path):
    fill(tmp_path / "images", (count, count))
    images = load_dataset("image_folder", "train", path=tmp_path / "images", image_size=8, held_out=share)
    train = len(images) // 2
    for flips in (False, True):
        config = configured(tmp_path / "images", held_out=share, flips=flips)
        assert bool(refused(config)) == (train * (1 + flips) <= 2 and count < MANY)


def test_images_without_classes_are_one_class(tmp_path):
    fill(tmp_path / "images", (1, 1))
    (line,) = refused(configured(tmp_path / "images", classes="none"))
    assert "at t = 0 each has 100% of the posterior weight, so that there are no stages" in line
    fill(tmp_path / "images", (3, 3))
    assert not refused(configured(tmp_path / "images", classes="none"))


def test_nothing_is_asked_of_imported_latents_or_where_no_job_needs_the_split(tmp_path):
    fill(tmp_path / "images", (1, 2))
    config = configured(tmp_path / "images")
    assert refused(config)
    assert not refused(config, ())
