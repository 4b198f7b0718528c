"""Images and latents whose height is not their width, from the crop to a trained model."""

import json

import numpy as np
import pytest
import torch
from data_examples import random_dataset, write_random_store
from PIL import Image
from test_config import with_value
from test_config_mistakes import FOLDERS, lines_of
from training_examples import ARCHITECTURE, RECIPE

from twostage.config import check_places, load
from twostage.data.datasets import load_dataset
from twostage.data.encode import encode
from twostage.data.encoders import Encoder
from twostage.data.images import BadImage, Reader, centre_crop, read_image
from twostage.data.interchange import export_lightningdit, export_repa, import_lightningdit, import_repa, imported_shape
from twostage.data.latents import LatentStore
from twostage.estimate.setting import Setting
from twostage.evaluation.classifier import train_classifier
from twostage.model.checkpoints import read_header
from twostage.report.figures.pictures import squared, tile_side
from twostage.training.loop import train

# ---------------------------------------------------------------------------------------------------------------- crop


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("shape", "kept"), [((40, 12), np.s_[16:24, :]), ((8, 51), np.s_[:, 19:31]), ((8, 12), np.s_[:, :])]
)
def test_the_longer_side_is_cut_in_the_middle(shape, kept):
    pixels = picture(*shape)  # one side has the crop's length, so nothing is scaled
    assert np.array_equal(centre_crop(Image.fromarray(pixels), (8, 12)), pixels[kept])


def test_large_images_are_halved_first_as_square_ones_are():
    pixels = picture(16, 24)
    box = Image.fromarray(pixels).resize((12, 8), resample=Image.Resampling.BOX)
    assert np.array_equal(centre_crop(Image.fromarray(pixels), (8, 12)), np.asarray(box))


@pytest.mark.parametrize("shape", [(9, 9), (100, 31), (31, 100), (15, 25), (8, 200)])
@pytest.mark.parametrize("size", [(8, 12), (12, 8), (5, 30)])
def test_every_image_covers_the_crop(shape, size):
    assert centre_crop(Image.fromarray(picture(*shape)), size).shape == (*size, 3)


def test_an_image_that_is_too_small_on_one_side_is_refused(tmp_path):
    Image.fromarray(picture(8, 11)).save(tmp_path / "a.png")
    with pytest.raises(
        BadImage, match=r"a.png: 11 x 8 pixels, smaller than the crop of 8 \(high\) x 12; .*min_side to 8"
    ):
        read_image(tmp_path / "a.png", (8, 12), (8, 12))
    assert read_image(tmp_path / "a.png", (8, 12), 8).shape == (8, 12, 3)
    assert str(Reader([8, 12], [8, 12])) == "8 x 12, min_side 8 x 12, over white"
    assert str(Reader(8, 8)) == "8 x 8, min_side 8, over white"
    Image.fromarray(picture(1, 20000)).save(tmp_path / "thin.png")
    with pytest.raises(BadImage, match="too long and thin to be enlarged to 128 x 256"):
        read_image(tmp_path / "thin.png", (128, 256))


def test_one_size_has_one_spelling(tmp_path):
    for number in range(3):
        (tmp_path / "a").mkdir(exist_ok=True)
        Image.fromarray(picture(9, 13, number)).save(tmp_path / f"a/{number}.png")
    load_as = lambda size: load_dataset("image_folder", "train", path=tmp_path, image_size=size, held_out=0.0)  # noqa: E731
    assert load_as([8, 8]).fingerprint == load_as(8).fingerprint
    assert load_as([8, 12]).fingerprint != load_as([8, 8]).fingerprint
    assert load_as([8, 12]).images([0]).shape == (1, 8, 12, 3)


# ------------------------------------------------------------------------------------------------------ stores, latents


def test_a_store_says_both_sides_and_is_there_when_encoded_again(tmp_path):
    dataset = random_dataset(shape=(4, 6, 3))
    assert encode(dataset, Encoder(), tmp_path / "latents.h5")
    store = LatentStore.open(tmp_path / "latents.h5")
    assert store.shape[1:] == (3, 4, 6)
    assert store.attributes["image_size"] == "4 x 6"
    assert not encode(dataset, Encoder(), tmp_path / "latents.h5")


def test_latents_of_other_projects_keep_their_sides(tmp_path):
    write_random_store(tmp_path / "ours.h5", shape=(2, 3, 5), flips=True)
    store = LatentStore.open(tmp_path / "ours.h5")
    for form, export, restore in (
        ("lightningdit", export_lightningdit, import_lightningdit), ("repa", export_repa, import_repa),
    ):  # fmt: skip
        export(store, tmp_path / form)
        assert tuple(imported_shape(form, tmp_path / form)) == (2, 3, 5)
        restore(tmp_path / form, tmp_path / f"{form}.h5")
        back = LatentStore.open(tmp_path / f"{form}.h5")
        assert torch.equal(back.read(slice(None), normalised=False), store.read(slice(None), normalised=False))


# ----------------------------------------------------------------------------------------------------- networks, models


def test_a_model_has_the_sides_of_its_store(tmp_path):
    labels = np.repeat([0, 1], 16)
    write_random_store(tmp_path / "latents.h5", labels, shape=(2, 2, 4), classes=2)
    recipe = RECIPE | {"steps": 2, "snapshots": [2], "batch_size": 4}
    assert train(tmp_path / "latents.h5", ARCHITECTURE, recipe, tmp_path / "out", seed=0)
    (snapshot,) = (tmp_path / "out").glob("step-*.safetensors")
    assert read_header(snapshot)[0]["input_size"] == [2, 4]
    assert train(tmp_path / "latents.h5", ARCHITECTURE, recipe, tmp_path / "out", seed=0)


def test_a_single_class_has_features_of_half_turns(tmp_path):
    (tmp_path / "images/all").mkdir(parents=True)
    for number in range(40):
        grey = np.tile(np.linspace(0, 255, 12), (8, 1)) * (0.5 + number / 80)
        Image.fromarray(grey.astype(np.uint8)).save(tmp_path / f"images/all/{number}.png")
    dataset = {"name": "image_folder", "path": str(tmp_path / "images"), "image_size": [8, 12], "held_out": 0.25}
    found = train_classifier(dataset, tmp_path, steps=40, width=4, batch_size=32)
    assert found["task"] == "half turns"
    assert found["test_accuracy"] > 0.9
    said = json.loads((tmp_path / "accuracy.json").read_text())
    assert said["task"] == "half turns"


def test_pictures_keep_their_proportions_in_square_tiles():
    images = np.stack([picture(3, 6, seed) for seed in range(4)]).reshape(2, 2, 3, 6, 3)
    found = squared(images)
    assert found.shape == (2, 2, 6, 6, 3)
    assert np.array_equal(found[:, :, 1:4], images)
    assert (np.delete(found, [1, 2, 3], axis=2) == 255).all()
    assert np.array_equal(squared(images[..., :3, :]), images[..., :3, :])
    assert tile_side(np.zeros((64, 96, 3))) == tile_side(np.zeros((96, 96, 3)))


# ------------------------------------------------------------------------------------------------------- configuration


def of_folder(size, **space):
    raw = with_value("spaces", {"vae": {"encoder": {"kind": "kl"}, **space}})
    return raw | {
        "data": {**FOLDERS, "path": "images", "image_size": size, "images": 9, "held_out_images": 3},
        "experiments": {},
    }


def test_both_sides_are_checked_against_encoder_and_patches():
    config = load(of_folder([8, 12], patch_size=2))
    assert Setting(config, {}).image_shape == (8, 12, 3)
    assert load(of_folder([8, 8])).data.image_size == 8
    (line,) = lines_of(load, of_folder([8, 11]))
    assert line == (
        "data.image_size is [8, 11]; expected multiples of 2, by which spaces.vae.encoder (kl) reduces the side"
    )
    (line,) = lines_of(load, of_folder([8, 12], patch_size=4))
    assert line.startswith(
        "spaces.vae.patch_size is 4; expected a divisor of the latents' sides 4 x 6 (image_size [8, 12]"
    )
    assert line.endswith(": 1, 2")
    (line,) = lines_of(load, of_folder([8]))
    assert line.startswith("data.image_size is [8]; expected")
    (line,) = lines_of(load, with_value("data.image_size", [8, 12]))
    assert line.startswith("data.image_size is [8, 12], data.name digits; expected 8, the side of its images")


def test_plain_latents_have_the_images_proportions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("labels.npy", np.zeros(5, int))
    encoder = {"kind": "none", "latents": {"format": "npy", "path": "z.npy"}}
    raw = with_value("spaces", {"mine": {"encoder": encoder, "patch_size": 2}})
    raw |= {"data": {"name": "none", "image_size": [64, 96]}, "experiments": {}}
    np.save("z.npy", np.zeros((5, 3, 4, 6), np.float32))
    check_places(load(raw))
    assert Setting(load(raw), {}).latent_shape("mine") == (3, 4, 6)
    np.save("z.npy", np.zeros((5, 3, 4, 4), np.float32))
    (line,) = lines_of(check_places, load(raw))
    assert line.endswith(
        "expected (N, C, H, W), H and W as 64 x 96, data.image_size: where the channels stand last, move them"
    )
    np.save("z.npy", np.zeros((5, 3, 2, 3), np.float32))
    (line,) = lines_of(check_places, load(raw))
    assert line.startswith("spaces.mine.patch_size is 2; expected a divisor of the latents' sides 2 x 3 (z.npy")
