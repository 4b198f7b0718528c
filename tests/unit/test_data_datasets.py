"""Data sets: splits, class folders, odd images, and ADM's centre crop."""

import shutil

import numpy as np
import pytest
from data_examples import write_images
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from twostage.data.datasets import load_dataset, split_rows
from twostage.data.images import BadImage, centre_crop, read_image

# -------------------------------------------------------------------------------------------------------------- splits


@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=60),
    held_out=st.floats(0, 0.9),
    seed=st.integers(0, 2**32),
)
def test_a_split_partitions_and_keeps_each_class(labels, held_out, seed):
    labels = np.array(labels)
    train, held = (split_rows(labels, split, held_out, seed) for split in ("train", "held_out"))
    assert sorted([*train, *held]) == list(range(len(labels)))
    for label in np.unique(labels):
        count = (labels == label).sum()
        taken = (labels[held] == label).sum()
        assert taken < count  # something is left to train on
        assert taken == min(max(round(count * held_out), held_out > 0), count - 1)


def test_a_split_depends_on_the_seed_and_on_its_own_class_only():
    labels = np.repeat([0, 1], 50)
    held = split_rows(labels, "held_out", 0.2, 0)
    assert np.array_equal(held, split_rows(labels, "held_out", 0.2, 0))
    assert not np.array_equal(held, split_rows(labels, "held_out", 0.2, 1))
    longer = split_rows(np.r_[labels, [1, 1, 1]], "held_out", 0.2, 0)
    assert np.array_equal(held[held < 50], longer[longer < 50])


def test_digits():
    train, held_out = (
        load_dataset("digits", split, held_out=0.2, seed=0, image_size=8) for split in ("train", "held_out")
    )
    assert len(train) + len(held_out) == 1797
    assert train.image_shape == (8, 8, 1)
    assert train.classes == list("0123456789")
    assert abs(len(held_out) - 0.2 * 1797) <= 5
    images = train.images([5, 0])
    assert images.dtype == np.uint8
    assert images.shape == (2, 8, 8, 1)
    assert set(np.unique(train.pixels)) == {round(value * 255 / 16) for value in range(17)}
    assert len({train.fingerprint, held_out.fingerprint, load_dataset("digits", "train", seed=1).fingerprint}) == 3
    assert load_dataset("digits", "train").fingerprint == train.fingerprint


@pytest.mark.parametrize(
    ("name", "split", "options", "why"),
    [
        ("digit", "train", {}, "data set is 'digit'; expected one of digits, image_folder, cifar10"),
        ("digits", "test", {}, "split is 'test'; expected one of train, held_out"),
        ("digits", "train", {"heldout": 0.1}, "unknown data set option 'heldout'"),
        ("digits", "train", {"image_size": 16}, "image_size is 16, of digits; expected 8, the side of its images"),
        ("digits", "train", {"held_out": 1.5}, "held_out is 1.5"),
        ("digits", "held_out", {"held_out": 0.0}, "the held_out split of digits is empty"),
        ("cifar10", "train", {}, "cifar10 needs `path`"),
        (
            "cifar10",
            "train",
            {"path": "/nowhere", "image_size": 64},
            "image_size is 64, of cifar10; expected at most 32",
        ),
        ("cifar10", "train", {"path": "/nowhere"}, "/nowhere/cifar-10-batches-py: CIFAR-10's files are absent"),
        ("image_folder", "train", {}, "image_folder needs `path`"),
        ("image_folder", "train", {"path": "/nowhere"}, "/nowhere: cannot list the class folders"),
    ],
)
def test_what_cannot_be_loaded_is_refused(name, split, options, why):
    with pytest.raises(ValueError, match=why):
        load_dataset(name, split, **options)


# ------------------------------------------------------------------------------------------------------- class folders


@pytest.fixture
def folder(tmp_path):
    """Three classes of 4, 3 and 2 JPEGs of odd sizes, larger than 16 pixels."""
    for name, sizes in {
        "ant": [(17, 40), (64, 16), (33, 33), (100, 50)],
        "bee": [(20, 20)] * 3,
        "cat": [(16, 90)] * 2,
    }.items():
        write_images(tmp_path / "images" / name, sizes)
    return tmp_path / "images"


def test_class_folders_become_labels(folder):
    train, held_out = (
        load_dataset("image_folder", split, path=folder, held_out=0.3, image_size=16) for split in ("train", "held_out")
    )
    assert train.classes == held_out.classes == ["ant", "bee", "cat"]
    assert list(np.bincount(train.labels)) == [3, 2, 1]
    assert list(np.bincount(held_out.labels)) == [1, 1, 1]
    assert train.images(range(len(train))).shape == (6, 16, 16, 3)
    assert not set(train.paths) & set(held_out.paths)


def test_an_own_folder_of_held_out_images_leaves_every_image_to_training(folder, tmp_path):
    for name in ("ant", "bee", "cat"):
        write_images(tmp_path / "val" / name, [(30, 30)])
    options = {"path": folder, "held_out_path": tmp_path / "val", "image_size": 16}
    assert len(load_dataset("image_folder", "train", **options)) == 9
    assert len(load_dataset("image_folder", "held_out", **options)) == 3
    shutil.rmtree(tmp_path / "val" / "bee")
    with pytest.raises(ValueError, match="class folder 'bee' is not in both"):
        load_dataset("image_folder", "held_out", **options)


def test_the_fingerprint_follows_files_and_preprocessing_but_not_the_place(folder, tmp_path):
    def load(path=folder, image_size=16):
        return load_dataset("image_folder", "train", path=path, image_size=image_size).fingerprint

    first = load()
    shutil.copytree(folder, tmp_path / "copy")
    assert load(tmp_path / "copy") == first
    assert load(image_size=8) != first
    write_images(tmp_path / "copy" / "bee", [(20, 20)] * 4)
    assert load(tmp_path / "copy") != first


def test_empty_class_folders_are_named(folder):
    (folder / "dog").mkdir()
    with pytest.raises(ValueError, match="dog: an empty class folder"):
        load_dataset("image_folder", "train", path=folder)


def test_a_folder_without_classes_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match="no class folders; put the images into one folder per class; one folder is one class"
    ):
        load_dataset("image_folder", "train", path=tmp_path)


def test_unusable_images_are_named_and_can_be_passed_over(folder):
    paths = [folder / "ant" / "001.jpg", folder / "bee" / "000.jpg", folder / "cat" / "001.jpg"]
    paths[0].write_bytes(paths[0].read_bytes()[:400])
    paths[1].write_text("no image")
    write_images(folder / "cat", [(90, 90), (15, 90)])
    dataset = load_dataset("image_folder", "train", path=folder, held_out=0.0, image_size=16)
    images, kept, problems = dataset.readable_images(np.arange(9))
    assert list(kept) == [0, 2, 3, 5, 6, 7]
    assert np.array_equal(images, dataset.images(kept))
    assert [problem.path for problem in problems] == [str(path) for path in paths]
    with pytest.raises(BadImage, match=r"bee/000\.jpg: not a readable image"):
        dataset.images([0, 4])
    with pytest.raises(BadImage, match=r"cat/001\.jpg: 15 x 90 pixels, smaller than the crop of 16"):
        dataset.images([8])
    assert load_dataset("image_folder", "train", path=folder, held_out=0.0, image_size=16, min_side=1).images([8]).any()


# ------------------------------------------------------------------------------------------------------------- ADM crop


def _adm_center_crop(pil_image, image_size):
    """guided-diffusion's ``center_crop_arr``, word for word."""
    while min(*pil_image.size) >= 2 * image_size:
        pil_image = pil_image.resize(tuple(x // 2 for x in pil_image.size), resample=Image.BOX)
    scale = image_size / min(*pil_image.size)
    pil_image = pil_image.resize(tuple(round(x * scale) for x in pil_image.size), resample=Image.BICUBIC)
    arr = np.array(pil_image)
    crop_y = (arr.shape[0] - image_size) // 2
    crop_x = (arr.shape[1] - image_size) // 2
    return arr[crop_y : crop_y + image_size, crop_x : crop_x + image_size]


@pytest.mark.parametrize(
    "size", [(16, 16), (17, 16), (64, 64), (500, 375), (33, 211), (31, 32), (1, 1), (1, 40), (7, 300), (15, 16)]
)
def test_the_crop_is_adms(size):
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    assert np.array_equal(centre_crop(image, 16), _adm_center_crop(image, 16))


def test_a_long_thin_image_is_refused_before_it_fills_the_memory(tmp_path):
    Image.fromarray(np.zeros((1, 20_000, 3), dtype=np.uint8)).save(tmp_path / "thin.png")
    with pytest.raises(BadImage, match=r"thin\.png: 20000 x 1 pixels, too long and thin"):
        read_image(tmp_path / "thin.png", 256)
    assert read_image(tmp_path / "thin.png", 16).shape == (16, 16, 3)


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "RGBA", "LA", "I;16"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    image = Image.fromarray(np.tile(np.arange(0, 240, 10, dtype=np.uint8), (24, 1)))
    path = tmp_path / ("image.jpg" if mode == "CMYK" else "image.png")
    (Image.fromarray(np.zeros((24, 24), np.uint16)) if mode == "I;16" else image.convert(mode)).save(path)
    assert read_image(path, 8).shape == (8, 8, 3)


def test_an_exif_orientation_is_not_applied_as_in_adm(tmp_path):
    image = Image.fromarray(np.tile(np.arange(0, 240, 10, dtype=np.uint8), (24, 1)))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    image.save(tmp_path / "plain.png")
    assert np.array_equal(read_image(tmp_path / "turned.png", 24), read_image(tmp_path / "plain.png", 24))


def test_a_network_is_trained_without_the_images_that_may_be_left_out(folder):
    (folder / "ant" / "000.jpg").write_bytes(b"no image")
    strict, lenient = (
        load_dataset("image_folder", "train", path=folder, held_out=0.0, image_size=8, min_side=1, max_corrupt=share)
        for share in (0.0, 0.5)
    )
    with pytest.raises(BadImage, match=r"ant/000.jpg: not a readable image"):
        strict.usable_images([0, 1])
    images, kept = lenient.usable_images([0, 1])
    assert kept.tolist() == [1]
    assert np.array_equal(images, lenient.images([1]))
    with pytest.raises(BadImage, match=r"ant/000.jpg"):
        lenient.usable_images([0])
