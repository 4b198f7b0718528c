"""What people have in their folders of images: left-overs of systems, odd formats, splits, no classes."""

import io
import os
import sys

import numpy as np
import pytest
from data_examples import write_images
from PIL import Image

from twostage.data.datasets import load_dataset
from twostage.data.folders import describe_passed_over, list_images, look_alike, natural, refuse_single_images
from twostage.data.images import BadImage, peculiarities, read_image

RAMP = np.linspace(0, 65535, 576).reshape(24, 24).astype(np.uint16)


@pytest.fixture
def folder(tmp_path):
    """Two classes of eight PNGs."""
    for number, name in enumerate(("ant", "bee")):
        write_images(tmp_path / "images" / name, [(24, 24)] * 8, seed=number, suffix=".png")
    return tmp_path / "images"


# ------------------------------------------------------------------------------------------------------------- listing


def test_left_overs_of_systems_are_passed_over_and_counted(folder):
    for name in ("@eaDir/ant", "__MACOSX/ant", "lost+found", ".ipynb_checkpoints", "ant/thumb.jpg", "bee/@eaDir"):
        (folder / name).mkdir(parents=True)
        (folder / name / "x.png").write_bytes(b"none")
    for name in ("Thumbs.db", "loose.png", "ant/._000.png", "ant/list.txt", "bee/list.txt", "bee/README"):
        (folder / name).write_bytes(b"none")
    (folder / "ant/gone.png").symlink_to("nowhere.png")
    (folder / "ant/circle.png").symlink_to("circle.png")
    (folder / "circle").symlink_to("circle")
    os.mkfifo(folder / "bee/pipe.png")
    listing = list_images(folder)
    assert listing.classes == ["ant", "bee"]
    assert len(listing.files) == 16
    assert describe_passed_over(listing) == [
        "2 skipped: a broken link",
        "1 skipped: a file of type .db",
        "2 skipped: a file of type .txt",
        "2 skipped: a file without a type",
        "1 skipped: a folder named like an image",
        "5 skipped: a folder of a system or an archive",
        "1 skipped: a hidden file",
        "1 skipped: a pipe, socket or device",
        "1 skipped: an image beside the class folders",
    ]


def test_class_folders_that_look_alike_are_told():
    assert look_alike(["ant", "bee", "café", "蟻"]) == []
    for other in ("Ant", "ant ", "ａnt"):
        (line,) = look_alike(["ant", other])
        assert line.startswith(f"the class folders 'ant' and {other!a} count as two classes; their names differ")
    assert "'caf\\xe9' and 'cafe\\u0301'" in look_alike(["caf\xe9", "cafe\u0301"])[0]


def test_a_class_folder_that_cannot_be_listed_is_named(folder, monkeypatch):
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("bee"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)  # root may list everything
    with pytest.raises(ValueError, match=r"bee: cannot list the images \(Permission denied\)"):
        list_images(folder)


def test_images_below_a_class_folder_count_to_it(tmp_path):
    for name in ("n01443537", "n01629819"):
        write_images(tmp_path / "train" / name / "images", [(24, 24)] * 3)
    listing = list_images(tmp_path / "train")
    assert listing.labels.tolist() == [0, 0, 0, 1, 1, 1]
    (line,) = describe_passed_over(listing)
    assert line == "6 images lie in folders below their class folder: they belong to that class"


@pytest.mark.parametrize("name", ["scan.tif", "web.jfif", "anim.gif", "photo.JPE", "picture.TIFF"])
def test_what_pillow_reads_is_read_whatever_its_suffix(folder, name):
    kind = {"jfif": "JPEG", "JPE": "JPEG", "tif": "TIFF"}.get(name.split(".")[1])
    Image.new("RGB", (24, 24), "red").save(folder / "ant" / name, format=kind)
    assert len(list_images(folder).files) == 17
    assert np.allclose(read_image(folder / "ant" / name, 16), (255, 0, 0), atol=2)


def test_class_folders_are_in_natural_order(tmp_path):
    for name in range(12):
        write_images(tmp_path / str(name), [(4, 4)] * 2)
    assert list_images(tmp_path).classes == [str(name) for name in range(12)]
    assert sorted(["b10", "b9", "a", "b09", "10", "9", "B"], key=natural) == ["9", "10", "B", "a", "b09", "b9", "b10"]


def test_a_flat_folder_is_refused_with_the_way_out(tmp_path):
    write_images(tmp_path, [(8, 8)] * 12)
    way_out = "12 images, but no class folders; put the images into one folder per class; one folder is one class"
    with pytest.raises(ValueError, match=way_out):
        list_images(tmp_path)


@pytest.mark.parametrize("splits", [("train", "val"), ("Train",), ("test", "train", "valid")])
def test_folders_that_are_splits_are_no_classes(tmp_path, splits):
    for split in splits:
        write_images(tmp_path / split / "ant", [(8, 8)] * 2)
    with pytest.raises(
        ValueError, match=rf"its folders are splits \({', '.join(splits)}\), not classes; set data\.path"
    ):
        list_images(tmp_path)


def test_a_class_may_be_called_train(tmp_path):
    write_images(tmp_path / "train", [(8, 8)] * 2)
    assert list_images(tmp_path).classes == ["train"]


def test_one_image_in_every_class_is_refused_and_one_in_some_is_not(tmp_path):
    for name in "abc":
        write_images(tmp_path / name, [(8, 8)])
    with pytest.raises(ValueError, match="one image in each of its 3 classes; expected at least two in one of them"):
        refuse_single_images(tmp_path)
    with pytest.raises(ValueError, match="one image in each of its 3 classes"):
        load_dataset("image_folder", "train", path=tmp_path, image_size=8)
    write_images(tmp_path / "b", [(8, 8)] * 3)
    refuse_single_images(tmp_path)
    train, held_out = (
        load_dataset("image_folder", split, path=tmp_path, image_size=8) for split in ("train", "held_out")
    )
    assert np.bincount(train.labels).tolist() == [1, 2, 1]
    assert len(held_out) == 1


# ------------------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_grey_is_scaled(tmp_path, suffix):
    path = tmp_path / f"grey{suffix}"
    Image.fromarray(RAMP).save(path)
    found = read_image(path, 24)
    assert np.array_equal(found, np.repeat(np.round(RAMP / 257).astype(np.uint8)[..., None], 3, axis=2))
    assert peculiarities(path) == ["16-bit"]


def test_values_without_a_scale_are_refused(tmp_path):
    Image.fromarray(RAMP.astype(np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(
        BadImage, match=r"float\.tif: not a readable image \(32 bits per pixel, whose scale is not known"
    ):
        read_image(tmp_path / "float.tif", 24)


@pytest.mark.parametrize(("background", "shown"), [("white", 255), ("#204060", (32, 64, 96))])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "key", "16-bit key"])
def test_transparency_is_laid_over_the_background(tmp_path, mode, background, shown):
    alpha = np.zeros((24, 24), np.uint8)
    alpha[6:18, 6:18] = 255
    pixels = np.where(alpha[..., None] > 0, 80, 30).astype(np.uint8).repeat(3, axis=2)
    image = Image.fromarray(np.dstack([pixels, alpha]), "RGBA")
    if mode == "key":
        Image.fromarray(pixels).save(tmp_path / "a.png", transparency=(30, 30, 30))
    elif mode == "16-bit key":
        Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(tmp_path / "a.png", transparency=30 * 257)
    else:
        image.convert(mode).save(tmp_path / "a.png", **({"transparency": 0} if mode == "P" else {}))
    found = read_image(tmp_path / "a.png", 24, background=background)
    if mode != "P":  # the palette's entry 0 is whatever Pillow made it
        assert (found[6:18, 6:18] == 80).all()
        assert (found[0, :] == shown).all()
        assert (found[:6] == found[0, 0]).all()
    assert "transparent" in peculiarities(tmp_path / "a.png")


def test_an_opaque_alpha_channel_changes_nothing(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    Image.fromarray(np.dstack([pixels, np.full((24, 24), 255, np.uint8)])).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png", 24), pixels)


def test_only_formats_that_are_meant_are_tried(tmp_path, monkeypatch):
    """An EPS would start Ghostscript."""
    started = []
    monkeypatch.setattr("subprocess.check_call", lambda *words, **_: started.append(words))
    (tmp_path / "a.jpg").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EndComments\nshowpage\n%%EOF\n" + bytes(100)
    )
    image = Image.new("RGB", (24, 24))
    for name in ("PPM", "ICO", "TGA", "PCX"):
        image.save(tmp_path / f"{name}.jpg", format=name)
    for path in tmp_path.iterdir():
        with pytest.raises(BadImage, match=r"\.jpg: not a readable image \(cannot identify image file\)"):
            read_image(path, 16)
    assert not started


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_damaged_file_is_a_bad_image_whatever_its_decoder_raises(tmp_path):
    """Every format, cut and overwritten in many places: an image or a BadImage, never another error."""
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8))
    bad = 0
    for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"):
        whole = io.BytesIO()
        image.save(whole, kind)
        for _ in range(60):
            damaged = bytearray(whole.getvalue())
            for place in rng.integers(0, min(len(damaged), 200), 4):
                damaged[place] = rng.integers(256)
            (tmp_path / "a.png").write_bytes(damaged[: rng.integers(10, len(damaged) + 1)])
            peculiarities(tmp_path / "a.png")
            try:
                assert read_image(tmp_path / "a.png", 16).shape == (16, 16, 3)
            except BadImage:
                bad += 1
    assert bad > 200


def test_an_error_that_decoders_do_not_promise_is_a_bad_image(tmp_path, monkeypatch):
    Image.new("RGB", (24, 24)).save(tmp_path / "a.png")

    def fail(*_, **__):
        raise IndexError("index out of range")

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(BadImage, match=r"a\.png: not a readable image \(index out of range\)"):
        read_image(tmp_path / "a.png", 16)


def test_a_rotation_is_known_from_the_header(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (24, 24)).save(tmp_path / "a.jpg", exif=exif)
    assert peculiarities(tmp_path / "a.jpg") == ["rotated"]
    (tmp_path / "a.jpg").write_bytes(b"none")
    assert peculiarities(tmp_path / "a.jpg") == ["unreadable"]


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux")
def test_a_name_that_is_not_utf8_is_listed_and_named(folder):
    os.rename(os.fsencode(folder / "ant/000.png"), os.fsencode(folder / "ant") + b"/caf\xe9.png")
    paths = [path for path, _ in list_images(folder).files]
    assert read_image(paths[7], 16).shape == (16, 16, 3)
