"""NaN never becomes a number: whatever enters with one is refused, by file and array."""

import h5py
import numpy as np
import pytest
import torch
from data_examples import random_dataset, write_random_store
from safetensors.torch import save_file
from test_data_encoders import ldm_checkpoint, make_ldm
from test_model_lightningdit import random_model

from twostage.data.encode import encode
from twostage.data.encoders import Encoder, load_encoder
from twostage.data.interchange import import_repa
from twostage.data.latents import LatentStore
from twostage.evaluation.classifier import Classifier, load_classifier
from twostage.evaluation.features import FeatureExtractor
from twostage.evaluation.frechet import covariance_root, mean_and_root
from twostage.evaluation.reference import read_reference
from twostage.finite import finite, finite_weights
from twostage.model.checkpoints import export_published, import_published, load_model, save_model
from twostage.training.state import StateFolder


def test_finite_values_whose_sum_overflows_are_finite():
    for large in (np.full(4, 3e38, dtype=np.float32), torch.full((4,), 6e4, dtype=torch.float16)):
        assert finite(large, "large", "") is large
    with pytest.raises(ValueError, match="2 of 3 values"):
        finite(np.array([np.inf, 0, -np.inf]), "both infinities", "")


@pytest.mark.parametrize("make", [np.asarray, torch.tensor], ids=["numpy", "torch"])
def test_the_error_says_what_where_and_how_many(make):
    good = make([[1.0, 2.0], [3.0, 4.0]])
    assert finite(good, "a.h5: x", "mend it") is good
    assert finite(make([1, 2]), "whole numbers", "") is not None
    bad = make([[1.0, 2.0], [float("inf"), float("nan")]])
    message = r"a\.h5: x: 2 of 4 values are not finite \(NaN or infinity\), the first at index \[1, 0\]; mend it"
    with pytest.raises(ValueError, match=message):
        finite(bad, "a.h5: x", "mend it")
    with pytest.raises(ValueError, match="the first in row 9;"):
        finite(bad, "a.h5: x", "mend it", rows=[4, 9])


def test_of_several_tensors_the_first_bad_one_is_named():
    tensors = {"a": torch.zeros(2), "b": torch.tensor([1.0, torch.nan]), "c": torch.full((3,), torch.inf)}
    with pytest.raises(ValueError, match=r"w\.pt: weights b \(and 1 tensors more\): 1 of 2 values is not finite"):
        finite_weights(tensors, "w.pt")
    assert finite_weights({"half": torch.ones(2, dtype=torch.bfloat16), "count": torch.tensor(3)}, "w.pt")


# -------------------------------------------------------------------------------------------------------------- weights


def test_models_with_bad_weights_are_refused(tmp_path):
    model = random_model()
    with torch.no_grad():
        model.blocks[0].attn.qkv.weight[1, 2] = torch.nan
    save_model(tmp_path / "m.safetensors", model)
    export_published(tmp_path / "m.pt", model)
    for read, path in ((load_model, "m.safetensors"), (import_published, "m.safetensors"), (import_published, "m.pt")):
        with pytest.raises(ValueError, match=r"m\.(pt|safetensors): weights blocks\.0\.attn\.qkv\.weight: 1 of"):
            read(tmp_path / path)


def test_a_training_goes_on_from_the_checkpoint_before_a_bad_one(tmp_path, capsys):
    state = StateFolder(tmp_path)
    state.folder.mkdir()
    state.save(1, {"model.x": torch.ones(2)})
    state.save(2, {"model.x": torch.tensor([1.0, torch.nan])})
    assert state.newest()[0] == 1
    assert "weights model.x: 1 of 2 values" in capsys.readouterr().err


def test_autoencoders_and_classifiers_with_bad_weights_are_refused(tmp_path):
    checkpoint = ldm_checkpoint(make_ldm("va-vae"))
    checkpoint["state_dict"]["decoder.conv_out.bias"][0] = torch.inf
    torch.save(checkpoint, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"w\.pt: weights decoder\.conv_out\.bias: 1 of 3 values is not finite"):
        load_encoder({"kind": "va-vae"}, tmp_path / "w.pt")

    model, path = Classifier((4, 4, 1), 4, 3), tmp_path / "classifier.safetensors"
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    state["output.bias"] = torch.full_like(state["output.bias"], torch.nan)
    header = '{"architecture": {"image_shape": [4, 4, 1], "width": 4, "num_classes": 3}}'
    save_file(state, path, {"twostage": header})
    with pytest.raises(ValueError, match=r"classifier\.safetensors: weights output\.bias: 3 of 3 values"):
        load_classifier(path)


# ------------------------------------------------------------------------------------------------------ latents, images


class Broken(Encoder):
    """Encodes the seventh image of the data set to NaN."""

    def encode(self, images, noise=None):
        latents = super().encode(images)
        latents[:, 0, 0, 0] = torch.nan
        return latents


def test_latents_are_refused_when_encoded(tmp_path):
    with pytest.raises(ValueError, match=r"x\.h5: /latents to write: .* the first in row 0; check the encoder"):
        encode(random_dataset(shape=(4, 4, 3)), Broken(), tmp_path / "x.h5")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["latents", "latents_flip"])
def test_latents_are_refused_when_read(tmp_path, name):
    path = tmp_path / "x.h5"
    write_random_store(path, flips=True)
    with h5py.File(path, "a") as file:
        file[name][4, 0, 1, 1] = np.nan
    store = LatentStore.open(path)
    mirrored = name == "latents_flip"
    assert len(store.read([0, 3], flipped=mirrored)) == 2
    for rows, flipped in (([0, 4], mirrored), ([4, 0], [mirrored, not mirrored])):
        with pytest.raises(ValueError, match=rf"x\.h5: /{name}: 1 of .* the first in row 4; encode it again"):
            store.read(rows, flipped=flipped)
    with pytest.raises(ValueError, match=rf"/{name}: 1 of"):
        store.class_data()


@pytest.mark.parametrize("name", ["mean", "std"])
def test_a_store_cannot_be_normalised_by_nan(tmp_path, name):
    write_random_store(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5", "a") as file:
        file.attrs[f"normalise_{name}"] = [1.0, np.nan]
    with pytest.raises(ValueError, match=rf"x\.h5: {name} of the channels: 1 of 2 values is not finite"):
        LatentStore.open(tmp_path / "x.h5")


def test_imported_latents_are_refused_by_their_file(tmp_path):
    folder = tmp_path / "repa"
    folder.mkdir()
    (folder / "dataset.json").write_text('{"labels": [["img-mean-std-0.npy", 0], ["img-mean-std-1.npy", 1]]}')
    for number in range(2):
        np.save(folder / f"img-mean-std-{number}.npy", np.full((2, 2, 2), np.nan if number else 1.0))
    with pytest.raises(ValueError, match=r"img-mean-std-1\.npy: mean and standard deviation: 8 of 8 values"):
        import_repa(folder, tmp_path / "x.h5")


def test_no_image_is_made_of_nan():
    latents = torch.zeros(2, 1, 2, 2)
    latents[1, 0, 1, 1] = torch.nan
    with pytest.raises(ValueError, match=r"images that the identity encoder decoded: 1 of 8 .* index \[1, 0, 1, 1\]"):
        Encoder().decode(latents)


# ------------------------------------------------------------------------------------------------ features, references


def test_features_are_refused_by_their_extractor():
    extractor = FeatureExtractor("classifier", lambda images: images.flatten(1).float() / 0, None)
    with pytest.raises(ValueError, match="classifier features of a batch of images: 4 of 4 values are not finite"):
        extractor(np.ones((1, 2, 2, 1), dtype=np.uint8))


MU, SIGMA = np.zeros(3), np.diag([3.0, 2.0, 1.0])
FEATURES = np.random.default_rng(0).standard_normal((5, 3))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"mu": MU + np.nan, "sigma": SIGMA}, "mean: 3 of 3 values are not finite"),
        ({"mu": MU, "sigma": np.where(SIGMA == 2, np.inf, SIGMA)}, "covariance: 1 of 9 values is not finite"),
        ({"mu": MU, "sigma": np.diag([3.0, -1.0, 1.0])}, r"eigenvalue of -1 \(the largest is 3\)"),
        ({"mu": MU, "sigma": np.full((3, 3), 2.0) - np.eye(3)}, r"eigenvalue of -1 \(the largest is 5\)"),
        ({"mu": MU, "sigma": np.triu(np.full((3, 3), 0.5)) + SIGMA}, "not symmetric: entries differ by 0.5"),
        ({"mu": MU, "sigma": SIGMA, "features": FEATURES[:, :2]}, r"features \(5, 2\) beside a mean \(3,\)"),
        ({"mu": MU, "sigma": SIGMA, "features": FEATURES * np.nan}, "features: 15 of 15 values are not finite"),
        ({"mu": MU, "sigma": -SIGMA, "features": FEATURES, "samples": 5}, "eigenvalue of -3"),
    ],
)
def test_references_that_are_no_statistics_are_refused(tmp_path, content, why):
    np.savez(tmp_path / "r.npz", **content)
    with pytest.raises(ValueError, match=rf"r\.npz is not a reference .*{why}"):
        read_reference(tmp_path / "r.npz")


def test_one_sample_has_no_distance():
    with pytest.raises(ValueError, match="features of 1 images; expected two or more"):
        mean_and_root(FEATURES[:1])


def test_rounding_of_a_singular_covariance_is_no_fault():
    x = np.random.default_rng(1).standard_normal((40, 60)).astype(np.float32)
    sigma = np.cov(x, rowvar=False, dtype=np.float32)
    root = covariance_root(sigma, np.zeros(60))
    assert np.linalg.eigvalsh(sigma.astype(float))[0] < 0
    assert np.abs(root.T @ root - sigma).max() < 1e-5


def test_samples_are_not_compared_with_a_reference_of_another_width(tmp_path):
    np.savez(tmp_path / "r.npz", mu=MU, sigma=SIGMA)
    reference = read_reference(tmp_path / "r.npz")
    assert reference.checked(FEATURES)[0] is FEATURES
    with pytest.raises(ValueError, match=r"r\.npz: a reference of 3 features per image; the samples have 2"):
        reference.checked(FEATURES[:, :2])
