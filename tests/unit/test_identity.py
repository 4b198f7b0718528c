"""What is read is what belongs in its place: stores of the right split, models of the right size, step and latents."""

import re
import shutil

import pytest
import torch
from training_examples import ARCHITECTURE, RECIPE, SIZES, write_latents

from twostage.data.datasets import ArrayDataset
from twostage.data.encode import encode
from twostage.data.encoders import Encoder
from twostage.data.held_out import open_held_out
from twostage.data.latents import LatentStore
from twostage.model.checkpoints import load_model, read_header, save_model
from twostage.model.identity import refuse_other_model
from twostage.model.lightningdit import LightningDiT
from twostage.training.loop import train


class Other(Encoder):
    kind, sha256 = "kl", "f" * 64


@pytest.fixture
def stores(tmp_path):
    """Paths of a training store and of its held-out store."""
    random = torch.Generator().manual_seed(0)
    paths = {}
    for split, count in (("train", 30), ("held_out", 12)):
        images = torch.randint(256, (count, 4, 4, 2), generator=random).to(torch.uint8).numpy()
        dataset = ArrayDataset("random", split, images, [number % 3 for number in range(count)], list("abc"))
        paths[split] = tmp_path / f"{split}.h5"
        encode(dataset, Encoder(), paths[split], statistics=paths["train"] if split == "held_out" else None)
        encode(dataset, Other(), tmp_path / f"other-{split}.h5")
    return paths


def test_a_store_is_opened_as_the_split_that_it_is_of(stores):
    train_store = LatentStore.open(stores["train"], split="train")
    assert len(open_held_out(stores["held_out"], train_store)) == 12
    with pytest.raises(ValueError, match=r"held_out\.h5: latents of the held_out split; expected those of the train"):
        LatentStore.open(stores["held_out"], split="train")
    with pytest.raises(ValueError, match=r"train\.h5: latents of the train split; expected those of the held_out"):
        open_held_out(stores["train"], train_store)


def _say(path, **attributes):
    import h5py

    with h5py.File(path, "a") as file:
        for key, value in attributes.items():
            file.attrs.pop(key, None)
            if value is not None:
                file.attrs[key] = value


@pytest.mark.parametrize("said", ["held_out", None])
def test_a_copy_of_the_training_store_is_no_held_out_store(stores, tmp_path, said):
    shutil.copy(stores["train"], tmp_path / "copy.h5")
    _say(tmp_path / "copy.h5", split=said)
    train_store = LatentStore.open(stores["train"])
    with pytest.raises(ValueError, match=r"copy\.h5 holds the same latents as .*train\.h5"):
        open_held_out(tmp_path / "copy.h5", train_store)


def test_held_out_latents_are_of_the_same_space(stores, tmp_path):
    train_store = LatentStore.open(stores["train"])
    with pytest.raises(ValueError, match=r"other-held_out\.h5 was made by another encoder \(f{64}\) than"):
        open_held_out(tmp_path / "other-held_out.h5", train_store)
    _say(stores["held_out"], normalise_std=[1.0, 2.0])
    with pytest.raises(ValueError, match=r"held_out\.h5 is not normalised by the statistics of"):
        open_held_out(stores["held_out"], train_store)


def test_a_store_that_does_not_say_its_split_is_taken(stores):
    _say(stores["train"], split=None)
    assert len(LatentStore.open(stores["train"], split="train")) == 30


def test_no_model_is_trained_on_held_out_latents(stores, tmp_path):
    with pytest.raises(ValueError, match="expected those of the train split"):
        train(stores["held_out"], ARCHITECTURE, RECIPE, tmp_path / "out")


# --------------------------------------------------------------------------------------------------------------- models


def test_a_snapshot_says_what_it_was_trained_on(tmp_path):
    (tmp_path / "pixel").mkdir()
    path = write_latents(tmp_path / "pixel/latents.h5")
    store = LatentStore.open(path)
    assert train(path, ARCHITECTURE, {**RECIPE, "steps": 4}, tmp_path / "out")
    snapshot = tmp_path / "out/step-0000004.safetensors"
    architecture, metadata = read_header(snapshot)
    assert metadata["latents"]["space"] == "pixel"
    assert metadata["latents"]["fingerprint"] == store.fingerprint
    expected = {"architecture": ARCHITECTURE, "target": "cfm", "step": 4}
    refuse_other_model(snapshot, architecture, metadata, store, expected)
    for change, message in (
        ({"architecture": {**ARCHITECTURE, "hidden_size": 32}}, "a model of hidden_size 16; expected hidden_size 32"),
        ({"target": "oracle"}, "a model of training target cfm; expected target oracle"),
        ({"step": 2}, "a model of training step 4; expected step 2"),
    ):
        with pytest.raises(ValueError, match=f"step-0000004.safetensors: {message}"):
            refuse_other_model(snapshot, architecture, metadata, store, expected | change)


@pytest.fixture
def model(tmp_path):
    """A file of a model, as it says itself, to be given metadata."""

    def write(**metadata):
        path = tmp_path / "model.safetensors"
        save_model(path, LightningDiT(**SIZES), **metadata)
        loaded = load_model(path)
        return path, loaded.architecture, loaded.metadata

    return write


def test_a_model_of_another_latent_space_is_refused(model, tmp_path):
    store = LatentStore.open(write_latents(tmp_path / "latents.h5"))
    theirs = {"space": "vae", "encoder": "kl", "encoder_sha256": "f" * 64}
    message = (
        "model.safetensors: a model of another latent space (latent space 'vae', encoder kl); expected encoder ident"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        refuse_other_model(*model(latents=theirs), store)
    with pytest.raises(ValueError, match=r"encoder_sha256 f{64}"):
        refuse_other_model(*model(latents={**theirs, "encoder": "identity"}), store)


def test_a_model_that_says_nothing_is_taken_where_its_sizes_fit(model, tmp_path):
    expected = {"architecture": ARCHITECTURE, "target": "oracle", "step": 9}
    refuse_other_model(*model(), LatentStore.open(write_latents(tmp_path / "latents.h5")), expected)
    unknown = {"encoder": "identity", "encoder_sha256": "unknown"}
    refuse_other_model(*model(latents=unknown), LatentStore.open(tmp_path / "latents.h5"))
    other = LatentStore.open(write_latents(tmp_path / "two.h5", counts=(9, 7)))
    with pytest.raises(ValueError, match=r"made for latents of num_classes 3; expected 2, as"):
        refuse_other_model(*model(), other)
