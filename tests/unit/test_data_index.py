"""The index of class folders, the table of their pixels, and that results of different images are never combined."""

import csv
import os
import shutil

import numpy as np
import pytest
from data_examples import write_images
from PIL import Image

from twostage.data.__main__ import main
from twostage.data.datasets import load_dataset
from twostage.data.index import Index, refuse_other_index, write_index

OPTIONS = {"image_size": 16, "held_out": 0.25}


@pytest.fixture
def folder(tmp_path):
    """Two classes of eight PNGs."""
    for number, name in enumerate(("ant", "bee")):
        write_images(tmp_path / "images" / name, [(24, 24)] * 8, seed=number, suffix=".png")
    return tmp_path / "images"


@pytest.fixture
def copies(folder):
    """A copy of each in a third class, saved as another format, and one of the same bytes."""
    (folder / "cat").mkdir()
    for path in (folder / "ant").iterdir():
        Image.open(path).save(folder / "cat" / f"{path.stem}.bmp")
    shutil.copy(folder / "bee/000.png", folder / "bee/again.png")
    return folder


def run(command, folder, output, *words, size=16):
    text = f'{{"name": "image_folder", "path": "{folder}", "image_size": {size}, "min_side": null}}'
    return main([command, "--dataset", text, "--output", str(output), *map(str, words)])


def tables(folder, place, **options):
    """Both tables, in the folder ``place``; the index's path."""
    assert run("index", folder, place / "index.csv") == 0
    assert run("contents", folder, place / "contents.csv", "--index", place / "index.csv", **options) == 0
    return place / "index.csv"


def both(path, **options):
    return [load_dataset("image_folder", split, path=path, **OPTIONS, **options) for split in ("train", "held_out")]


def decoded(monkeypatch):
    """The files that are decoded from now on, by name."""
    from twostage.data import images

    seen, read = [], images.read_image

    def remember(path, *options):
        seen.append(os.path.basename(path))
        return read(path, *options)

    monkeypatch.setattr(images, "read_image", remember)
    return seen


def test_an_index_says_folder_path_size_digest_and_class_and_decodes_nothing(folder, tmp_path, monkeypatch):
    seen = decoded(monkeypatch)
    write_images(tmp_path / "val/ant", [(24, 24)])
    write_index({"path": folder, "held_out_path": tmp_path / "val"}, tmp_path / "index.csv")
    rows = list(csv.DictReader((tmp_path / "index.csv").open()))
    assert len(rows) == 17
    assert [rows[-1][key] for key in ("folder", "path", "class")] == ["held_out_path", "ant/000.jpg", "ant"]
    assert int(rows[0]["size"]) == (folder / "ant/000.png").stat().st_size
    assert len({row["digest"] for row in rows}) == 17
    assert not seen


def test_the_identity_is_the_content_not_the_place_nor_the_time(folder, tmp_path):
    first = tables(folder, tmp_path / "a")
    shutil.copytree(folder, tmp_path / "moved", copy_function=shutil.copyfile)
    for path in (tmp_path / "moved").rglob("*.png"):
        os.utime(path, (0, 0))
    assert Index(tables(tmp_path / "moved", tmp_path / "b")).identity == Index(first).identity
    # Same name, same size, other bytes: a bitmap has no compression.
    Image.new("RGB", (24, 24), "red").save(folder / "ant/new.bmp")
    red = Index(tables(folder, tmp_path / "c")).identity
    Image.new("RGB", (24, 24), "blue").save(folder / "ant/new.bmp")
    assert Index(tables(folder, tmp_path / "d")).identity != red
    (folder / "bee").rename(folder / "wasp")
    (folder / "ant/new.bmp").unlink()
    assert Index(tables(folder, tmp_path / "e")).identity != Index(first).identity


def test_an_index_of_unchanged_files_is_not_touched(folder, tmp_path):
    output = tables(folder, tmp_path / "data")
    before = output.stat(), output.read_bytes()
    assert run("index", folder, output) == 0
    assert (output.stat().st_mtime_ns, output.stat().st_ino) == (before[0].st_mtime_ns, before[0].st_ino)
    Image.new("RGB", (24, 24)).save(folder / "ant/000.png")
    assert run("index", folder, output) == 0
    assert output.read_bytes() != before[1]


def test_the_tables_give_what_reading_the_images_gives(copies, tmp_path, monkeypatch):
    direct = both(copies)
    index = tables(copies, tmp_path / "data")
    monkeypatch.setattr("twostage.data.images.read_image", None)  # nothing is read
    for plain, indexed in zip(direct, both(copies, index=index)):
        assert indexed.fingerprint == plain.fingerprint
        assert np.array_equal(indexed.contents, plain.contents)
        assert indexed.index == Index(index).identity
        assert plain.index is None


def test_copies_are_named_once_also_those_of_other_formats(copies, tmp_path, capsys):
    tables(copies, tmp_path)
    said = capsys.readouterr().err
    assert said.count("warning: ") == 1
    assert "9 of 25 images are copies of an earlier one, such as " in said
    assert "again.png" in said or ".bmp" in said


def test_files_of_the_same_bytes_and_known_ones_are_decoded_once(copies, tmp_path, monkeypatch):
    seen = decoded(monkeypatch)
    tables(copies, tmp_path)
    assert len(seen) == 24
    write_images(copies / "new", [(24, 24)] * 2, seed=7, suffix=".png")
    seen.clear()
    tables(copies, tmp_path)
    assert sorted(seen) == ["000.png", "001.png"]
    seen.clear()
    tables(copies, tmp_path, size=8)  # other pixels: all of them again
    assert len(seen) == 26


def test_without_the_table_of_pixels_or_with_another_crops(copies, tmp_path):
    run("index", copies, tmp_path / "index.csv")
    direct, indexed = both(copies), both(copies, index=tmp_path / "index.csv")
    assert np.array_equal(direct[0].contents, indexed[0].contents)
    tables(copies, tmp_path, size=8)
    with pytest.raises(
        ValueError, match=r"contents\.csv: no digests of pixels read as 16 x 16, min_side 16, over white"
    ):
        both(copies, index=tmp_path / "index.csv")


def test_what_is_passed_over_or_read_in_an_unexpected_way_is_said_in_a_line_per_kind(folder, tmp_path, capsys):
    exif = Image.Exif()
    exif[0x0112] = 6
    for number in range(3):
        Image.new("RGB", (24, 24), (number, 0, 0)).save(folder / f"ant/turned{number}.jpg", exif=exif)
        (folder / f"bee/notes{number}.txt").write_text("x")
    Image.new("RGBA", (24, 24)).save(folder / "bee/clear.png")
    Image.fromarray(np.zeros((24, 24), np.uint16)).save(folder / "bee/deep.png")
    (folder / "bee/bad.png").write_bytes(b"none")
    run("index", folder, tmp_path / "index.csv")
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert len(lines) == 5
    assert lines[0] == "warning: 3 skipped: a file of type .txt"
    for line, words in zip(
        lines[1:],
        (
            ("1 of 22 files cannot be read as images", "bad.png"),
            ("1 of 22 files may have transparent pixels", "clear.png"),
            ("1 of 22 files have 16-bit grey values: scaled to 8 bits", "deep.png"),
            ("3 of 22 files have an EXIF orientation: not applied", "turned0.jpg"),
        ),
    ):
        assert all(word in line for word in words), line


def test_an_index_of_other_files_is_refused(folder, tmp_path):
    index = tmp_path / "index.csv"
    for content in (None, "path,size,digest,mirrored\n", "folder,path,size,digest,class\npath,a,3\n"):
        if content is not None:
            index.write_text(content)
        with pytest.raises(ValueError, match=r"index\.csv: no index of images; expected the table"):
            both(folder, index=index)
    tables(folder, tmp_path)
    write_images(folder / "bee", [(30, 30)] * 9, suffix=".png")
    with pytest.raises(ValueError, match=r"bee/000\.png is new or has changed since .*index\.csv was written; bring"):
        both(folder, index=index)


def test_an_image_that_cannot_be_read_is_like_no_other_and_is_looked_at_again(folder, tmp_path):
    paths = [folder / "ant/001.png", folder / "bee/001.png"]
    whole = paths[0].read_bytes()
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * len(whole))
    index = tables(folder, tmp_path)
    load = lambda: load_dataset(  # noqa: E731
        "image_folder", "train", path=folder, image_size=16, held_out=0.0, index=index
    )
    assert len(np.unique(load().contents[:, 0])) == 16
    for path in paths:
        path.write_bytes(whole)
    assert len(np.unique(load().contents[:, 0])) == 15


def test_a_file_name_need_not_be_utf8(folder, tmp_path):
    (folder / "ant/000.png").rename(folder / "ant/caf\udce9.png")
    index = tables(folder, tmp_path)
    assert len(both(folder, index=index)[0]) == 12


def test_what_was_made_of_other_images_is_not_combined():
    refuse_other_index("a", None, "b", "1" * 32)
    refuse_other_index("a", "none", "b", "1" * 32)
    refuse_other_index("a", "1" * 32, "b", "1" * 32)
    with pytest.raises(ValueError, match=r"a was made from other images \(index 2{12}\) than b \(index 1{12}\): make"):
        refuse_other_index("a", "2" * 32, "b", "1" * 32)


def test_classes_of_one_image_are_named(folder, tmp_path, capsys):
    write_images(folder / "cat", [(24, 24)], seed=9)
    run("index", folder, tmp_path / "index.csv")
    said = capsys.readouterr().err
    assert "warning: 1 of 3 classes hold one image (such as cat): N = 1, so its weight is 1 and" in said


def test_a_store_says_its_classes_and_index_and_is_not_combined_with_another(folder, tmp_path):
    """Stores, their shards and statistics, models and samples: what an encoding of other images made is refused."""
    from twostage.data.encode import encode, join
    from twostage.data.encoders import Encoder
    from twostage.data.held_out import open_held_out
    from twostage.data.latents import LatentStore
    from twostage.model.identity import latents_of, refuse_other_model

    def encoded(place, **options):
        train, held_out = both(folder, index=tables(folder, place))
        encode(train, Encoder(), place / "train.h5", **options)
        encode(held_out, Encoder(), place / "held_out.h5", statistics=place / "train.h5")
        return LatentStore.open(place / "train.h5")

    (folder / "ant").rename(folder / "caf\udce9")  # no UTF-8
    store = encoded(tmp_path / "a")
    assert store.class_names == ["bee", "caf\\xe9"]
    assert store.index == Index(tmp_path / "a/index.csv").identity
    assert open_held_out(tmp_path / "a/held_out.h5", store).class_names == store.class_names
    write_images(folder / "bee", [(24, 24)] * 8, seed=5, suffix=".png")
    other = encoded(tmp_path / "b")
    with pytest.raises(ValueError, match=r"a/held_out\.h5 was made from other images \(index .*b/train\.h5"):
        open_held_out(tmp_path / "a/held_out.h5", other)
    with pytest.raises(ValueError, match=r"the images to encode was made from other images"):
        encode(both(folder, index=tmp_path / "b/index.csv")[1], Encoder(), tmp_path / "c.h5", statistics=store.path)
    sizes = {"input_size": 16, "in_channels": 3, "num_classes": 2}
    refuse_other_model("m", sizes, {"latents": latents_of(store)}, store)
    refuse_other_model("m", sizes, {"latents": {}}, other)
    with pytest.raises(ValueError, match=r"m: a model trained on other images \(index"):
        refuse_other_model("m", sizes, {"latents": latents_of(store)}, other)
    for number, place in enumerate("ab"):
        index = tmp_path / place / "index.csv"
        if place == "a":
            write_images(folder / "bee", [(24, 24)] * 8, seed=1, suffix=".png")
        else:
            write_images(folder / "bee", [(24, 24)] * 8, seed=5, suffix=".png")
        dataset = both(folder, index=index)[0]
        dataset.fingerprint = "same"
        encode(dataset, Encoder(), tmp_path / f"{number}.h5", shard=number, shards=2)
    with pytest.raises(ValueError, match=r"1\.h5 was made from other images .* than .*0\.h5"):
        join([tmp_path / "0.h5", tmp_path / "1.h5"], tmp_path / "joined.h5")


def test_a_store_of_an_earlier_version_is_read_and_not_made_again(folder, tmp_path):
    import h5py

    from twostage.data.encode import encode
    from twostage.data.encoders import Encoder
    from twostage.data.latents import LatentStore

    dataset = both(folder, index=tables(folder, tmp_path))[0]
    encode(dataset, Encoder(), tmp_path / "train.h5")
    fingerprint = LatentStore.open(tmp_path / "train.h5").fingerprint
    with h5py.File(tmp_path / "train.h5", "a") as file:
        del file["class_names"], file.attrs["index"]
    store = LatentStore.open(tmp_path / "train.h5")
    assert store.class_names == ["0", "1"]
    assert store.index is None
    assert store.fingerprint == fingerprint  # a training goes on with it
    assert not encode(dataset, Encoder(), tmp_path / "train.h5")


def test_a_training_of_an_earlier_version_is_the_same_and_one_of_other_images_is_not():
    from twostage.training.state import refuse_other, with_index

    ours = {"data": {"fingerprint": "a", "index": "1" * 32}}
    refuse_other(with_index({"data": {"fingerprint": "a"}}, ours), ours, "there")
    with pytest.raises(ValueError, match=r"data\.index is '2"):
        refuse_other(with_index({"data": {"fingerprint": "a", "index": "2" * 32}}, ours), ours, "there")


def test_samples_and_classifiers_of_other_images_are_refused(folder, tmp_path):
    import h5py

    from twostage.evaluation.classifier import index_of, train_classifier
    from twostage.evaluation.evaluate import evaluate_samples

    dataset = {"name": "image_folder", "path": str(folder), "image_size": 16, "held_out": 0.25}
    dataset["index"] = str(tables(folder, tmp_path))
    train_classifier(dataset, tmp_path, steps=2, width=2)
    classifier = tmp_path / "classifier.safetensors"
    assert index_of(classifier) == Index(dataset["index"]).identity

    def evaluated(index):
        with h5py.File(tmp_path / "shard.h5", "w") as file:
            file["images"] = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
            file["labels"], file["seed"], file["index"] = np.zeros(12, int), np.zeros(12, int), np.arange(12)
            plan = '{"parts": [{"field": "oracle"}]}'
            file.attrs.update(samples=12, seeds=[0], plan=plan, weights="{}", index=index)
        evaluate_samples(dataset, {"p": [tmp_path / "shard.h5"]}, tmp_path / "e.csv", classifier=str(classifier))

    with pytest.raises(
        ValueError, match=r"samples of plan p was made from other images \(index 2{12}\) than the data set"
    ):
        evaluated("2" * 32)
    write_images(folder / "bee", [(24, 24)] * 8, seed=5, suffix=".png")
    dataset["index"] = str(tables(folder, tmp_path))
    with pytest.raises(ValueError, match=r"classifier\.safetensors was made from other images"):
        evaluated("unknown")


def test_a_single_class_has_features_of_quarter_turns(tmp_path):
    from twostage.evaluation.classifier import load_classifier, train_classifier

    for number in range(40):
        grey = np.tile(np.linspace(0, 255, 16), (16, 1)) * (0.5 + number / 80)
        write_images(tmp_path / "images/all", [])
        Image.fromarray(grey.astype(np.uint8)).save(tmp_path / f"images/all/{number}.png")
    dataset = {"name": "image_folder", "path": str(tmp_path / "images"), "image_size": 16, "held_out": 0.25}
    found = train_classifier(dataset, tmp_path, steps=60, width=4, batch_size=32)
    assert found["task"] == "quarter turns"
    assert found["test_accuracy"] > 0.9
    assert load_classifier(tmp_path / "classifier.safetensors").architecture["num_classes"] == 4
