"""Class folders packed as one zip archive: the same images, classes and split as in folders, and one line where it is
none."""

import re
import shutil
import zipfile

import numpy as np
import pytest
from data_examples import write_images

from twostage.data.datasets import load_dataset
from twostage.data.folders import list_images
from twostage.data.images import BadImage, read_image
from twostage.data.index import write_index
from twostage.estimate.images import count_images
from twostage.storage import VARIABLE

OPTIONS = {"image_size": 8, "held_out": 0.25, "seed": 1}


@pytest.fixture
def packed(tmp_path):
    """Class folders, with what systems leave among them, and the archive of them."""
    folder = tmp_path / "images"
    for number, name in enumerate(("ant 10", "ant 2", "bee")):
        write_images(folder / name, [(9, 12), (16, 8), (8, 8), (30, 20)], seed=number, suffix=".png")
    write_images(folder / "bee/more", [(10, 10)], seed=9, suffix=".png")
    write_images(folder / "__MACOSX/bee", [(10, 10)], suffix=".png")
    (folder / "bee/notes.txt").write_text("none")
    shutil.make_archive(folder, "zip", folder)
    return folder, tmp_path / "images.zip"


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_an_archive_is_read_as_the_folders_in_it(packed, split):
    folders, archive = (load_dataset("image_folder", split, path=str(path), **OPTIONS) for path in packed)
    assert archive.classes == folders.classes == ["ant 2", "ant 10", "bee"]
    assert archive.fingerprint == folders.fingerprint
    rows = np.arange(len(folders))
    assert np.array_equal(archive.labels, folders.labels)
    assert np.array_equal(archive.images(rows), folders.images(rows))
    assert np.array_equal(archive.contents, folders.contents)


def test_its_index_is_that_of_the_folders(packed, tmp_path):
    written = []
    for number, path in enumerate(packed):
        output = tmp_path / f"{number}.csv"
        _, said = write_index({"path": str(path)}, output)
        written.append((output.read_bytes(), said))
    assert written[0] == written[1]
    assert list_images(packed[1]).passed_over == list_images(packed[0]).passed_over
    assert list_images(packed[1]).deeper == 1


def test_an_archive_of_a_storage_is_read_from_its_copy(packed, monkeypatch):
    here = load_dataset("image_folder", "train", path=str(packed[1]), **OPTIONS)
    monkeypatch.setenv(VARIABLE, str(packed[1].parent))
    there = load_dataset("image_folder", "train", path="images.zip", **OPTIONS)
    assert np.array_equal(there.images(range(len(there))), here.images(range(len(here))))
    assert there.name_of(0).startswith("images.zip/ant 2/")  # as the configuration names it


def test_what_is_no_image_or_no_archive_is_said(packed, tmp_path):
    bad = tmp_path / "bad.zip"
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("ant/1.png", b"no image")
        link = zipfile.ZipInfo("ant/2.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/hostname")
    with pytest.raises(
        BadImage, match=re.escape(f"{bad}/ant/1.png: not a readable image (cannot identify image file)")
    ):
        read_image(f"{bad}/ant/1.png", 8)
    assert [path for path, _ in list_images(bad).files] == [f"{bad}/ant/1.png"]  # a link leads nowhere
    cut = tmp_path / "cut.zip"
    cut.write_bytes(packed[1].read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"cut\.zip: cannot list the class folders \(no whole zip archive"):
        load_dataset("image_folder", "train", path=str(cut), **OPTIONS)


def test_its_images_are_counted(packed):
    from types import SimpleNamespace

    data = SimpleNamespace(
        images=None, held_out_images=None, name="image_folder", path=str(packed[1]), held_out_path=None, held_out=0.25,
        unlabelled=False,
    )  # fmt: skip
    assert sum(count_images(SimpleNamespace(data=data)).values()) == 13
