"""LightningDiT's and REPA's latents: into the store, out again, and files that must be refused."""

import json

import numpy as np
import pytest
import torch
from data_examples import write_random_store
from safetensors.torch import load_file, save_file

from twostage.data.interchange import (
    BLOCK,
    export_lightningdit,
    export_repa,
    import_lightningdit,
    import_npy,
    import_repa,
    imported_shape,
)
from twostage.data.latents import LatentStore
from twostage.flow import sample_noise


@pytest.fixture
def lightningdit(tmp_path):
    """Files as two ranks of LightningDiT's extraction write them: each takes every second of the sorted images."""
    folder = tmp_path / "lightningdit"
    folder.mkdir()
    count = 2 * BLOCK + 100
    rng = np.random.default_rng(0)
    labels = torch.from_numpy(np.sort(rng.integers(0, 5, count)))
    latents, flips = (torch.from_numpy(rng.normal(2.0, 3.0, (count, 3, 2, 2)).astype(np.float32)) for _ in range(2))
    for rank in range(2):
        own = np.arange(rank, count, 2)
        for number, rows in enumerate(np.array_split(own, 2)):
            tensors = {"latents": latents[rows], "latents_flip": flips[rows], "labels": labels[rows]}
            save_file(tensors, folder / f"latents_rank{rank:02d}_shard{number:03d}.safetensors")
    return folder, latents, flips, labels


def _sorted_rows(rows):
    return sorted(map(tuple, rows.flatten(1).tolist()))


def test_lightningdit_latents_become_a_sorted_store(lightningdit, tmp_path):
    folder, latents, flips, labels = lightningdit
    import_lightningdit(folder, tmp_path / "latents.h5")
    store = LatentStore.open(tmp_path / "latents.h5")
    assert store.has_flips
    assert store.num_classes == 5
    assert np.array_equal(store.labels, labels)  # both sorted
    for label in range(5):
        rows = store.class_slice(label)
        for name, originals in (("plain", latents), ("flip", flips)):
            stored = store.read(rows, normalised=False, flipped=name == "flip")
            assert _sorted_rows(stored) == _sorted_rows(originals[labels == label])
    # A latent and its mirror stay together.
    first = (latents.flatten(1) == store.read([0], normalised=False).flatten()).all(1).nonzero().item()
    assert torch.equal(store.read([0], normalised=False, flipped=True)[0], flips[first])
    everything = torch.cat([latents, flips]).double()
    np.testing.assert_allclose(store.mean, everything.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(store.std, everything.std((0, 2, 3), correction=0), rtol=1e-12)
    # source counts the samples in the order of the files
    files = torch.cat([load_file(path)["latents"] for path in sorted(folder.iterdir())])
    assert torch.equal(files[store.source], store.read(slice(None), normalised=False))


def test_lightningdit_statistics_and_multiplier_normalise_as_there(lightningdit, tmp_path):
    folder, latents, _, _ = lightningdit
    mean, std = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1), torch.tensor([2.0, 4.0, 0.5]).reshape(1, 3, 1, 1)
    torch.save({"mean": mean, "std": std}, folder / "latents_stats.pt")
    import_lightningdit(folder, tmp_path / "latents.h5", multiplier=0.25, num_classes=7)
    store = LatentStore.open(tmp_path / "latents.h5")
    assert store.num_classes == 7
    raw = store.read(slice(0, 9), normalised=False)
    torch.testing.assert_close(store.read(slice(0, 9)), (raw - mean) / std * 0.25)
    exact = torch.from_numpy(store.attributes["mean"])
    assert (exact - latents.double().mean((0, 2, 3))).abs().max() < 0.5  # its own moments are kept beside
    assert not torch.allclose(exact, store.mean)


def test_lightningdit_round_trip(tmp_path):
    plain, flips = write_random_store(tmp_path / "latents.h5", flips=True)
    store = LatentStore.open(tmp_path / "latents.h5")
    export_lightningdit(store, tmp_path / "out", shard_size=4)
    names = [path.name for path in sorted((tmp_path / "out").iterdir())]
    assert names == ["latents_rank00_shard000.safetensors", "latents_rank00_shard001.safetensors", "latents_stats.pt"]
    tensors = load_file(tmp_path / "out" / names[1])
    assert torch.equal(tensors["latents"], torch.from_numpy(plain[4:]))
    assert torch.equal(tensors["latents_flip"], torch.from_numpy(flips[4:]))
    assert tensors["labels"].dtype == torch.int64
    statistics = torch.load(tmp_path / "out" / names[2], weights_only=True)
    assert statistics["mean"].shape == statistics["std"].shape == (1, 2, 1, 1)
    import_lightningdit(tmp_path / "out", tmp_path / "again.h5", num_classes=4)
    again = LatentStore.open(tmp_path / "again.h5")
    assert np.array_equal(again.labels, store.labels)
    torch.testing.assert_close(again.class_data(), store.class_data())


def test_a_store_without_flips_is_nothing_for_lightningdit(tmp_path):
    write_random_store(tmp_path / "latents.h5")
    with pytest.raises(ValueError, match=r"latents\.h5: no latents of mirrored images"):
        export_lightningdit(tmp_path / "latents.h5", tmp_path / "out")


def test_damaged_lightningdit_latents_are_refused(lightningdit, tmp_path):
    folder = lightningdit[0]
    output = tmp_path / "latents.h5"
    with pytest.raises(ValueError, match="needs the statistics"):
        import_lightningdit(folder, output, multiplier=2.0)
    torch.save({"mean": torch.zeros(4), "std": torch.ones(4)}, folder / "latents_stats.pt")
    with pytest.raises(ValueError, match="statistics of 4 channels; expected 3"):
        import_lightningdit(folder, output)
    (folder / "latents_stats.pt").unlink()
    last = sorted(folder.iterdir())[-1]
    tensors = load_file(last)
    save_file({key: value for key, value in tensors.items() if key != "latents_flip"}, last)
    with pytest.raises(ValueError, match=rf"{last.name}: other latents than .*flips in all or none"):
        import_lightningdit(folder, output)
    save_file({**tensors, "labels": tensors["labels"][1:]}, last)
    with pytest.raises(ValueError, match=rf"{last.name}: \d+ latents for \d+ labels"):
        import_lightningdit(folder, output)
    last.write_bytes(b"short")
    with pytest.raises(ValueError, match=rf"{last.name}: not LightningDiT's latents"):
        import_lightningdit(folder, output)
    with pytest.raises(ValueError, match="no latents_rank"):
        import_lightningdit(tmp_path, output)
    assert not output.exists()


def tensors_of(**changes):
    """One file of LightningDiT's, of four latents."""
    made = {"latents": torch.randn(4, 3, 2, 2), "latents_flip": torch.randn(4, 3, 2, 2), "labels": torch.arange(4) // 2}
    return {name: tensor for name, tensor in (made | changes).items() if tensor is not None}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"labels": torch.tensor([0.0, 0.5, 1.0, 1.0])}, r"labels are float64 \(4,\) from 0.0; expected whole numbers"),
        ({"labels": torch.tensor([0, -1, 1, 1])}, r"labels are int64 \(4,\) from -1; expected whole numbers"),
        ({"labels": torch.zeros(4, 1, dtype=torch.long)}, r"labels are int64 \(4, 1\)"),
        ({"labels": torch.arange(4)}, "a label is 3; expected 0 to 1"),
        ({"labels": torch.arange(3)}, "latents for 3 labels"),
        ({"labels": None}, "not LightningDiT's latents"),
        ({"latents": None}, "no latents; expected what LightningDiT wrote"),
        ({"latents": None, "latents_flip": None}, "no latents; expected what LightningDiT wrote"),
        ({"latents": torch.randn(4, 12)}, r"of shape \(4, 12\) and .*; expected floating numbers \(n, C, H, W\)"),
        ({"latents_flip": torch.randn(4, 3, 2, 3)}, r"and \(4, 3, 2, 3\); expected floating numbers"),
        ({"latents_flip": torch.zeros(4, 3, 2, 2, dtype=torch.long)}, "F32, I64 of shape"),
    ],
)
def test_shapes_and_labels_of_lightningdit_are_checked_before_writing(tmp_path, changes, why):
    folder = tmp_path / "from"
    folder.mkdir()
    save_file(tensors_of(**changes), folder / "latents_rank00_shard000.safetensors")
    with pytest.raises(ValueError, match=why):
        import_lightningdit(folder, tmp_path / "latents.h5", num_classes=2)
    assert [path.name for path in tmp_path.iterdir()] == ["from"]


@pytest.mark.parametrize(
    ("statistics", "multiplier", "why"),
    [
        ({"mean": torch.zeros(3), "std": torch.tensor([1.0, 0.0, 1.0])}, 1.0, "std is 0 at least"),
        ({"mean": torch.zeros(3), "std": torch.tensor([1.0, -2.0, 1.0])}, 1.0, "std is -2 at least"),
        ({"mean": torch.zeros(3), "std": torch.ones(3)}, 0.0, "multiplier 0.0; expected both above 0"),
        ({"mean": torch.zeros(3), "std": torch.ones(3)}, float("nan"), "multiplier nan; expected both above 0"),
        ({"mean": torch.zeros(3)}, 1.0, "no statistics .*std.*; expected tensors `mean` and `std`"),
        ("text", 1.0, "no statistics"),
    ],
)
def test_statistics_of_lightningdit_are_checked_before_writing(tmp_path, statistics, multiplier, why):
    folder = tmp_path / "from"
    folder.mkdir()
    save_file(tensors_of(), folder / "latents_rank00_shard000.safetensors")
    if statistics == "text":
        (folder / "latents_stats.pt").write_text("text")
    else:
        torch.save(statistics, folder / "latents_stats.pt")
    with pytest.raises(ValueError, match=rf"latents_stats\.pt: .*{why}"):
        import_lightningdit(folder, tmp_path / "latents.h5", multiplier=multiplier)
    assert [path.name for path in tmp_path.iterdir()] == ["from"]


@pytest.mark.parametrize(
    ("label", "values", "why"),
    [
        (0.5, np.ones((4, 2, 2)), "labels are float64"),
        (-1, np.ones((4, 2, 2)), "from -1; expected whole numbers"),
        (None, np.ones((4, 2, 2)), "labels are object"),
        (7, np.ones((4, 2, 2)), "a label is 7; expected 0 to 4"),
        (0, -np.ones((4, 2, 2)), "a standard deviation below 0"),
        (0, np.ones((4, 2, 2), dtype=int), "int64, not floating numbers"),
        (0, np.ones((3, 2, 2)), r"shape \(3, 2, 2\); expected \(2 C, H, W\)"),
        (0, np.ones((4, 0, 2)), r"shape \(4, 0, 2\); expected \(2 C, H, W\)"),
    ],
)
def test_shapes_labels_and_deviations_of_repa_are_checked(tmp_path, label, values, why):
    folder = tmp_path / "from"
    (folder / "00000").mkdir(parents=True)
    np.save(folder / "00000/img-mean-std-00000000.npy", values)
    labels = {"labels": [["00000/img-mean-std-00000000.npy", label]]}
    (folder / "dataset.json").write_text(json.dumps(labels))
    with pytest.raises(ValueError, match=why):
        import_repa(folder, tmp_path / "latents.h5", num_classes=5)
    assert [path.name for path in tmp_path.iterdir()] == ["from"]


@pytest.fixture
def repa(tmp_path):
    """REPA's folder: seven latents of three classes, named in another order than their classes."""
    folder, labels = tmp_path / "vae-sd", [2, 0, 1, 0, 2, 2, 1]
    values = np.random.default_rng(0).uniform(0.1, 3.0, (7, 8, 4, 4)).astype(np.float32)
    names = [f"{index:08d}"[:5] + f"/img-mean-std-{index:08d}.npy" for index in range(7)]
    for name, value in zip(names, values):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / name, value)
    (folder / "dataset.json").write_text(json.dumps({"labels": [[name, label] for name, label in zip(names, labels)]}))
    return folder, values, np.array(labels)


def test_repa_latents_become_a_sorted_store(repa, tmp_path):
    folder, values, labels = repa
    import_repa(folder, tmp_path / "mean.h5")
    store = LatentStore.open(tmp_path / "mean.h5")
    order = np.argsort(labels, kind="stable")
    assert np.array_equal(store.source, order)
    assert np.array_equal(store.labels, labels[order])
    assert np.array_equal(store.read(slice(None), normalised=False), values[order, :4])
    import_repa(folder, tmp_path / "sample.h5", posterior="sample", seed=3)
    sampled = LatentStore.open(tmp_path / "sample.h5")
    expected = values[order, :4] + values[order, 4:] * sample_noise(3, order, (4, 4, 4)).numpy()
    np.testing.assert_allclose(sampled.read(slice(None), normalised=False), expected, rtol=1e-6)
    assert sampled.attributes["posterior"] == "sample, seed 3"


def test_repa_round_trip(repa, tmp_path):
    import_repa(repa[0], tmp_path / "mean.h5")
    export_repa(tmp_path / "mean.h5", tmp_path / "out")
    value = np.load(tmp_path / "out" / "00000" / "img-mean-std-00000000.npy")
    assert value.shape == (8, 4, 4)
    assert not value[4:].any()  # no spread: mean + std * noise is the stored latent
    import_repa(tmp_path / "out", tmp_path / "again.h5")
    stores = [LatentStore.open(tmp_path / name) for name in ("mean.h5", "again.h5")]
    assert torch.equal(stores[0].class_data(), stores[1].class_data())
    assert np.array_equal(stores[0].labels, stores[1].labels)


def test_damaged_repa_latents_are_refused(repa, tmp_path):
    folder, output = repa[0], tmp_path / "latents.h5"
    files = sorted(folder.rglob("*.npy"))
    np.save(files[3], np.zeros((8, 2, 2), np.float32))
    with pytest.raises(ValueError, match=r"00000003\.npy: shape \(8, 2, 2\); expected \(8, 4, 4\)"):
        import_repa(folder, output)
    files[3].write_bytes(b"")
    with pytest.raises(ValueError, match=r"00000003\.npy: not a readable npy file"):
        import_repa(folder, output)
    np.save(files[3].with_name("img-mean-std-00000009.npy"), np.zeros((8, 4, 4), np.float32))
    with pytest.raises(ValueError, match=r"dataset\.json: no label for each latent file .*00000009"):
        import_repa(folder, output)
    with pytest.raises(ValueError, match="posterior is 'mode'"):
        import_repa(folder, output, posterior="mode")
    with pytest.raises(ValueError, match="no img-mean-std"):
        import_repa(tmp_path / "nowhere", output)
    assert not output.exists()


# --------------------------------------------------------------------------------------------------------- plain arrays


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_plain_array_becomes_a_sorted_store(tmp_path, dtype):
    rng = np.random.default_rng(0)
    count = 2 * BLOCK + 10
    latents = rng.normal(2.0, 3.0, (count, 3, 2, 4)).astype(dtype)
    labels = rng.integers(0, 5, count)
    np.save(tmp_path / "latents.npy", latents)
    np.save(tmp_path / "labels.npy", labels.astype(np.int16))
    import_npy(tmp_path / "latents.npy", tmp_path / "latents.h5")
    store = LatentStore.open(tmp_path / "latents.h5", split="train")
    assert np.array_equal(store.labels, np.sort(labels))
    assert np.array_equal(labels[store.source], store.labels)
    assert np.array_equal(store.read(slice(None), normalised=False).numpy(), latents[store.source].astype(np.float32))
    np.testing.assert_allclose(store.mean, latents.astype(np.float32).astype(float).mean((0, 2, 3)), rtol=1e-12)
    assert imported_shape("npy", tmp_path / "latents.npy") == (3, 2, 4)


@pytest.mark.parametrize(
    ("latents", "labels", "why"),
    [
        (np.zeros((4, 3, 2)), np.arange(4), r"latents.npy: float64 of shape \(4, 3, 2\); expected floats .*N, C, H, W"),
        (np.zeros((4, 1, 2, 2), np.int64), np.arange(4), "latents.npy: int64 of shape"),
        (np.zeros((0, 1, 2, 2)), np.arange(0), "latents.npy: float64 of shape"),
        (
            np.zeros((4, 1, 2, 2)),
            np.arange(3),
            r"labels.npy: int64 of shape \(3,\); expected whole numbers of shape \(4,\)",
        ),
        (np.zeros((4, 1, 2, 2)), np.arange(4.0), "labels.npy: float64 of shape"),
        (np.zeros((4, 1, 2, 2)), np.arange(4) - 1, "labels.npy: labels -1 to 2; expected 0"),
        (np.full((4, 1, 2, 2), np.nan), np.arange(4), "latents.npy: latents: 16 of 16 values are not finite"),
        (np.zeros((4, 1, 2, 2)), np.arange(4) * 10**12, "a label is 3000000000000; expected the classes' numbers"),
        (np.ones((4, 1, 2, 2)), np.arange(4), "latent channel 0 is constant"),
        (
            np.array([{}]),
            np.arange(1),
            "latents.npy: not a readable npy file .it holds no numbers, but text or pickled",
        ),
        (b"1 2 3", np.arange(1), "latents.npy: not a readable npy file .it holds no numbers, but text or pickled"),
        (
            b"PK\x05\x06" + 18 * b"\0",
            np.arange(1),
            "latents.npy: a zip, as an npz or torch's .pt is; expected one array",
        ),
        (np.zeros((4, 1, 2, 2)), None, "labels.npy: no such file"),
        (
            b"version https://git-lfs.github.com/spec/v1\nsize 5\n",
            np.arange(4),
            "latents.npy: this is a Git LFS pointer",
        ),
    ],
)
def test_arrays_that_are_no_latents_with_labels_are_refused(tmp_path, latents, labels, why):
    for name, content in (("latents.npy", latents), ("labels.npy", labels)):
        if isinstance(content, bytes):
            (tmp_path / name).write_bytes(content)
        elif content is not None:
            np.save(tmp_path / name, content)
    with pytest.raises(ValueError, match=why) as caught:
        import_npy(tmp_path / "latents.npy", tmp_path / "latents.h5")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "latents.h5").exists()
