"""Reconstructions beside their originals: the table's numbers, and the features that an autoencoder is aligned to."""

import numpy as np
import pandas as pd
import pytest
import torch

from twostage.data.autoencoder import train_autoencoder
from twostage.data.datasets import load_dataset
from twostage.data.encoders import load_encoder
from twostage.data.reconstruction import reconstruction_quality
from twostage.evaluation.classifier import load_classifier, train_classifier, write_features
from twostage.evaluation.reconstruction import measure_reconstruction
from twostage.report.figures import tab_reconstruction

DIGITS = {"name": "digits", "held_out": 0.2, "seed": 0, "image_size": 8}
KL = {"kind": "kl", "latent_channels": 2, "downsample": 2, "channels": [8, 8], "steps": 3, "batch_size": 8}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier")
    train_classifier(DIGITS, folder, steps=5, width=4)
    return folder / "classifier.safetensors"


def test_features_of_the_training_images_in_their_order(classifier, tmp_path):
    write_features(DIGITS, classifier, tmp_path / "features.npy", batch=100)
    found = np.load(tmp_path / "features.npy")
    train = load_dataset("digits", "train", held_out=0.2)
    assert found.shape == (len(train), 16)
    with torch.no_grad():
        expected = load_classifier(classifier).features(torch.from_numpy(train.images([0, 700, 1437])))
    np.testing.assert_allclose(found[[0, 700, 1437]], expected.numpy(), rtol=1e-4, atol=1e-5)


def test_pixels_as_they_are_lose_nothing(classifier, tmp_path):
    table = measure_reconstruction(
        DIGITS, {"kind": "identity"}, None, tmp_path / "r.csv", images=50, classifier=classifier
    )
    assert table["split"].tolist() == ["train", "held_out"]
    assert table["images"].tolist() == [50, 50]
    assert (table["mse"] == 0).all()
    assert np.isinf(table["psnr"]).all()
    assert (table["distance"].abs() < 1e-8).all()
    _, rows = tab_reconstruction.cells(tab_reconstruction.drawn({"pixel": tmp_path / "r.csv"}))
    assert [row[2].text for row in rows] == ["exact", "exact"]
    assert [row[1].text for row in rows] == ["50 training", "50 held-out"]


def test_a_lossy_space_is_measured_as_the_autoencoder_says(classifier, tmp_path):
    train, held_out = (load_dataset("digits", split, held_out=0.2) for split in ("train", "held_out"))
    train_autoencoder(train, KL, 0, tmp_path / "kl.safetensors")
    paths = {"pixel": tmp_path / "pixel.csv", "vae": tmp_path / "vae.csv"}
    for space, (spec, weights) in {
        "pixel": ({"kind": "identity"}, None),
        "vae": (KL, tmp_path / "kl.safetensors"),
    }.items():
        measure_reconstruction(DIGITS, spec, weights, paths[space], images=400, classifier=classifier)
    table = pd.read_csv(paths["vae"])
    quality = reconstruction_quality(load_encoder(KL, tmp_path / "kl.safetensors"), held_out)
    assert table["psnr"][1] == pytest.approx(quality["psnr"], rel=1e-4)
    assert (table["distance"] > 1e-5).all()
    outputs = {kind: tmp_path / f"table.{kind}" for kind in ("pdf", "png", "csv", "html")}
    tab_reconstruction.draw(paths, **{f"output_{kind}": path for kind, path in outputs.items()})
    assert all(path.stat().st_size > 0 for path in outputs.values())
    assert "rFID" not in outputs["html"].read_text().split("<table")[1].split("</table")[0]
