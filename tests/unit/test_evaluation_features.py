"""Feature extractors, the classifier, references, and files that are refused by name."""

import json

import numpy as np
import pytest
import timm
import torch
from cleanfid.inception_torchscript import InceptionV3W
from cleanfid.resize import build_resizer
from inception import write_inception
from safetensors.torch import save_file

from twostage.evaluation.classifier import Classifier, train_classifier
from twostage.evaluation.features import batch_size_for, classifier, dinov2, inception, load_extractors
from twostage.evaluation.frechet import distance_of_roots, mean_and_root
from twostage.evaluation.given import image_batches, refuse_unfit_reference
from twostage.evaluation.reference import FeatureMoments, read_reference, write_reference
from twostage.provenance import write_provenance

RGB = np.random.default_rng(0).integers(0, 256, (3, 20, 24, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def true_inception(tmp_path_factory):
    """Path of a TorchScript file of the true network, and the network itself."""
    path = tmp_path_factory.mktemp("inception") / "inception-2015-12-05.pt"
    return path, write_inception(path)


@pytest.fixture
def inception_path(true_inception, monkeypatch):
    monkeypatch.setattr("twostage.data.chunks.CPU_MB", 32)  # one image at a time: chunks are filled up
    return true_inception[0]


def test_inception_features_are_clean_fids(inception_path):
    extractor = inception(inception_path, expected_sha256=None)
    theirs = InceptionV3W(str(inception_path.parent), download=False)
    resize = build_resizer("clean")
    resized = np.stack([resize(image) for image in RGB]).transpose(0, 3, 1, 2)
    with torch.no_grad():
        expected = theirs(torch.from_numpy(resized)).numpy()
    found = extractor(RGB)
    assert found.shape == (3, 2048)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert extractor.distance_name == "gFID"


def test_spatial_features_are_the_first_channels_of_adms_layer(inception_path, true_inception):
    """By a hook on the network in Python; in ADM's order, row by row with the channels last."""
    extractor, seen = inception(inception_path, expected_sha256=None), []
    network, resize = true_inception[1], build_resizer("clean")
    hook = network.layers.mixed_6.conv.register_forward_hook(lambda module, given, found: seen.append(found))
    with hook, torch.no_grad():
        network(torch.from_numpy(np.stack([resize(image) for image in RGB]).transpose(0, 3, 1, 2)))
    features, spatial = extractor.with_spatial([RGB[:2], RGB[2:]])
    assert spatial.shape == (3, 17 * 17 * 7)
    assert seen[0].shape == (3, 192, 17, 17)
    np.testing.assert_allclose(
        spatial, seen[0][:, :7].numpy().transpose(0, 2, 3, 1).reshape(3, -1), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_array_equal(features, extractor(RGB))


def test_class_probabilities_are_those_of_the_network_without_bias(inception_path):
    extractor, resize = inception(inception_path, expected_sha256=None), build_resizer("clean")
    x = torch.from_numpy(np.stack([resize(image) for image in RGB]).transpose(0, 3, 1, 2))
    with torch.no_grad():
        expected = torch.jit.load(str(inception_path))(x, no_output_bias=True)
    logits = torch.from_numpy(extractor(RGB) @ extractor.class_weights.T)
    torch.testing.assert_close(logits.softmax(1), expected, rtol=1e-4, atol=1e-7)


def test_grey_images_are_taken_as_three_equal_channels(inception_path):
    extractor = inception(inception_path, expected_sha256=None)
    grey = RGB[..., :1]
    np.testing.assert_array_equal(extractor(grey), extractor(np.repeat(grey, 3, axis=3)))


def test_inception_weights_are_checked(inception_path, tmp_path):
    with pytest.raises(ValueError, match=r"inception-2015-12-05.pt: sha256 is .*; expected f58cb9b6"):
        inception(inception_path)
    other = tmp_path / "other.pt"
    other.write_bytes(b"not a network")
    with pytest.raises(ValueError, match=r"other.pt is not clean-fid's TorchScript Inception"):
        inception(other, expected_sha256=None)
    torch.jit.script(torch.nn.Sequential(torch.nn.Linear(2, 2))).save(str(other))
    with pytest.raises(ValueError, match=r"other.pt is not clean-fid's TorchScript Inception .*layers"):
        inception(other, expected_sha256=None)
    with pytest.raises(FileNotFoundError):
        inception(tmp_path / "absent.pt")


def test_dinov2_features_come_from_a_local_file(tmp_path):
    torch.manual_seed(0)
    architecture = "vit_tiny_patch16_224"
    path = tmp_path / "dinov2.safetensors"
    model = timm.create_model(architecture, num_classes=0, img_size=32).eval()
    save_file(model.state_dict(), path)
    extractor = dinov2(path, architecture=architecture, side=32)
    found = extractor(RGB)
    assert found.shape == (3, 192)
    # An image of the network's own size is not resized: normalised pixels go in as they are.
    own = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    normalised = (own / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    with torch.no_grad():
        expected = model(torch.from_numpy(normalised).permute(0, 3, 1, 2).float()).numpy()
    np.testing.assert_allclose(extractor(own), expected, atol=1e-4)
    path.write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"dinov2.safetensors does not hold weights of vit_tiny_patch16_224"):
        dinov2(path, architecture=architecture, side=32)


def test_dinov2_weights_of_another_image_size_are_resampled(tmp_path):
    path = tmp_path / "dinov2.safetensors"
    model = timm.create_model("vit_tiny_patch16_224", num_classes=0, img_size=64)
    save_file(model.state_dict(), path)
    assert dinov2(path, architecture="vit_tiny_patch16_224", side=32)(RGB).shape == (3, 192)


def test_extractors_are_loaded_by_name():
    with pytest.raises(ValueError, match="features are 'clip'; expected one of classifier, inception, dinov2"):
        load_extractors(["clip"])
    for name in ("classifier", "inception", "dinov2"):
        with pytest.raises(ValueError, match=f"features '{name}' need a weights file"):
            load_extractors([name])


def test_batches_hold_many_small_images_and_few_large_ones():
    assert batch_size_for((8, 8, 1)) == batch_size_for((256, 256, 3)) == 256
    assert batch_size_for((1024, 1024, 3)) == 64
    assert batch_size_for((16384, 16384, 3)) == 1


# ----------------------------------------------------------------------------------------------------------- classifier


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier")
    return folder, train_classifier({"name": "digits"}, folder, steps=150, width=12, seed=1)


def test_a_short_training_already_reads_digits(trained):
    folder, accuracy = trained
    assert accuracy["test_accuracy"] > 0.9
    assert accuracy["train_images"] + accuracy["test_images"] == 1797
    assert json.loads((folder / "accuracy.json").read_text())["test_accuracy"] == accuracy["test_accuracy"]
    assert (folder / "classifier.safetensors.provenance.json").is_file()


def test_the_same_seed_trains_the_same_classifier(trained, tmp_path):
    train_classifier({"name": "digits"}, tmp_path, steps=150, width=12, seed=1)
    first, second = ((folder / "classifier.safetensors").read_bytes() for folder in (trained[0], tmp_path))
    assert first == second


def test_features_are_the_penultimate_layer(trained):
    extractor = classifier(trained[0] / "classifier.safetensors")
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), dtype=np.uint8)
    features = extractor(images)
    assert features.shape == (5, 48)
    model = extractor.network.__self__
    with torch.no_grad():
        expected = model(torch.from_numpy(images))
        torch.testing.assert_close(model.output(torch.from_numpy(features)), expected)
    np.testing.assert_allclose(extractor.of_batches([images[:2], images[2:]]), features, atol=1e-5)


def test_colour_images_of_other_sizes_fit_too():
    for shape in ((32, 32, 3), (12, 20, 1)):
        features = Classifier(shape, 4, 3).features(torch.zeros(2, *shape, dtype=torch.uint8))
        assert features.shape == (2, 16)


def test_files_that_are_no_classifier_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match=r"weights.safetensors is not a classifier of this workflow"):
        classifier(path)
    path.write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"weights.safetensors is not a classifier of this workflow"):
        classifier(path)


# ---------------------------------------------------------------------------------------------------------- references


def test_written_references_are_read_back(tmp_path):
    features = np.random.default_rng(0).standard_normal((50, 6)).astype(np.float32)
    moments = FeatureMoments()
    for start in (0, 7, 30):
        moments.add(features[start : {0: 7, 7: 30, 30: 50}[start]])
    write_reference(tmp_path / "reference.npz", moments.mean, moments.covariance, 50, features[:20])
    reference = read_reference(tmp_path / "reference.npz")
    assert reference.samples == 50
    np.testing.assert_array_equal(reference.features, features[:20])
    assert distance_of_roots(reference.mean, reference.root, *mean_and_root(features)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("kind", ["adm", "clean-fid"])
def test_references_of_adm_and_clean_fid_are_read(tmp_path, kind):
    features = np.random.default_rng(1).standard_normal((50, 6))
    content = {"mu": features.mean(0), "sigma": np.cov(features, rowvar=False)}
    if kind == "adm":
        content |= {"arr_0": RGB, "mu_s": np.zeros(3), "sigma_s": np.eye(3)}
    np.savez(tmp_path / "reference.npz", **content)
    reference = read_reference(tmp_path / "reference.npz")
    assert reference.features is None
    assert (reference.spatial is None) == (kind == "clean-fid")
    assert distance_of_roots(reference.mean, reference.root, *mean_and_root(features)) == pytest.approx(0, abs=1e-9)


def test_moments_of_a_stream_are_those_of_the_whole():
    x = 1e4 + np.random.default_rng(2).standard_normal((101, 4)) * [1, 2, 3, 4]
    moments = FeatureMoments()
    for part in np.array_split(x, 7):
        moments.add(part)
    np.testing.assert_allclose(moments.mean, x.mean(0), rtol=1e-14)
    np.testing.assert_allclose(moments.covariance, np.cov(x, rowvar=False), rtol=1e-10, atol=1e-10)


def _fails(path, why, features="classifier", **known):
    with pytest.raises(ValueError, match=why) as caught:
        refuse_unfit_reference(path, features, **known)
    assert "\n" not in str(caught.value)


def test_a_reference_is_checked_by_its_header(tmp_path):
    path = tmp_path / "reference.npz"
    np.savez(path, mu=np.zeros(32), sigma=np.eye(32), arr_0=RGB)  # as ADM's: its statistics are what counts
    assert refuse_unfit_reference(path, "classifier", width=32) == "statistics"
    _fails(path, "reference.npz: statistics of 32 features per image; classifier has 16", width=16)
    _fails(path, "statistics of 32 features per image; inception has 2048", features="inception")
    statistics = {"mu": np.zeros(2048), "sigma": np.zeros((2048, 2048))}
    np.savez(path, **statistics, mu_s=np.zeros(7), sigma_s=np.eye(7))
    _fails(path, r"mu_s has the shape \(7,\); Inception's spatial features are \(2023,\)", features="inception")
    np.savez_compressed(path, arr_0=RGB[:, :20, :20])
    assert refuse_unfit_reference(path, "classifier", image_size=20) == "images"
    _fails(path, r"reference.npz: images of .* pixels; the run's classifier sees 7 x 7", image_size=7)
    np.savez(path, arr_0=RGB.astype(np.float32))
    _fails(path, r"reference.npz is not a reference \(it holds arr_0, float32 of shape .*expected an npz")
    np.savez(path, pool_3=np.zeros((4, 3)))
    _fails(path, r"reference.npz is not a reference \(it holds pool_3\)")
    np.savez(path, mu=np.zeros(3), sigma=np.eye(2))
    _fails(path, r"reference.npz is not a reference \(mu \(3,\), sigma \(2, 2\)\)")
    path.write_bytes(b"no zip")
    _fails(path, "reference.npz is not a reference")
    path.write_text("version https://git-lfs.github.com/spec/v1\nsize 12\n")
    _fails(path, "reference.npz: this is a Git LFS pointer")


def test_the_provenance_of_statistics_has_to_agree(tmp_path):
    path = tmp_path / "reference.npz"
    write_reference(path, np.zeros(32), np.eye(32), 10, np.empty((0, 32)))
    write_provenance(path, config={"features": "classifier"}, weights_sha256="a" * 64)
    assert refuse_unfit_reference(path, "classifier", weights_sha256="a" * 64) == "statistics"
    _fails(path, "its provenance says weights_sha256 aaa.*; expected bbb", weights_sha256="b" * 64)
    _fails(path, "its provenance says features classifier; expected dinov2", features="dinov2", width=32)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_images_of_a_file_come_in_batches(tmp_path, save):
    save(tmp_path / "images.npz", arr_0=RGB)
    batches = list(image_batches(tmp_path / "images.npz", 3))
    assert max(map(len, batches)) == min(3, len(RGB))
    assert np.array_equal(np.concatenate(batches), RGB)


def test_references_that_cannot_be_used_are_refused_by_name(tmp_path):
    path = tmp_path / "reference.npz"
    np.savez(path, arr_0=RGB)
    with pytest.raises(ValueError, match=r"reference.npz is not a reference \(it lacks mu, sigma and holds arr_0\)"):
        read_reference(path)
    np.savez(path, mu=np.zeros(3), sigma=np.eye(2))
    with pytest.raises(ValueError, match=r"reference.npz .*shapes \(3,\) and \(2, 2\)"):
        read_reference(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"reference.npz is not a reference"):
        read_reference(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"reference.npz is not a reference"):
        read_reference(path)
