"""Exact copies of images: one side of the split, an index that finds them, latents that are copies too."""

import shutil

import numpy as np
import pytest
import torch
from data_examples import random_dataset, write_images
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from twostage.data.__main__ import main
from twostage.data.copies import content_ids, digest
from twostage.data.datasets import ArrayDataset, load_dataset, split_rows
from twostage.data.encode import encode, join
from twostage.data.encoders import Autoencoder, Encoder
from twostage.data.images import centre_crop
from twostage.data.interchange import import_repa
from twostage.data.latents import LatentStore, write_store
from twostage.oracle.samples import Samples

OPTIONS = {"image_size": 16, "held_out": 0.25}


@pytest.fixture
def once(tmp_path):
    """Two classes of eight different images."""
    for number, name in enumerate(("ant", "bee")):
        write_images(tmp_path / "once" / name, [(24, 24)] * 8, seed=number, suffix=".png")
    return tmp_path / "once"


@pytest.fixture
def twice(once, tmp_path):
    """The same with a copy of each: in another format, of `ant` in the same folder and of `bee` in a third class."""
    folder = tmp_path / "twice"
    shutil.copytree(once, folder)
    (folder / "cat").mkdir()
    for path in once.rglob("*.png"):
        copy = folder / {"ant": "ant", "bee": "cat"}[path.parent.name] / f"{path.stem}_copy.bmp"
        Image.open(path).save(copy)
    return folder


def both(path, **options):
    return [load_dataset("image_folder", split, path=path, **OPTIONS, **options) for split in ("train", "held_out")]


def repeated(count=10, shape=(8, 8, 3), **options):
    """A data set in which each image occurs twice: row i + count is a copy of row i, in any class."""
    dataset = random_dataset(count, shape=shape, **options)
    labels = np.concatenate([dataset.labels, (dataset.labels + 1) % 3])
    return ArrayDataset("random", "train", np.tile(dataset.pixels, (2, 1, 1, 1)), labels, dataset.classes)


# -------------------------------------------------------------------------------------------------------------- splits


@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=1, max_size=60),
    held_out=st.floats(0, 0.9),
    seed=st.integers(0, 2**32),
)
def test_copies_lie_on_one_side_and_every_class_keeps_an_image_in_training(rows, held_out, seed):
    labels, content = np.array(rows).T
    train, held = (split_rows(labels, split, held_out, seed, content) for split in ("train", "held_out"))
    assert sorted([*train, *held]) == list(range(len(labels)))
    assert not set(content[train]) & set(content[held])
    assert set(labels[train]) == set(labels)


@given(labels=st.lists(st.integers(0, 3), min_size=1, max_size=40), held_out=st.floats(0, 0.9))
def test_without_copies_the_split_is_what_it_was(labels, held_out):
    content = np.random.default_rng(0).permutation(len(labels))
    for split in ("train", "held_out"):
        assert np.array_equal(split_rows(labels, split, held_out, 0, content), split_rows(labels, split, held_out, 0))


def test_a_set_with_each_image_twice_is_split_as_the_set_without_copies(once, twice):
    single, double = both(once), both(twice)
    for alone, pairs in zip(single, double):
        ids, counts = np.unique(pairs.contents[:, 0], return_counts=True)
        assert set(ids) == set(alone.contents[:, 0])
        assert (counts == 2).all()


def test_digits_have_no_copies_and_their_split_is_as_ever():
    train, held_out = (load_dataset("digits", split, held_out=0.2, seed=0) for split in ("train", "held_out"))
    content = np.concatenate([train.contents[:, 0], held_out.contents[:, 0]])
    assert len(np.unique(content)) == 1797
    assert train.fingerprint.startswith("d9567f9307a1c6bc")
    assert held_out.fingerprint.startswith("55e5467b732b731e")


def test_a_held_out_image_that_equals_a_training_image_is_left_out(once, tmp_path):
    for number, name in enumerate(("ant", "bee")):
        write_images(tmp_path / "val" / name, [(24, 24)] * 3, seed=50 + number)
    Image.open(once / "ant/003.png").save(tmp_path / "val/bee/other.bmp")  # of another class, in another format
    train, held_out = both(once, held_out_path=tmp_path / "val")
    assert len(train) == 16
    assert len(held_out) == 6
    assert held_out.copies_left_out == 1
    assert not any("other" in path for path in held_out.paths)
    fingerprint = held_out.fingerprint
    (tmp_path / "val/bee/other.bmp").unlink()
    assert both(once, held_out_path=tmp_path / "val")[1].fingerprint == fingerprint


def test_nothing_but_copies_is_refused_with_the_reason(once, tmp_path):
    with pytest.raises(ValueError, match="all 16 held-out images equal a training image; expected others in held_out"):
        both(once, held_out_path=once)
    for number, name in enumerate(("ant", "bee")):
        (tmp_path / "same" / name).mkdir(parents=True)
        for shade in (0, 100):  # a colour that nobody sees
            Image.new("RGBA", (24, 24), (shade, 0, 0, 0)).save(tmp_path / "same" / name / f"{number}{shade}.png")
    with pytest.raises(ValueError, match=r"same: all 4 images are copies of one .* over white"):
        both(tmp_path / "same")


@pytest.mark.parametrize("side", [32, 16])
def test_cifars_test_images_that_equal_a_training_image_are_left_out(monkeypatch, side):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)

    class Archive:
        def __init__(self, path, train, download):
            self.data = pixels[:6] if train else pixels[5:]
            self.targets, self.classes = [0] * len(self.data), ["one"]

    monkeypatch.setattr("torchvision.datasets.CIFAR10", Archive)
    train, held_out = (load_dataset("cifar10", split, path="there", image_size=side) for split in ("train", "held_out"))
    assert len(train) == 6
    cropped = np.stack([centre_crop(Image.fromarray(image), side) for image in pixels])  # as class folders are read
    assert np.array_equal(train.pixels, cropped[:6])
    assert np.array_equal(held_out.pixels, cropped[6:])
    assert held_out.copies_left_out == 1


# ------------------------------------------------------------------------------------------------------------- content


def test_content_is_pixels_and_shape():
    image = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)
    assert digest(image) == digest(image.copy(order="F"))
    assert digest(image) != digest(image.reshape(2, 4, 3))
    assert content_ids([digest(image)] * 2).tolist() == [content_ids([digest(image)])[0]] * 2


# --------------------------------------------------------------------------------------------------------------- store


class NoisyEncoder(Encoder):
    """Pixels plus a fixed sample: stands for an encoder that gives a distribution."""

    kind, sha256, posterior = "noisy", "a" * 64, "sample"

    def encode(self, images, noise=None):
        return super().encode(images) + 0.5 * noise


def network_encoder():
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    network = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8), norm_num_groups=4, latent_channels=2,
    )  # fmt: skip
    return Autoencoder("kl", network, "b" * 64, "sample")


@pytest.mark.parametrize("make", [NoisyEncoder, network_encoder])
@pytest.mark.parametrize("flips", [False, True])
@pytest.mark.parametrize("shards", [1, 3])
def test_latents_of_copies_are_equal_bit_for_bit(tmp_path, make, flips, shards):
    dataset, encoder = repeated(), make()
    paths = [tmp_path / f"{number}.h5" for number in range(shards)]
    for number, path in enumerate(paths):
        encode(dataset, encoder, path, shard=number, shards=shards, flips=flips, batch_size=7)
    if shards > 1:
        join(paths, tmp_path / "joined.h5")
    store = LatentStore.open(tmp_path / "joined.h5" if shards > 1 else paths[0])
    assert np.array_equal(store.content, dataset.contents[store.source, 0])
    assert store.distinct == 10
    assert (store.content_flip is not None) == flips
    place = np.argsort(store.source)
    for flipped in (False, True)[: 1 + flips]:
        latents = store.read(place, normalised=False, flipped=flipped)
        assert torch.equal(latents[:10], latents[10:])
    samples = Samples(store)
    assert samples.distinct == 10 * (1 + flips)
    assert (samples.multiplicity == 2).all()


def test_images_without_copies_keep_the_noise_of_their_number(tmp_path):
    """What stores held before copies were looked for."""
    from twostage.flow import sample_noise

    dataset = random_dataset(6)
    encode(dataset, NoisyEncoder(), tmp_path / "a.h5", flips=True, seed=3)
    store = LatentStore.open(tmp_path / "a.h5")
    for mirrored in (0, 1):
        images = torch.from_numpy(dataset.images(store.source))
        noise = sample_noise(3, 2 * store.source + mirrored, store.shape[1:])
        expected = NoisyEncoder().encode(images.flip(2) if mirrored else images, noise)
        assert torch.equal(store.read(slice(None), normalised=False, flipped=bool(mirrored)), expected)


def test_an_image_equal_to_the_mirror_of_another_has_its_latent(tmp_path):
    base = random_dataset(5)
    pixels = np.concatenate([base.pixels, base.pixels[:, :, ::-1]])
    dataset = ArrayDataset("random", "train", pixels, np.tile(base.labels, 2), base.classes)
    encode(dataset, NoisyEncoder(), tmp_path / "a.h5", flips=True)
    store = LatentStore.open(tmp_path / "a.h5")
    place = np.argsort(store.source)
    plain, mirrored = (store.read(place, normalised=False, flipped=flag) for flag in (False, True))
    assert torch.equal(plain[:5], mirrored[5:])
    assert torch.equal(plain[5:], mirrored[:5])
    assert np.array_equal(store.content[place][:5], store.content_flip[place][5:])
    assert store.distinct == 10
    assert Samples(store).distinct == 10


def test_a_store_without_content_ids_compares_its_latents(tmp_path):
    rows = torch.randn(3, 2, 2, 2)[[0, 1, 0, 2]]
    rows[3, 0, 0, 0], rows[1, 0, 0, 0] = 0.0, -0.0
    with write_store(tmp_path / "a.h5", 5, (2, 2, 2), flips=True) as writer:
        latents = torch.cat([rows, rows[3:].where(rows[3:] != 0, -0.0)])
        writer.write(0, latents, latents.flip(3))
        writer.finish([0] * 5, range(5), 1, {"split": "train"})
    store = LatentStore.open(tmp_path / "a.h5")
    assert store.distinct == 3
    assert store.content[0] == store.content[2]
    assert store.content[3] == store.content[4]
    assert len(np.unique(store.content_flip)) == 3


def test_a_store_without_content_ids_is_encoded_again_where_it_is_asked_for(tmp_path):
    import h5py

    dataset, path = random_dataset(), tmp_path / "a.h5"
    assert encode(dataset, Encoder(), path)
    assert not encode(dataset, Encoder(), path)
    with h5py.File(path, "a") as file:
        del file["content"]
    assert encode(dataset, Encoder(), path)


def test_repas_copies_stay_copies_when_latents_are_sampled(tmp_path):
    import json

    random, labels = np.random.default_rng(0), []
    for number, seed in enumerate((0, 1, 0)):
        values = np.random.default_rng(seed).random((4, 2, 2), dtype=np.float32)
        np.save(tmp_path / f"img-mean-std-{number:08d}.npy", values)
        labels.append([f"img-mean-std-{number:08d}.npy", int(random.integers(1))])
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
    import_repa(tmp_path, tmp_path / "latents.h5", posterior="sample")
    store = LatentStore.open(tmp_path / "latents.h5")
    latents = store.read(slice(None))
    assert torch.equal(latents[0], latents[2])
    assert store.distinct == 2


def test_encoding_without_an_index_names_the_copies_once(twice, tmp_path, capsys):
    text = f'{{"name": "image_folder", "path": "{twice}", "image_size": 16, "held_out": 0.25}}'
    encoded = ["encode", "--dataset", text, "--encoder", '{"kind": "identity"}', "--split", "train"]
    encoded += ["--output", str(tmp_path / "latents.h5"), "--held-out", str(tmp_path / "held_out.h5")]
    assert main(encoded) == 0
    assert capsys.readouterr().err.count("warning: ") == 1
    stores = [LatentStore.open(tmp_path / f"{name}.h5") for name in ("latents", "held_out")]
    assert [2 * store.distinct for store in stores] == [len(store) for store in stores]
    assert not set(stores[0].content) & set(stores[1].content)
