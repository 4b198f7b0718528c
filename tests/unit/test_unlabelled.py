"""Images and latents without classes: one class in every store, and nothing that needs classes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from data_examples import write_images, write_random_store
from report_results import transition, write_run
from test_config import with_value
from test_config_mistakes import FOLDERS, PART, lines_of, own_plan

from twostage.config import check_places, load
from twostage.data.datasets import load_dataset
from twostage.data.folders import describe_passed_over, list_images, refuse_single_images
from twostage.data.index import Index, write_index
from twostage.data.interchange import export_lightningdit, export_repa, import_lightningdit, import_npy, import_repa
from twostage.data.latents import LatentStore
from twostage.estimate.setting import Setting
from twostage.report.claims import guidance, information, jump, project, verdicts
from twostage.report.claims.claim import NOT_TESTED
from twostage.report.results.run import Results
from twostage.report.results.sources import SOURCES

EVERYTHING = ["all images"]


@pytest.fixture
def flat(tmp_path):
    """Six images in a folder and two in one below it."""
    write_images(tmp_path / "flat", [(20, 20)] * 6, suffix=".png")
    write_images(tmp_path / "flat/more", [(20, 20)] * 2, seed=1, suffix=".png")
    return tmp_path / "flat"


def test_images_in_a_folder_and_below_it_are_listed_in_order(flat):
    (flat / "list.txt").touch()
    (flat / "more/.hidden.png").touch()
    (flat / "@eaDir").mkdir()
    listing = list_images(flat, "none")
    names = [str(Path(path).relative_to(flat)) for path, _ in listing.files]
    assert names == [*(f"00{number}.png" for number in range(6)), "more/000.png", "more/001.png"]
    assert listing.classes == EVERYTHING
    assert not listing.labels.any()
    assert describe_passed_over(listing) == [
        "1 skipped: a file of type .txt", "1 skipped: a folder of a system or an archive", "1 skipped: a hidden file",
    ]  # fmt: skip


def test_folders_that_cannot_be_read_without_classes(tmp_path):
    (tmp_path / "none").mkdir()
    for refusing in (list_images, refuse_single_images):
        with pytest.raises(ValueError, match=r"none: no images; expected some \(.jpg, .*\), in it or in folders below"):
            refusing(tmp_path / "none", "none")
    write_images(tmp_path / "none", [(8, 8)])
    with pytest.raises(ValueError, match="none: one image; expected at least two"):
        refuse_single_images(tmp_path / "none", "none")
    for split in ("train", "val"):
        write_images(tmp_path / "both" / split, [(8, 8)] * 2)
    with pytest.raises(ValueError, match=r"its folders are splits \(.*\), not classes; set data.path to"):
        list_images(tmp_path / "both", "none")
    with pytest.raises(ValueError, match="cannot list the images"):
        list_images(tmp_path / "nowhere", "none")


def test_a_split_of_a_flat_folder_keeps_copies_together(flat):
    (flat / "copy.png").write_bytes((flat / "000.png").read_bytes())
    options = {"path": flat, "classes": "none", "image_size": 16, "held_out": 0.4}
    train, held_out = (load_dataset("image_folder", split, **options) for split in ("train", "held_out"))
    assert train.classes == held_out.classes == EVERYTHING
    assert len(train) + len(held_out) == 9
    assert not {*train.contents[:, 0]} & {*held_out.contents[:, 0]}
    assert train.images(range(len(train))).shape == (len(train), 16, 16, 3)


def test_held_out_images_of_their_own_folder_are_new(flat, tmp_path):
    write_images(tmp_path / "val", [(20, 20)] * 3, seed=5, suffix=".png")
    (tmp_path / "val/seen.png").write_bytes((flat / "more/000.png").read_bytes())
    options = {"path": flat, "held_out_path": tmp_path / "val", "classes": "none", "image_size": 16}
    assert len(load_dataset("image_folder", "train", **options)) == 8
    held_out = load_dataset("image_folder", "held_out", **options)
    assert (len(held_out), held_out.copies_left_out) == (3, 1)


def test_labels_of_another_data_set_are_dropped_and_its_split_stays():
    train, without = (load_dataset("digits", "train", classes=classes) for classes in (None, "none"))
    assert np.array_equal(train.pixels, without.pixels)
    assert without.classes == EVERYTHING
    assert not without.labels.any()
    assert train.fingerprint != without.fingerprint
    with pytest.raises(ValueError, match="classes is 10; expected none"):
        load_dataset("digits", "train", classes=10)


def test_an_index_of_a_flat_folder_is_read_again(flat, tmp_path):
    written, _ = write_index({"path": str(flat), "held_out_path": None}, tmp_path / "index.csv", classes="none")
    assert written
    files = list_images(flat, "none").files
    assert len(Index(tmp_path / "index.csv").digests("path", flat, files)) == 8


@pytest.mark.parametrize("form", ["lightningdit", "repa", "npy"])
def test_imported_latents_need_no_labels(tmp_path, form):
    write_random_store(tmp_path / "theirs.h5", flips=True)
    store, folder = LatentStore.open(tmp_path / "theirs.h5"), tmp_path / form
    if form == "npy":
        np.save(tmp_path / "z.npy", store.read(slice(None), normalised=False).numpy())
        import_npy(tmp_path / "z.npy", tmp_path / "ours.h5", unlabelled=True)
    elif form == "repa":
        export_repa(store, folder)
        (folder / "dataset.json").unlink()
        import_repa(folder, tmp_path / "ours.h5", unlabelled=True)
    else:
        export_lightningdit(store, folder)
        import_lightningdit(folder, tmp_path / "ours.h5", unlabelled=True)
    ours = LatentStore.open(tmp_path / "ours.h5")
    assert (ours.num_classes, ours.class_names) == (1, EVERYTHING)
    assert torch.equal(ours.read(slice(None), normalised=False), store.read(slice(None), normalised=False))


# ------------------------------------------------------------------------------------------------------- configuration


def unlabelled(**data):
    raw = with_value("data.classes", "none")
    raw["data"] |= data
    raw["experiments"].pop("tab3", None)
    return raw


def test_guidance_is_refused():
    raw = with_value("data.classes", "none")
    raw["experiments"]["tab_plans"] = own_plan({"guidance": 2})
    lines = lines_of(load, raw)
    assert [line.partition(" guides towards classes, and data.classes is none")[0] for line in lines] == [
        "experiments.tab3", f"{PART}.guidance",
    ]  # fmt: skip
    raw = unlabelled()
    raw["experiments"]["tab_plans"] = own_plan({"interval": "class"})
    (line,) = lines_of(load, raw)
    assert line.startswith(f"{PART}.interval guides towards classes")


def test_all_images_are_one_class_of_the_oracle_and_none_is_dropped():
    config = load(unlabelled())
    assert config.pairs == (config.oracle.pairs_unconditional, 0)
    assert config.class_drop == 0
    assert Setting(config, {}).classes == 1
    labelled = load(with_value("seed", 0))
    assert labelled.pairs == (labelled.oracle.pairs_per_class, labelled.oracle.pairs_unconditional)
    assert labelled.class_drop == labelled.training.class_drop > 0


def test_folders_without_classes_are_checked_before_any_job(flat, monkeypatch):
    monkeypatch.chdir(flat.parent)
    check = lambda **data: check_places(load(unlabelled(**FOLDERS, **data)))  # noqa: E731
    check(path="flat")
    write_images(flat.parent / "val", [(20, 20)])
    check(path="flat", held_out_path="val")
    (line,) = lines_of(check, path="flat", held_out_path="flat/more")
    assert line.startswith("data.held_out_path is 'flat/more', inside data.path, from which all images below are read")
    (line,) = lines_of(check, path="flat", held_out_path="./flat")
    assert line.startswith("data.held_out_path is './flat', the folder of data.path; expected other images")
    (line,) = lines_of(check, path="val")
    assert line.startswith("data.path: val: one image; expected at least two")
    setting = Setting(load(unlabelled(**FOLDERS, path="flat", held_out=0.25)), {})
    assert setting.images == {"train": 6, "held_out": 2}


def test_latents_without_labels_are_no_mistake(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("z.npy", np.zeros((5, 4, 4, 4), np.float32))
    encoder = {"kind": "none", "latents": {"format": "npy", "path": "z.npy"}}
    raw = unlabelled() | {"spaces": {"mine": {"encoder": encoder}}, "experiments": {}}
    check_places(load(raw))
    encoder["latents"]["labels"] = "labels.npy"
    (line,) = lines_of(load, raw)
    assert line.startswith("spaces.mine.encoder.latents.labels is 'labels.npy', and data.classes is none")


# -------------------------------------------------------------------------------------------------------------- claims


def test_claims_about_classes_are_not_tested(tmp_path):
    found = write_run(tmp_path, {"pixel": 0.45})
    content = transition("pixel", 0.45)
    content["classes"] = [{**content["classes"][0], "class": "all images"}]
    content.pop("unconditional")
    Path(found["transition"]["pixel"]).write_text(json.dumps(content))
    run = Results(**{name: found[name] for name in SOURCES if name in found})
    about = [project.UNCONDITIONAL_LATER, information.CLASS_IS_TOLD, jump.TURNS_WITH_THE_CLASS]
    about += verdicts.claims_of(guidance)
    for _, findings in verdicts.evaluate(run, about):
        assert [(finding.verdict, finding.note) for finding in findings] == [(NOT_TESTED, "this data has no classes")]
    [(_, findings)] = verdicts.evaluate(run, [project.LAW_CURVE])
    assert findings[0].verdict != NOT_TESTED
    assert findings[0].case == "pixel, all data"
