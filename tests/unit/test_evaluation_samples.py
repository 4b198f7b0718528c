"""Samples in, tables out: evaluation, memorization, pictures and export on made-up samples of known origin."""

import json
import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
from made_samples import SEEDS, write_samples
from PIL import Image

from twostage.data.datasets import ArrayDataset
from twostage.data.encode import encode
from twostage.data.encoders import load_encoder
from twostage.evaluation.classifier import train_classifier
from twostage.evaluation.evaluate import evaluate_samples, measure
from twostage.evaluation.export import export_adm, export_png
from twostage.evaluation.export import main as export
from twostage.evaluation.features import FeatureExtractor
from twostage.evaluation.frechet import distance_of_roots, frechet_distance, mean_and_root
from twostage.evaluation.images import SampledImages, dataset_batches, load_split
from twostage.evaluation.jackknife import standard_error
from twostage.evaluation.memorization import CONTROL, measure_memorization
from twostage.evaluation.pictures import collect_pictures
from twostage.evaluation.reference import (
    Reference,
    compute_references,
    import_reference,
    reference_from_data,
    write_reference,
)
from twostage.hdf5 import write_texts
from twostage.provenance import sha256

DIGITS = {"name": "digits"}
IDENTITY = {"kind": "identity"}
PER_SEED = 150


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Plans of known origin: copies of training images, copies with noise, and noise."""
    folder = tmp_path_factory.mktemp("samples")
    train, held_out = load_split(DIGITS, "train"), load_split(DIGITS, "held_out")
    encoder = load_encoder(IDENTITY, None, "cpu")
    encode(train, encoder, folder / "latents.h5")
    encode(held_out, encoder, folder / "held_out.h5", statistics=folder / "latents.h5")
    order = np.argsort(train.labels, kind="stable")  # the store's order
    generator = np.random.default_rng(0)
    rows = np.concatenate([generator.choice(len(order), PER_SEED, replace=False) for _ in SEEDS])
    copies = train.images(order[rows])
    noise = generator.integers(-40, 41, copies.shape)
    plans = {
        "copies": copies,
        "noisy": np.clip(copies + noise, 0, 255).astype(np.uint8),
        "noise": generator.integers(0, 256, copies.shape, dtype=np.uint8),
    }
    seeds, index = np.repeat(SEEDS, PER_SEED), np.tile(np.arange(PER_SEED), len(SEEDS))
    samples = {}
    for number, (plan, images) in enumerate(plans.items()):
        samples[plan] = [folder / plan / "shard-0.h5", folder / plan / "shard-1.h5"]
        for shard, path in enumerate(samples[plan]):
            mine = index % 2 == shard  # shards hold every other sample: reading them puts them in order again
            write_samples(
                path,
                images[mine],
                train.labels[order[rows]][mine],
                seeds[mine],
                index[mine],
                total=PER_SEED,
                followed=rows[mine],
                t_switch=1 - number / 4,
            )
    train_classifier(DIGITS, folder, steps=60, width=8)
    return {"folder": folder, "samples": samples, "images": plans, "rows": rows, "train": train, "order": order}


def test_shards_are_joined_by_seed_and_index(world):
    samples = SampledImages.open("copies", world["samples"]["copies"])
    assert np.array_equal(samples.seed, np.repeat(SEEDS, PER_SEED))
    assert np.array_equal(samples.index, np.tile(np.arange(PER_SEED), 2))
    assert np.array_equal(samples.images(np.arange(len(samples))), world["images"]["copies"])
    chosen = np.array([250, 3, 4, 3, 199])
    assert np.array_equal(samples.images(chosen), world["images"]["copies"][chosen])
    assert np.array_equal(np.concatenate(list(samples.batches(64))), world["images"]["copies"])


def test_missing_shards_and_broken_files_are_refused_by_name(world, tmp_path):
    whole, half = world["samples"]["copies"]
    with pytest.raises(ValueError, match="plan copies: 150 samples in 1 files; expected 300"):
        SampledImages.open("copies", [whole])
    broken = tmp_path / "broken.h5"
    broken.write_bytes(half.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"broken.h5 is not a whole file of samples"):
        SampledImages.open("copies", [whole, broken])
    with h5py.File(broken, "w") as file:
        file["other"] = np.zeros(3)
    with pytest.raises(ValueError, match=r"broken.h5 is not a whole file of samples"):
        SampledImages.open("copies", [whole, broken])
    with pytest.raises(FileNotFoundError):
        SampledImages.open("copies", [whole, tmp_path / "absent.h5"])


def test_samples_of_earlier_versions_have_no_class_names(world, tmp_path):
    assert SampledImages.open("copies", world["samples"]["copies"]).class_names[3] == "name 3"
    older = [shutil.copy(path, tmp_path) for path in world["samples"]["copies"]]
    for path in older:
        with h5py.File(path, "a") as file:
            del file["class_names"]
    assert SampledImages.open("copies", older).class_names == []


def test_samples_that_lie_in_another_file_are_refused(world, tmp_path):
    path = tmp_path / "x.h5"
    shutil.copy(world["samples"]["copies"][0], path)
    with h5py.File(path, "a") as file:
        del file["images"]
        file["images"] = h5py.ExternalLink("/etc/somewhere.h5", "/secret")
    with pytest.raises(ValueError, match=r"x\.h5: /images is a link to another place"):
        SampledImages.open("copies", [path])


# ----------------------------------------------------------------------------------------------------------- evaluation


@pytest.fixture(scope="module")
def table(world):
    return evaluate_samples(
        DIGITS,
        world["samples"],
        world["folder"] / "evaluation.csv",
        classifier=world["folder"] / "classifier.safetensors",
    )


def test_one_row_a_plan_seed_and_features(world, table):
    written = pd.read_csv(world["folder"] / "evaluation.csv")
    assert written[["plan", "seed", "features"]].to_numpy().tolist() == [
        [plan, seed, "classifier"] for plan in world["samples"] for seed in SEEDS
    ]
    assert (written["metric"] == "Frechet distance (classifier)").all()
    assert (written["samples"] == PER_SEED).all()
    assert (written["nfe"] == 50).all()
    assert (written["fields"] == "XL > B").all()
    assert written.loc[0, ["guidance", "interval", "shift"]].tolist() == [1.5, "0.1-0.4", "1; 0.5"]
    np.testing.assert_allclose(written["distance"], table["distance"])


def test_better_samples_have_smaller_distances(table):
    means = table.groupby("plan")[["distance", "kid", "precision", "recall", "coverage"]].mean()
    assert means.loc["copies", "distance"] < means.loc["noisy", "distance"] < means.loc["noise", "distance"]
    assert means.loc["copies", "kid"] < means.loc["noise", "kid"]
    assert means.loc["copies", "precision"] == 1
    assert means.loc["noise", "recall"] < means.loc["copies", "recall"]
    assert means.loc["noise", "coverage"] < means.loc["copies", "coverage"]


def test_the_settings_say_everything_that_the_numbers_depend_on(world, table):
    settings = json.loads((world["folder"] / "evaluation.json").read_text())
    assert settings["samples"] == PER_SEED
    features = settings["features"]["classifier"]
    assert features["reference_sha256"] == world["train"].fingerprint
    assert features["reference"] == f"digits, train split, {len(world['train'])} images"
    assert len(features["weights_sha256"]) == 64
    plan = settings["plans"]["noisy"]
    assert (plan["solver"], plan["steps"], plan["nfe"]) == ("euler", 50, 50)
    assert plan["plan"]["parts"][0]["guidance"] == 1.5
    assert plan["weights"]["XL"]["metadata"] == {"step": 3, "ema": 0.9}
    assert plan["split"] is None
    row = table[table["plan"] == "noisy"].iloc[0]
    assert row[["solver", "steps", "nfe", "guidance", "samples"]].tolist() == ["euler", 50, 50, 1.5, PER_SEED]
    assert row["weights"] == "XL: EMA 0.9, step 3, sha256 0"
    assert row["reference_sha256"] == world["train"].fingerprint
    assert row["features_sha256"] == features["weights_sha256"]


def test_memorization_says_how_its_samples_were_made(world, memorization):
    row = memorization[0].query("plan == 'noisy' and space == 'classifier'").iloc[0]
    assert row[["solver", "steps", "guidance", "weights"]].tolist() == [
        "euler",
        50,
        1.5,
        "XL: EMA 0.9, step 3, sha256 0",
    ]
    assert len(row["features_sha256"]) == 64


def test_statistics_in_a_file_replace_the_training_images(world, table):
    path = world["folder"] / "reference.npz"
    write_reference(path, np.zeros(32), np.eye(32), 100, np.empty((0, 32)))
    found = evaluate_samples(
        DIGITS,
        {"noise": world["samples"]["noise"]},
        world["folder"] / "other.csv",
        classifier=world["folder"] / "classifier.safetensors",
        references={"classifier": path},
    )
    assert (found["reference_samples"] == 100).all()
    assert not np.allclose(found["distance"], table[table["plan"] == "noise"]["distance"])
    settings = json.loads((world["folder"] / "other.json").read_text())
    assert settings["features"]["classifier"]["reference"] == str(path)


def test_a_shared_reference_gives_the_numbers_of_the_training_images(world, table):
    path = world["folder"] / "shared.npz"
    weights = world["folder"] / "classifier.safetensors"
    compute_references(DIGITS, {"classifier": path}, classifier=weights)
    plan, references = {"noisy": world["samples"]["noisy"]}, {"classifier": path}
    found = evaluate_samples(DIGITS, plan, world["folder"] / "s.csv", classifier=weights, references=references)
    own = table[table["plan"] == "noisy"]
    for column in ("distance", "distance_sem", "kid", "precision", "recall", "density", "coverage"):
        np.testing.assert_allclose(found[column], own[column], rtol=1e-6)


def test_images_in_a_file_are_a_reference_like_the_images_themselves(world, table):
    train, folder, weights = world["train"], world["folder"], world["folder"] / "classifier.safetensors"
    np.savez_compressed(folder / "images.npz", arr_0=train.images(np.arange(len(train))))
    import_reference(folder / "images.npz", "classifier", folder / "given.npz", classifier=weights)
    plan, own = {"noisy": world["samples"]["noisy"]}, table[table["plan"] == "noisy"]
    for path in (folder / "images.npz", folder / "given.npz"):
        references = {"classifier": path}
        found = evaluate_samples(DIGITS, plan, folder / "i.csv", classifier=weights, references=references)
        for column in ("distance", "kid", "precision", "recall", "density", "coverage"):
            np.testing.assert_allclose(found[column], own[column], rtol=1e-6)
        assert (found["reference_sha256"] == sha256(folder / "images.npz")).all()
        settings = json.loads((folder / "i.json").read_text())
        assert settings["features"]["classifier"]["reference"] == f"{folder / 'images.npz'}, {len(train)} images"


def test_held_out_images_are_a_reference(world):
    folder, weights = world["folder"], world["folder"] / "classifier.safetensors"
    compute_references(DIGITS, {"classifier": folder / "held_out.npz"}, split="held_out", classifier=weights)
    plan, references = {"noisy": world["samples"]["noisy"]}, {"classifier": folder / "held_out.npz"}
    found = evaluate_samples(DIGITS, plan, folder / "h.csv", classifier=weights, references=references)
    held_out = load_split(DIGITS, "held_out")
    assert (found["reference_samples"] == len(held_out)).all()
    assert (found["reference_sha256"] == held_out.fingerprint).all()
    settings = json.loads((folder / "h.json").read_text())["features"]["classifier"]
    assert settings["reference"] == f"digits, held_out split, {len(held_out)} images"


def test_precision_and_recall_say_k_and_the_number_of_features(world, table):
    assert (table["prdc_neighbours"] == 5).all()
    assert (table["prdc_samples"] == PER_SEED).all()
    assert (table["prdc_reference"] == len(world["train"])).all()


def test_few_kept_features_leave_mean_and_covariance_of_all():
    train = load_split(DIGITS, "train")
    extractor = FeatureExtractor("classifier", lambda images: images.flatten(1)[:, 10:20], "no weights")
    whole, few = (reference_from_data(train, extractor, 100, keep) for keep in (10_000, 50))
    assert (few.samples, len(few.features)) == (len(train), 50)
    assert distance_of_roots(whole.mean, whole.root, few.mean, few.root) == pytest.approx(0, abs=1e-6)


def test_unusable_images_are_refused_by_name_beyond_the_allowed_share(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(5):
            Image.fromarray(np.full((16, 16, 3), 20 * number, np.uint8)).save(tmp_path / name / f"{number}.png")
    (tmp_path / "b" / "3.png").write_bytes(b"no image")
    options = {"name": "image_folder", "path": str(tmp_path), "image_size": 16, "held_out": 0}
    with pytest.raises(ValueError, match=r"b/3.png.*raise max_corrupt"):
        list(dataset_batches(load_split(options, "train"), 4))
    batches = list(dataset_batches(load_split({**options, "max_corrupt": 0.2}, "train"), 4))
    assert sum(map(len, batches)) == 9


def test_measure_agrees_with_its_parts_and_does_without_reference_features():
    generator = np.random.default_rng(1)
    real, fake = generator.standard_normal((200, 5)), generator.standard_normal((100, 5)) + 0.5
    found = measure(fake, Reference(*mean_and_root(real), real, 200, "", ""))
    assert found["distance"] == pytest.approx(frechet_distance(fake, real))
    bare = measure(fake, Reference(*mean_and_root(real), None, 200, "", ""))
    assert bare["distance"] == found["distance"]
    assert np.isnan([bare["kid"], bare["precision"]]).all()
    with pytest.warns(UserWarning, match="4 samples for 5 dimensions"):
        measure(fake[:4], Reference(*mean_and_root(real), None, 200, "", ""))


def test_a_difference_of_plans_that_share_their_samples_is_sure_where_each_distance_is_not():
    generator = np.random.default_rng(3)
    real = generator.standard_normal((5000, 4))
    reference = Reference(*mean_and_root(real), None, 5000, "", "")
    fake = generator.standard_normal((400, 4))
    one, two = (measure(fake + shift, reference) for shift in (0.3, 0.31))
    without = [np.array([found[f"distance_without_{p}"] for p in range(10)]) for found in (one, two)]
    assert one["distance_sem"] == pytest.approx(standard_error(without[0]))
    assert standard_error(without[1] - without[0]) < one["distance_sem"] / 20


# -------------------------------------------------------------------------------------------------------- memorization


@pytest.fixture(scope="module")
def memorization(world):
    folder = world["folder"]
    summary = measure_memorization(
        world["samples"],
        folder / "memorization.csv",
        folder / "memorization_samples.csv",
        store_path=folder / "latents.h5",
        encoder_spec=IDENTITY,
        held_out_path=folder / "held_out.h5",
        classifier=folder / "classifier.safetensors",
        batch_size=100,
    )
    return summary, pd.read_csv(folder / "memorization_samples.csv")


def test_copies_are_found_and_noise_is_not(memorization):
    summary = memorization[0].groupby(["plan", "space"]).mean(numeric_only=True)
    for space in ("pixel", "classifier"):
        copies, noise = summary.loc[("copies", space)], summary.loc[("noise", space)]
        assert copies["followed_distance"] == 0
        assert copies[["copied", "retrieved", "within_one_grey_level"]].tolist() == [1, 1, 1]
        assert noise[["copied", "within_one_grey_level"]].tolist() == [0, 0]
        assert copies["followed_distance"] < summary.loc[("noisy", space)]["followed_distance"]
        assert summary.loc[("noisy", space)]["followed_distance"] < noise["followed_distance"]
    assert summary.loc[("noisy", "pixel")]["retrieved"] > 0.9
    control = summary.loc[(CONTROL, "pixel")]
    assert control["samples"] == 359
    assert control["copied"] == 0
    assert np.isnan(control["followed_distance"])


def test_the_control_is_a_choice_of_held_out_images_of_every_class(world, memorization, tmp_path):
    found = []
    for name in ("a", "b"):
        summary = measure_memorization(
            {"noise": world["samples"]["noise"]},
            tmp_path / f"{name}.csv",
            tmp_path / f"{name}_samples.csv",
            store_path=world["folder"] / "latents.h5",
            encoder_spec=IDENTITY,
            held_out_path=world["folder"] / "held_out.h5",
            features=(),
            control_images=100,
        )
        table = pd.read_csv(tmp_path / f"{name}_samples.csv")
        found.append(table[table["plan"] == CONTROL].reset_index(drop=True))
    assert summary.set_index("plan").loc[CONTROL, "samples"] == 100
    pd.testing.assert_frame_equal(*found)
    whole = memorization[1].query("plan == @CONTROL and space == 'pixel'").set_index("index")
    of_whole = whole.loc[found[0]["index"]].reset_index()
    pd.testing.assert_frame_equal(of_whole[found[0].columns], found[0], check_dtype=False)
    assert found[0]["label"].nunique() == 10


def test_pixel_distances_are_root_mean_squares_in_grey_levels(world, memorization):
    samples = memorization[1]
    noisy = samples[(samples["plan"] == "noisy") & (samples["space"] == "pixel")]
    assert np.array_equal(noisy["followed"], world["rows"])
    pixels = world["train"].images(world["order"]).astype(float)
    images = world["images"]["noisy"].astype(float)
    for row in (0, 17, 200):
        distances = np.sqrt(((pixels - images[row]) ** 2).mean((1, 2, 3)))
        found = noisy.iloc[row]
        assert found["nearest_distance"] == pytest.approx(distances.min())
        assert found["nearest"] == distances.argmin()
        assert found["second_distance"] == pytest.approx(np.sort(distances)[1])
        assert found["ratio"] == pytest.approx(distances.min() / np.sort(distances)[1])
        assert found["followed_distance"] == pytest.approx(distances[world["rows"][row]])


def test_samples_are_compared_with_those_of_the_same_noise_and_of_another(world, memorization, tmp_path):
    summary = measure_memorization(
        {name: world["samples"][name] for name in ("copies", "noisy")},
        tmp_path / "a.csv",
        tmp_path / "b.csv",
        store_path=world["folder"] / "latents.h5",
        encoder_spec=IDENTITY,
        features=(),
        beside="copies",
    ).groupby("plan")
    assert "same_noise_distance" not in memorization[0].columns
    samples, images = pd.read_csv(tmp_path / "b.csv"), world["images"]
    apart = lambda one, two: np.sqrt(((one.astype(float) - two) ** 2).mean((1, 2, 3)))  # noqa: E731
    same = apart(images["noisy"], images["copies"])
    noisy = samples[samples["plan"] == "noisy"]
    assert np.allclose(noisy["same_noise_distance"], same)
    assert (samples[samples["plan"] == "copies"]["same_noise_distance"] == 0).all()
    assert summary["same_noise_distance"].mean()["noisy"] == pytest.approx(same.mean())
    for row in (0, 33, 200):  # another of its label, the next in order of seed and index
        own = np.flatnonzero(noisy["label"] == noisy["label"].iloc[row])
        other = own[(np.flatnonzero(own == row)[0] + 1) % len(own)]
        expected = apart(images["noisy"][[row]], images["copies"][[other]])[0]
        assert noisy["other_noise_distance"].iloc[row] == pytest.approx(expected)
    with pytest.raises(ValueError, match="beside is 'copy'; expected one of the plans: copies"):
        measure_memorization(
            {"copies": world["samples"]["copies"]}, tmp_path / "a.csv", tmp_path / "b.csv",
            store_path=world["folder"] / "latents.h5", encoder_spec=IDENTITY, features=(), beside="copy",
        )  # fmt: skip


def test_the_nearest_of_the_own_class_bears_the_samples_label(world):
    folder = world["folder"]
    measure_memorization(
        {"noise": world["samples"]["noise"]},
        folder / "class.csv",
        folder / "class_samples.csv",
        store_path=folder / "latents.h5",
        encoder_spec=IDENTITY,
        features=(),
        within_class=True,
    )
    found = pd.read_csv(folder / "class_samples.csv")
    stored = world["train"].labels[world["order"]]
    assert np.array_equal(stored[found["nearest"]], found["label"])


def test_followed_held_out_images_need_their_store(world, tmp_path):
    images = world["images"]["noise"][:20]
    path = tmp_path / "shard-0.h5"
    index, followed = [*range(10)] * 2, np.arange(20)
    write_samples(
        path, images, np.zeros(20), np.repeat(SEEDS, 10), index, total=10, followed=followed, split="held_out"
    )
    arguments = {"store_path": world["folder"] / "latents.h5", "encoder_spec": IDENTITY, "features": ()}
    with pytest.raises(ValueError, match="plan p resumes from held-out images"):
        measure_memorization({"p": [path]}, tmp_path / "a.csv", tmp_path / "b.csv", **arguments)


# -------------------------------------------------------------------------------------------------- pictures and export


def test_pictures_hold_samples_nearest_and_followed_images(world, memorization):
    folder = world["folder"]
    collect_pictures(
        world["samples"],
        folder / "pictures.h5",
        rows=4,
        seed=7,
        neighbours_csv=folder / "memorization_samples.csv",
        store_path=folder / "latents.h5",
        encoder_spec=IDENTITY,
    )
    with h5py.File(folder / "pictures.h5") as file:
        content = {name: file[name][:] for name in file}
    assert content["images"].shape == (4, 3, 8, 8, 1)
    assert [name.decode() for name in content["columns"]] == ["copies", "noisy", "noise"]
    assert content["t"].tolist() == [1.0, 0.75, 0.5]
    first = PER_SEED  # of seed 7
    for column, plan in enumerate(world["images"]):
        assert np.array_equal(content["images"][:, column], world["images"][plan][first : first + 4])
    assert np.array_equal(content["nearest"][:, 0], content["images"][:, 0])
    assert np.array_equal(content["followed"], content["images"][:, 0])
    assert content["class_names"].tolist() == [f"name {label}".encode() for label in range(10)]
    with pytest.raises(ValueError, match=r"no samples of seed 5; expected one of \[0, 7\]"):
        collect_pictures(world["samples"], folder / "other.h5", seed=5)


def test_export_is_adms_npz(world, tmp_path):
    path = tmp_path / "samples.npz"
    export_adm(world["samples"]["noise"], path, seed=7, batch_size=40)
    with np.load(path) as content:
        assert list(content) == ["arr_0", "arr_1"]
        exported, labels = content["arr_0"], content["arr_1"]
    assert labels.dtype == np.int64
    assert np.array_equal(labels, world["train"].labels[world["order"][world["rows"]]][PER_SEED:])
    assert exported.dtype == np.uint8
    assert np.array_equal(exported, np.repeat(world["images"]["noise"][PER_SEED:], 3, axis=3))
    export_adm(world["samples"]["noise"], path, count=20)
    assert np.load(path)["arr_0"].shape == (20, 8, 8, 3)
    with pytest.raises(ValueError, match="no samples of seed 3"):
        export_adm(world["samples"]["noise"], path, seed=3)


def test_pngs_of_chosen_classes_lie_in_their_folders_with_a_table(world, tmp_path):
    samples = SampledImages.open("noisy", world["samples"]["noisy"])
    export_png(world["samples"]["noisy"], tmp_path / "png", classes=["name 3", 5], count=4)
    table = pd.read_csv(tmp_path / "png/labels.csv")
    assert table["class_name"].value_counts().to_dict() == {"name 3": 4, "name 5": 4}
    assert sorted(path.name for path in (tmp_path / "png").iterdir() if path.is_dir()) == ["name-3", "name-5"]
    assert len(list((tmp_path / "png").rglob("*.png"))) == 8
    for file, label, name, seed, index in table.itertuples(index=False):
        (row,) = np.flatnonzero((samples.seed == seed) & (samples.index == index))
        assert (samples.labels[row], f"name {label}") == (label, name)
        assert np.array_equal(
            np.asarray(Image.open(tmp_path / "png" / file)), samples.images(np.array([row]))[0, :, :, 0]
        )
    provenance = json.loads((tmp_path / "png/labels.csv.provenance.json").read_text())
    assert (provenance["samples"], len(provenance["inputs"])) == (8, 2)


def test_classes_that_are_not_there_end_an_export_in_one_line(world, tmp_path, capsys):
    shards = [str(path) for path in world["samples"]["noisy"]]
    assert export([*shards, "--output", str(tmp_path / "x"), "--png", "--classes", "cat"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: plan samples: no samples of class 'cat'; expected a name or label: name 0, name 1")
    assert error.count("\n") == 1
    assert not (tmp_path / "x").exists()
    assert export([*shards, "--output", str(tmp_path / "x.npz"), "--classes", "3", "--seed", "7"]) == 0
    assert set(np.load(tmp_path / "x.npz")["arr_1"]) == {3}


def test_folders_of_classes_whose_names_collide_or_are_unknown_have_labels(world, tmp_path):
    for names, expected in ((["a/b", "a b", *"cdefghij"], {"0-a-b", "1-a-b", "c"}), (None, {"0", "1", "2"})):
        paths = [shutil.copy(path, tmp_path) for path in world["samples"]["noisy"]]
        for path in paths:
            with h5py.File(path, "a") as file:
                del file["class_names"]
                if names:
                    write_texts(file, "class_names", names)
        folder = tmp_path / str(names is None)
        export_png(paths, folder, classes=[0, 1, 2], count=1)
        assert {path.name for path in folder.iterdir() if path.is_dir()} == expected


def test_mirrored_training_images_count_as_training_images(tmp_path):
    images = np.random.default_rng(3).integers(0, 256, (12, 4, 4, 1), dtype=np.uint8)
    dataset = ArrayDataset("t", "train", images, np.zeros(12, dtype=int), ["a"])
    encode(dataset, load_encoder(IDENTITY, None, "cpu"), tmp_path / "l.h5", flips=True)
    path = tmp_path / "shard-0.h5"
    write_samples(path, images[:4, :, ::-1], np.zeros(4), np.repeat(SEEDS, 2), [0, 1, 0, 1], total=2)
    measure_memorization(
        {"p": [path]},
        tmp_path / "a.csv",
        tmp_path / "b.csv",
        store_path=tmp_path / "l.h5",
        encoder_spec=IDENTITY,
        features=(),
    )
    found = pd.read_csv(tmp_path / "b.csv")
    assert found["nearest"].tolist() == [0, 1, 2, 3]
    assert found["nearest_mirrored"].all()
    assert (found["nearest_distance"] == 0).all()
