"""What latents are normalised by, where it is not their own statistics per channel."""

import json

import numpy as np
import pytest
import torch
from data_examples import random_dataset
from training_examples import ARCHITECTURE, write_latents

from twostage.data.encode import encode, join
from twostage.data.encoders import Encoder
from twostage.data.held_out import open_held_out
from twostage.data.interchange import import_npy
from twostage.data.latents import LatentStore
from twostage.model.identity import refuse_other_model

ASKED = json.dumps({"mean": [0, 1, 2], "std": 0.25})


def test_one_std_for_all_channels_makes_their_variance_1_together(tmp_path):
    encode(random_dataset(), Encoder(), tmp_path / "latents.h5", normalise='"all"')
    store = LatentStore.open(tmp_path / "latents.h5")
    z = store.read(slice(None)).double()
    assert len(set(store.std.tolist())) == 1
    torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(3, dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(z.square().mean(), torch.ones((), dtype=torch.float64), atol=1e-6, rtol=0)
    assert z.var((0, 2, 3)).max() > 1.01 * z.var((0, 2, 3)).min()  # by channel they would be equal


@pytest.mark.parametrize("normalise", ['"all"', ASKED])
def test_shards_that_are_joined_are_normalised_as_the_whole_and_so_are_held_out_images(tmp_path, normalise):
    dataset = random_dataset()
    encode(dataset, Encoder(), tmp_path / "whole.h5", normalise=normalise)
    shards = [tmp_path / f"{k}.h5" for k in range(3)]
    for number, path in enumerate(shards):
        encode(dataset, Encoder(), path, shard=number, shards=3, normalise=normalise)
    join(shards, tmp_path / "joined.h5")
    whole, joined = (LatentStore.open(tmp_path / f"{name}.h5") for name in ("whole", "joined"))
    assert joined.fingerprint == whole.fingerprint
    torch.testing.assert_close(joined.mean, whole.mean, rtol=0, atol=1e-13)
    torch.testing.assert_close(joined.std, whole.std, rtol=1e-13, atol=0)
    if normalise == ASKED:
        assert whole.mean.tolist() == [0, 1, 2]
        assert whole.std.tolist() == [0.25] * 3
    held_out = random_dataset(seed=1, split="held_out")
    encode(held_out, Encoder(), tmp_path / "held_out.h5", statistics=tmp_path / "whole.h5", normalise=normalise)
    assert torch.equal(open_held_out(tmp_path / "held_out.h5", whole).std, whole.std)


def test_another_normalisation_is_another_store_and_is_made_again(tmp_path):
    path, stores = tmp_path / "latents.h5", []
    for normalise in (None, '"all"', ASKED):
        assert encode(random_dataset(), Encoder(), path, normalise=normalise)
        assert not encode(random_dataset(), Encoder(), path, normalise=normalise)
        stores.append(LatentStore.open(path))
    assert len({store.fingerprint for store in stores}) == 3
    shards = [tmp_path / "0.h5", tmp_path / "1.h5"]
    for number, normalise in enumerate((None, '"all"')):
        encode(random_dataset(), Encoder(), shards[number], shard=number, shards=2, normalise=normalise)
    with pytest.raises(ValueError, match=r'1.h5: normalise is "all"; expected None'):
        join(shards, tmp_path / "joined.h5")


def test_imported_latents_are_normalised_as_asked(tmp_path):
    latents = np.random.default_rng(0).normal(size=(6, 3, 2, 2)).astype(np.float32)
    np.save(tmp_path / "mine.npy", latents)
    np.save(tmp_path / "labels.npy", np.zeros(6, int))
    import_npy(tmp_path / "mine.npy", tmp_path / "latents.h5", normalise=ASKED)
    store = LatentStore.open(tmp_path / "latents.h5")
    expected = (latents - np.array([0, 1, 2]).reshape(3, 1, 1)) / 0.25
    torch.testing.assert_close(store.read(slice(None)), torch.from_numpy(expected).float())
    with pytest.raises(ValueError, match="normalise has a std of 2 channels; expected one number, or 3"):
        import_npy(tmp_path / "mine.npy", tmp_path / "x.h5", normalise=json.dumps({"mean": 0, "std": [1, 2]}))


def test_a_model_of_latents_that_were_normalised_otherwise_is_refused(tmp_path):
    store = LatentStore.open(write_latents(tmp_path / "latents.h5"))
    sizes = {**ARCHITECTURE, "input_size": 4, "in_channels": 2, "num_classes": 3}
    trained = {"latents": {"fingerprint": "0" * 64, "normalise": '"all"'}}
    with pytest.raises(ValueError, match=r'normalised otherwise \("all"\); expected by channel'):
        refuse_other_model("m.safetensors", sizes, trained, store)
    refuse_other_model("m.safetensors", sizes, {"latents": {"fingerprint": "0" * 64}}, store)
