"""What other papers report besides: sFID, the Inception score, and the distance of each class."""

import warnings

import numpy as np
import pandas as pd
import pytest
from inception import write_inception
from made_samples import write_samples

from twostage.evaluation import evaluate, given
from twostage.evaluation.classifier import train_classifier
from twostage.evaluation.evaluate import evaluate_samples, peer_measures
from twostage.evaluation.features import FeatureExtractor, inception
from twostage.evaluation.frechet import distance_of_roots, frechet_distance, mean_and_root
from twostage.evaluation.images import SampledImages, load_split
from twostage.evaluation.inception_score import inception_scores
from twostage.evaluation.jackknife import parts_of, standard_error
from twostage.evaluation.per_class import LEAST, _moments, class_distances
from twostage.evaluation.reference import Reference, compute_references, import_reference, read_reference

DIGITS = {"name": "digits", "held_out": 0.87}  # 233 training images, 20 to 26 of a class
FEW = {"name": "digits", "held_out": 0.98}  # for Inception, which takes long


def adms_score(features, weights, group):
    """ADM's evaluator's formula (Salimans et al. 2016), as it is written there."""
    logits = features @ weights.T
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    scores = []
    for first in range(0, len(shares), group):
        part = shares[first : first + group]
        divergence = part * (np.log(part) - np.log(part.mean(0, keepdims=True)))
        scores.append(np.exp(divergence.sum(1).mean()))
    return np.mean(scores)


@pytest.mark.parametrize("group", [5000, 70])
def test_the_inception_score_is_adms(group):
    generator = np.random.default_rng(0)
    features, weights = generator.standard_normal((190, 6)), generator.standard_normal((11, 6))
    part = parts_of(generator.integers(0, 3, 190))
    score, without = inception_scores(features, weights, part, group)
    assert score == pytest.approx(adms_score(features, weights, group), rel=1e-12)
    if group > len(features):
        kept = [adms_score(features[part != p], weights, group) for p in range(10)]
        np.testing.assert_allclose(without, kept, rtol=1e-12)


def test_the_inception_score_between_its_bounds():
    """1 where all images look alike; the number of classes where each is sure and all are equally frequent."""
    part = parts_of(np.zeros(40))
    assert inception_scores(np.ones((40, 3)), np.eye(3), part)[0] == pytest.approx(1, rel=1e-12)
    sure = 1e6 * np.eye(4)[np.arange(40) % 4]  # the other classes' probabilities are zero in float64
    score, without = inception_scores(sure, np.eye(4), parts_of(np.arange(40) % 4))
    assert score == pytest.approx(4, rel=1e-12)
    assert standard_error(without) < 0.5
    assert np.isnan(inception_scores(np.ones((19, 3)), np.eye(3), part[:19])[1]).all()


def test_the_error_of_the_inception_score_is_its_spread_over_draws():
    weights = np.random.default_rng(1).standard_normal((20, 5))
    scores, errors = [], []
    for seed in range(200):
        features = np.random.default_rng(seed).standard_normal((300, 5))
        score, without = inception_scores(features, weights, parts_of(np.zeros(300)))
        scores.append(score)
        errors.append(standard_error(without))
    assert np.mean(errors) == pytest.approx(np.std(scores), rel=0.25)


def test_sfid_is_the_frechet_distance_of_the_spatial_features_and_blank_without_their_reference():
    generator = np.random.default_rng(2)
    features, spatial, real = (generator.standard_normal((150, width)) for width in (4, 6, 6))
    weights = generator.standard_normal((3, 4))
    reference = Reference(np.zeros(4), np.eye(4), None, None, "", "", mean_and_root(real))
    found = peer_measures(features, spatial, reference, weights)
    assert found["sfid"] == pytest.approx(frechet_distance(spatial, real), rel=1e-10)
    part = parts_of(np.zeros(150))
    without = [frechet_distance(spatial[part != p], real) for p in range(10)]
    assert found["sfid_sem"] == pytest.approx(standard_error(without), rel=1e-8)
    bare = peer_measures(features, spatial, Reference(np.zeros(4), np.eye(4), None, None, "", ""), weights)
    assert np.isnan([bare["sfid"], bare["sfid_sem"]]).all()
    assert bare["inception_score"] == found["inception_score"]
    assert peer_measures(features, None, reference, None) == {}


# --------------------------------------------------------------------------------------------------- from files


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two plans: training images with noise, and noise alone; each of two seeds."""
    folder = tmp_path_factory.mktemp("peers")
    train = load_split(DIGITS, "train")
    generator = np.random.default_rng(0)
    labels = np.tile(np.repeat([0, 1, 2, 3, 9], [25, 25, 25, 20, 5]), 2)[:120]  # none of the others, few of class 9
    rows = np.array([generator.choice(np.flatnonzero(train.labels == label)) for label in labels])
    own = train.images(rows).astype(int)
    plans = {"noisy": own + generator.integers(-30, 31, own.shape), "noise": generator.integers(0, 256, own.shape)}
    samples = {}
    for plan, images in plans.items():
        samples[plan] = [folder / f"{plan}.h5"]
        pixels = np.clip(images, 0, 255).astype(np.uint8)
        write_samples(samples[plan][0], pixels, labels, np.repeat([0, 7], 60), np.tile(np.arange(60), 2), total=60)
    first = np.tile(np.arange(60) < 24, 2)
    few = [array[first] for array in (pixels, labels, np.repeat([0, 7], 60), np.tile(np.arange(60), 2))]
    write_samples(folder / "few.h5", *few, total=24)
    train_classifier(DIGITS, folder, steps=40, width=8)
    write_inception(folder / "inception.pt", divide=16)
    return {"folder": folder, "samples": samples, "train": train}


@pytest.fixture(scope="module")
def thin(world):
    """An extractor of Inception's layers and names, a sixteenth as wide, and with one channel of spatial features."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(given.WIDTHS, "inception", 128)
        patch.setattr(given, "SPATIAL_WIDTH", 17 * 17)
        patch.setattr("twostage.evaluation.features.SPATIAL_CHANNELS", 1)
        yield inception(world["folder"] / "inception.pt", expected_sha256=None)


@pytest.fixture(scope="module")
def evaluated(world, thin):
    patch = pytest.MonkeyPatch()
    patch.setattr(evaluate, "load_extractors", lambda *_, **__: [thin])
    patch.setattr("twostage.evaluation.reference.load_extractors", lambda *_, **__: [thin])
    folder, plan = world["folder"], {"few": [world["folder"] / "few.h5"]}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # few samples
            compute_references(FEW, {"inception": folder / "reference.npz"})
            references = {"inception": folder / "reference.npz"}
            return evaluate_samples(FEW, plan, folder / "e.csv", features=["inception"], references=references)
    finally:
        patch.undo()


def test_a_row_of_inception_has_sfid_and_score_with_errors(world, thin, evaluated):
    train, samples = load_split(FEW, "train"), SampledImages.open("few", [world["folder"] / "few.h5"])
    written = pd.read_csv(world["folder"] / "e.csv")
    assert (written[["sfid", "sfid_sem", "inception_score", "inception_score_sem"]] > 0).all(axis=None)
    features, spatial = thin.with_spatial([samples.images(np.flatnonzero(samples.seed == 7))])
    real = thin.with_spatial([train.images(np.arange(len(train)))])[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert evaluated.loc[1, "sfid"] == pytest.approx(frechet_distance(spatial, real), rel=1e-4)
    assert evaluated.loc[1, "inception_score"] == pytest.approx(
        adms_score(features, thin.class_weights, 5000), rel=1e-6
    )


def test_a_reference_of_an_earlier_version_leaves_sfid_blank_and_images_give_it(world, thin, evaluated, monkeypatch):
    folder, train = world["folder"], load_split(FEW, "train")
    monkeypatch.setattr("twostage.evaluation.reference.load_extractors", lambda *_, **__: [thin])
    with np.load(folder / "reference.npz") as content:
        older = {key: content[key] for key in content if key not in ("mu_s", "sigma_s")}
        mean = content["mu_s"]
    np.savez(folder / "older.npz", **older)
    assert read_reference(folder / "older.npz").spatial is None
    np.savez(folder / "images.npz", arr_0=train.images(np.arange(len(train))))
    import_reference(folder / "images.npz", "inception", folder / "given.npz", inception="")
    np.testing.assert_allclose(read_reference(folder / "given.npz").spatial[0], mean, rtol=1e-6, atol=1e-9)


def test_only_inceptions_rows_have_the_columns(world, tmp_path):
    table = evaluate_samples(
        DIGITS, world["samples"], tmp_path / "e.csv", classifier=world["folder"] / "classifier.safetensors"
    )
    assert not [name for name in table.columns if "sfid" in name or "inception" in name]
    assert (
        FeatureExtractor("classifier", lambda images: images.flatten(1), None).with_spatial(
            [np.zeros((2, 3, 3, 1), dtype=np.uint8)]
        )[1]
        is None
    )


@pytest.fixture(scope="module")
def classes(world):
    weights = world["folder"] / "classifier.safetensors"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        class_distances(DIGITS, world["samples"], world["folder"] / "c.csv", classifier=weights)
    return pd.read_csv(world["folder"] / "c.csv")


def test_each_class_has_the_distance_of_its_samples_to_its_images(world, classes):
    from twostage.evaluation.features import classifier

    extractor, train = classifier(world["folder"] / "classifier.safetensors"), world["train"]
    samples = SampledImages.open("noisy", world["samples"]["noisy"])
    assert len(classes) == 2 * len(train.classes)
    measured = classes[classes["reason"].isna()]
    assert 2 <= len(measured) < len(classes)
    for _, row in measured[measured["plan"] == "noisy"].iterrows():
        fake = extractor(samples.images(np.flatnonzero(samples.labels == row["label"])))
        real = extractor(train.images(np.flatnonzero(train.labels == row["label"])))
        assert (row["samples"], row["reference_samples"], row["dimensions"]) == (len(fake), len(real), fake.shape[1])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert row["distance"] == pytest.approx(frechet_distance(fake, real), rel=1e-5)
        assert row["distance_sem"] > 0
    means = measured.groupby("plan")["distance"].mean()
    assert means["noisy"] < means["noise"]


def test_a_class_without_enough_samples_or_images_is_blank_and_says_why(world, classes):
    blank = classes[classes["reason"].notna()]
    assert blank[["distance", "distance_sem", "distance_infinite"]].isna().all(axis=None)
    assert (blank[["samples", "reference_samples"]].min(axis=1) < LEAST).all()
    assert set(blank["label"]) >= {4, 9}
    none = classes[classes["label"] == 4]
    assert none["reason"].tolist() == [f"0 samples of this class; expected {LEAST} or more"] * 2
    few = blank[blank["samples"] >= LEAST]
    for images, reason in zip(few["reference_samples"], few["reason"]):
        assert reason == f"{images} training images of this class; expected {LEAST} or more"


def test_distances_biased_by_few_samples_are_told(world, tmp_path):
    weights = world["folder"] / "classifier.safetensors"
    with pytest.warns(UserWarning, match=r"distances have no more samples or training images than dimensions"):
        class_distances(DIGITS, {"noise": world["samples"]["noise"]}, tmp_path / "c.csv", classifier=weights)


@pytest.mark.parametrize("width", [5, 200])
def test_the_moments_of_a_class_do_not_depend_on_how_its_images_come(width):
    """Fewer than the dimensions, where the features themselves are kept, and more, where they are not."""
    images = np.random.default_rng(3).integers(0, 256, (60, 4, 50, 1), dtype=np.uint8)
    extractor = FeatureExtractor("classifier", lambda batch: batch.flatten(1)[:, :width].float(), None)
    whole = mean_and_root(extractor(images))
    for size in (7, 60):
        count, mean, root = _moments(extractor, [images[first : first + size] for first in range(0, 60, size)])
        assert count == 60
        assert distance_of_roots(mean, root, *whole) == pytest.approx(0, abs=1e-6)
    assert _moments(extractor, [images[:3]])[0] == 3
    assert _moments(extractor, []) == (0, None, None)
