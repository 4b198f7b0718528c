"""Encoding: shards that join to the whole, restarts, unusable images, flips, samples of the posterior, a full disk."""

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from data_examples import random_dataset, write_images

from twostage.data.datasets import load_dataset
from twostage.data.encode import encode, join
from twostage.data.encoders import Encoder
from twostage.data.latents import LatentStore


class NoisyEncoder(Encoder):
    """Pixels plus a fixed sample: stands for an encoder that gives a distribution."""

    kind, sha256, posterior = "noisy", "a" * 64, "sample"

    def encode(self, images, noise=None):
        return super().encode(images) + 0.5 * noise


def whole_and_joined(folder, dataset, encoder, shards, **options):
    """The same data set encoded in one go and in shards."""
    encode(dataset, encoder, folder / "whole.h5", **options)
    paths = [folder / "shards" / f"{number}.h5" for number in range(shards)]
    for number, path in enumerate(paths):
        assert encode(dataset, encoder, path, shard=number, shards=shards, batch_size=3, workers=2, **options)
    join(paths[::-1], folder / "joined.h5")  # in any order
    return LatentStore.open(folder / "whole.h5"), LatentStore.open(folder / "joined.h5"), paths


@pytest.mark.parametrize("encoder", [Encoder(), NoisyEncoder()])
@pytest.mark.parametrize("flips", [False, True])
@pytest.mark.parametrize("shards", [1, 4, 30])
def test_joined_shards_are_the_whole(tmp_path, encoder, flips, shards):
    dataset = random_dataset()
    whole, joined, _ = whole_and_joined(tmp_path, dataset, encoder, shards, flips=flips)
    assert torch.equal(joined.read(slice(None), normalised=False), whole.read(slice(None), normalised=False))
    assert np.array_equal(joined.labels, whole.labels)
    assert np.array_equal(joined.source, whole.source)
    assert joined.fingerprint == whole.fingerprint
    torch.testing.assert_close(joined.mean, whole.mean, rtol=0, atol=1e-13)
    torch.testing.assert_close(joined.std, whole.std, rtol=1e-13, atol=0)
    assert joined.has_flips == flips
    rows = np.random.default_rng(0).integers(0, 30, 50)  # across shards, with repetitions
    assert torch.equal(
        joined.read(rows, normalised=False, flipped=flips), whole.read(rows, normalised=False, flipped=flips)
    )


def test_joining_copies_nothing(tmp_path):
    dataset = random_dataset(400, shape=(16, 16, 3))
    whole, joined, paths = whole_and_joined(tmp_path, dataset, Encoder(), 5)
    latents = 400 * 16 * 16 * 3 * 4
    assert whole.path.stat().st_size > latents
    assert joined.path.stat().st_size < latents / 20
    assert sum(path.stat().st_size for path in paths) > latents


def test_the_store_holds_the_images_sorted_by_class_and_their_mirrors(tmp_path):
    dataset = random_dataset()
    encode(dataset, Encoder(), tmp_path / "latents.h5", flips=True)
    store = LatentStore.open(tmp_path / "latents.h5")
    assert np.array_equal(store.labels, dataset.labels[store.source])
    assert sorted(store.source) == list(range(30))
    assert (np.diff(store.labels) >= 0).all()
    encoder = Encoder()
    for flipped in (False, True):
        decoded = encoder.decode(store.denormalise(store.read(slice(None), flipped=flipped)))
        images = dataset.images(store.source)
        assert np.array_equal(decoded, images[:, :, ::-1] if flipped else images)


def test_a_held_out_store_is_normalised_by_the_training_split(tmp_path):
    encode(random_dataset(), Encoder(), tmp_path / "latents.h5")
    train = LatentStore.open(tmp_path / "latents.h5")
    held_out = random_dataset(8, seed=1, split="held_out")
    encode(held_out, Encoder(), tmp_path / "held_out.h5", statistics=tmp_path / "latents.h5")
    store = LatentStore.open(tmp_path / "held_out.h5")
    assert torch.equal(store.mean, train.mean)
    assert torch.equal(store.std, train.std)
    raw = store.read(slice(None), normalised=False)
    np.testing.assert_allclose(store.attributes["mean"], raw.double().mean((0, 2, 3)), rtol=1e-12)
    assert store.attributes["split"] == "held_out"
    with pytest.raises(ValueError, match=r"latents\.h5: made by another encoder"):
        encode(held_out, NoisyEncoder(), tmp_path / "other.h5", statistics=tmp_path / "latents.h5")


def test_a_fixed_sample_depends_on_the_seed_and_the_image_alone(tmp_path):
    dataset = random_dataset()
    stores = {}
    for name, options in {"a": {}, "again": {"batch_size": 7}, "b": {"seed": 1}}.items():
        encode(dataset, NoisyEncoder(), tmp_path / f"{name}.h5", flips=True, **options)
        stores[name] = LatentStore.open(tmp_path / f"{name}.h5")
    assert torch.equal(stores["a"].class_data(), stores["again"].class_data())
    assert not torch.equal(stores["a"].class_data(), stores["b"].class_data())
    assert stores["b"].attributes["posterior"] == "sample, seed 1"
    plain, mirrored = (stores["a"].read(slice(None), normalised=False, flipped=flag) for flag in (False, True))
    assert not torch.equal(plain, mirrored.flip(3))  # a mirrored image has noise of its own


# ------------------------------------------------------------------------------------------------------------ restarts


def test_a_restart_encodes_what_is_missing_or_other(tmp_path):
    dataset, path = random_dataset(), tmp_path / "shard.h5"
    again = lambda **options: encode(  # noqa: E731
        options.pop("dataset", dataset), Encoder(), path, **{"shard": 1, "shards": 3, **options}
    )
    assert again()
    assert not again()
    path.write_bytes(path.read_bytes()[:-8])
    assert again()  # truncated
    assert again(flips=True)
    assert again()
    assert again(shard=2)
    assert again(dataset=random_dataset(seed=5), shard=2)
    encode(random_dataset(seed=9), Encoder(), tmp_path / "train.h5")
    assert again(dataset=random_dataset(seed=5), shard=2, statistics=tmp_path / "train.h5")
    assert not again(dataset=random_dataset(seed=5), shard=2, statistics=tmp_path / "train.h5")


def test_shards_that_do_not_belong_together_are_refused(tmp_path):
    dataset = random_dataset()
    shard = lambda name, number, data=dataset, encoder=None, **options: (  # noqa: E731
        encode(data, encoder or Encoder(), tmp_path / name, shard=number, shards=3, **options),
        tmp_path / name,
    )[1]
    good = [shard(f"{number}.h5", number) for number in range(3)]
    for shards, why in [
        ([], "no shards to join"),
        (good[:2], "shards 1/3, 2/3; expected each of 1 to 3 once"),
        ([*good, good[0]], "expected each of 1 to 3 once"),
        ([*good[:2], shard("noisy.h5", 2, encoder=NoisyEncoder())], r"noisy\.h5: encoder is noisy; expected identity"),
        ([*good[:2], shard("other.h5", 2, random_dataset(seed=7))], r"other\.h5: dataset_fingerprint is"),
        ([*good[:2], shard("flips.h5", 2, flips=True)], r"flips\.h5: other latent shape or flips"),
        ([*good[:2], tmp_path / "absent.h5"], r"absent\.h5: no such file"),
    ]:
        with pytest.raises(ValueError, match=why):
            join(shards, tmp_path / "joined.h5")
    assert not (tmp_path / "joined.h5").exists()


@pytest.mark.parametrize(("shard", "shards"), [(3, 3), (-1, 3), (0, 31)])
def test_shards_beyond_the_data_are_refused(tmp_path, shard, shards):
    with pytest.raises(ValueError, match="shard"):
        encode(random_dataset(), Encoder(), tmp_path / "x.h5", shard=shard, shards=shards)


# ----------------------------------------------------------------------------------------------------- unusable images


@pytest.fixture
def damaged(tmp_path):
    """Two classes of ten images, two of which cannot be read."""
    for name in ("ant", "bee"):
        write_images(tmp_path / "images" / name, [(16, 16)] * 10, suffix=".png")
    for path in (tmp_path / "images" / "ant" / "003.png", tmp_path / "images" / "bee" / "009.png"):
        path.write_bytes(b"damaged")
    return tmp_path / "images"


def _load(folder, max_corrupt):
    return load_dataset("image_folder", "train", path=folder, held_out=0.0, image_size=16, max_corrupt=max_corrupt)


def test_an_unusable_image_stops_the_encoding_by_path(damaged, tmp_path):
    with pytest.raises(ValueError, match=r"ant/003\.png: not a readable image.*max_corrupt"):
        encode(_load(damaged, 0.0), Encoder(), tmp_path / "latents.h5")
    assert not list(tmp_path.glob("*.h5*"))


def test_unusable_images_are_left_out_and_listed_up_to_a_share(damaged, tmp_path):
    whole, joined, paths = whole_and_joined(tmp_path, _load(damaged, 0.1), Encoder(), 3)
    for store in (whole, joined):
        assert len(store) == 18
        assert sorted(store.source) == [index for index in range(20) if index not in (3, 19)]
        assert [line.split(":")[0] for line in store.left_out] == [
            str(damaged / "ant" / "003.png"),
            str(damaged / "bee" / "009.png"),
        ]
    assert torch.equal(whole.class_data(), joined.class_data())
    with pytest.raises(ValueError, match=r"bee/009\.png: .*max_corrupt allows 1 to be left out, this is number 2"):
        encode(_load(damaged, 0.05), Encoder(), tmp_path / "strict.h5")
    # Each shard has one only, but together they are too many.
    for number, path in enumerate(paths):
        encode(_load(damaged, 0.05), Encoder(), path, shard=number, shards=3)
    with pytest.raises(ValueError, match="max_corrupt allows 1 to be left out, this is number 2"):
        join(paths, tmp_path / "joined.h5")


def test_a_shard_without_a_usable_image_is_refused(damaged, tmp_path):
    with pytest.raises(ValueError, match="No image of shard 20 of 20"):
        encode(_load(damaged, 0.5), Encoder(), tmp_path / "last.h5", shard=19, shards=20)


def test_a_full_disk_is_one_line_and_leaves_finished_shards_alone(tmp_path):
    dataset = random_dataset(200, shape=(16, 16, 3))
    encode(dataset, Encoder(), tmp_path / "0.h5", shard=0, shards=2)
    finished = (tmp_path / "0.h5").read_bytes()
    limit = 100_000  # bytes a file may have, far below a shard's 300 kB: what a full disk does to a write
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from data_examples import random_dataset\n"
        "from twostage.data import __main__ as command\n"
        "command._dataset = lambda options, split: random_dataset(200, shape=(16, 16, 3))\n"
        "sys.exit(command.main(['encode', '--dataset', '{\"name\": \"x\"}', '--encoder', '{\"kind\": \"identity\"}',\n"
        f"  '--split', 'train', '--shard', '2/2', '--output', {str(tmp_path / '1.h5')!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "1.h5" in done.stderr
    assert "File too large" in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["0.h5"]
    assert (tmp_path / "0.h5").read_bytes() == finished
