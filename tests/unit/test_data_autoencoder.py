"""The autoencoder that the workflow trains: it learns, repeats itself, and aligns to features when asked."""

import json
import math

import numpy as np
import pytest
import torch
from data_examples import random_dataset

from twostage.data.autoencoder import alignment_loss, train_autoencoder
from twostage.data.datasets import load_dataset
from twostage.data.encoders import load_encoder
from twostage.data.reconstruction import reconstruction_quality
from twostage.data.weights import file_metadata

SPEC = {"kind": "kl", "latent_channels": 4, "downsample": 2, "channels": [8, 16], "steps": 60, "batch_size": 16}


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits", "train")


def test_training_learns_to_reconstruct_and_the_file_holds_the_result(digits, tmp_path):
    """A constant image at the data's mean reaches 10 log10(255^2 / var), about 8.5 dB."""
    trivial = 10 * math.log10(255**2 / digits.pixels.astype(float).var())
    assert 0 < trivial < 10
    path = tmp_path / "encoder.safetensors"
    trained = train_autoencoder(digits, SPEC, 0, path)
    quality = reconstruction_quality(trained, digits, limit=200)
    assert quality["psnr"] > trivial + 4
    loaded = load_encoder(SPEC, path)
    images = torch.from_numpy(digits.images(range(5)))
    assert torch.equal(loaded.encode(images), trained.encode(images))
    assert loaded.sha256 == trained.sha256
    assert loaded.latent_shape(digits.image_shape) == (4, 4, 4)
    assert file_metadata(path)["recipe"]["steps"] == 60
    assert path.stat().st_mode & 0o044  # others may read it, as every other file


def test_training_repeats_itself_and_follows_its_seed(tmp_path):
    dataset = random_dataset(20, shape=(8, 8, 3))
    digests = [
        train_autoencoder(dataset, {**SPEC, "steps": 3}, seed, tmp_path / "encoder.safetensors").sha256
        for seed in (0, 0, 1)
    ]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"downsample": 4}, "downsample is 4 with 2 levels of channels; expected 2"),
        (
            {"channels": [8, 16, 16, 16, 16], "downsample": 16},
            "8 x 8 pixels; the kl encoder expects sides that 16 divides",
        ),
        ({"align_weight": 0.5}, "there are no features"),
    ],
)
def test_what_cannot_be_trained_is_refused(digits, tmp_path, spec, why):
    with pytest.raises(ValueError, match=why):
        train_autoencoder(digits, {**SPEC, **spec}, 0, tmp_path / "encoder.safetensors")
    assert not list(tmp_path.iterdir())


# ----------------------------------------------------------------------------------------------------------- alignment


def test_the_alignment_loss_is_zero_when_aligned_and_known_when_not():
    features = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    assert alignment_loss(features * 3, features, 0.0, 0.0) == 0
    # Opposite vectors: cosine -1, distances among themselves unchanged.
    assert alignment_loss(-features, features, 0.0, 0.0) == 2
    assert alignment_loss(-features, features, 0.5, 0.25) == 1.5
    # Both points on the first feature: cosines 1 and 0, one pair (counted twice of four) off by 1.
    collapsed = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    assert alignment_loss(collapsed, features, 0.0, 0.0) == 0.5 + 0.5
    # Inside the margins nothing is asked for.
    near = torch.tensor([[[1.0, 0.1], [0.1, 1.0]]])
    assert alignment_loss(near, features, 0.5, 0.25) == 0


def _linear_agreement(encoder, dataset, features):
    """Mean cosine between the features and their best linear prediction from the latents."""
    latents = encoder.encode(torch.from_numpy(dataset.pixels)).flatten(1).double()
    latents = torch.cat([latents, torch.ones(len(latents), 1)], dim=1)
    targets = torch.as_tensor(features).double().flatten(1)
    predicted = latents @ torch.linalg.lstsq(latents, targets).solution
    return torch.nn.functional.cosine_similarity(predicted, targets).mean().item()


def test_alignment_brings_features_into_the_latent(digits, tmp_path):
    """One-hot classes are features that a linear map cannot read off the plain latent of so narrow an encoder."""
    features = np.eye(10, dtype=np.float32)[digits.labels]
    narrow = {**SPEC, "latent_channels": 1, "steps": 60}
    plain = train_autoencoder(digits, narrow, 0, tmp_path / "plain.safetensors")
    aligned = train_autoencoder(
        digits, {**narrow, "align_weight": 1.0}, 0, tmp_path / "aligned.safetensors", features=features
    )
    assert _linear_agreement(aligned, digits, features) > _linear_agreement(plain, digits, features) + 0.02
    assert file_metadata(tmp_path / "aligned.safetensors")["recipe"]["align_weight"] == 1.0


@pytest.mark.parametrize("maps", [False, True])
def test_features_may_be_an_array_or_a_callable(tmp_path, maps):
    dataset = random_dataset(20, shape=(8, 8, 3))

    def features_of(images):
        x = torch.as_tensor(images).permute(0, 3, 1, 2).float() / 255
        return torch.nn.functional.avg_pool2d(x, 4) if maps else x.mean((2, 3))

    array = features_of(dataset.pixels).numpy()
    spec = {**SPEC, "steps": 2, "align_weight": 0.5}
    runs = [
        train_autoencoder(dataset, spec, 0, tmp_path / "encoder.safetensors", features=features).sha256
        for features in (array, features_of)
    ]
    assert runs[0] == runs[1]
    with pytest.raises(ValueError, match="19 features for 20 training images"):
        train_autoencoder(dataset, spec, 0, tmp_path / "encoder.safetensors", features=array[1:])


def test_the_recipe_is_json_in_the_file(tmp_path):
    dataset = random_dataset(20, shape=(8, 8, 3))
    train_autoencoder(dataset, {**SPEC, "steps": 1, "lr": None}, 4, tmp_path / "encoder.safetensors")
    recipe = file_metadata(tmp_path / "encoder.safetensors")["recipe"]
    assert recipe["seed"] == 4
    assert recipe["dataset"] == dataset.fingerprint
    assert recipe["lr"] > 0
    assert json.dumps(recipe)
