"""The command line of the data stage: whole runs on digits, and bad input as one line."""

import json

import numpy as np
import pytest
import torch
from data_examples import write_images

from twostage.data.__main__ import main
from twostage.data.latents import LatentStore

DIGITS = '{"name": "digits", "held_out": 0.2, "held_out_path": null, "seed": 0, "path": null, "image_size": 8}'
IDENTITY = '{"kind": "identity"}'
KL = '{"kind": "kl", "latent_channels": 2, "downsample": 2, "channels": [8, 8], "steps": 2, "batch_size": 8}'


@pytest.fixture(autouse=True)
def one_thread():
    """The command sets torch's threads; the other tests keep theirs."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def run(*words):
    return main([str(word) for word in words])


def encode(output, *words, dataset=DIGITS, encoder=IDENTITY, split="train"):
    return run("encode", "--dataset", dataset, "--encoder", encoder, "--split", split, "--output", output, *words)


def test_both_splits_in_one_command_and_in_two(tmp_path):
    assert encode(tmp_path / "latents.h5", "--held-out", tmp_path / "held_out.h5") == 0
    assert encode(tmp_path / "alone.h5", "--statistics", tmp_path / "latents.h5", split="held_out") == 0
    train, held_out, alone = (LatentStore.open(tmp_path / name) for name in ("latents.h5", "held_out.h5", "alone.h5"))
    assert train.shape == (1438, 1, 8, 8)
    assert len(held_out) == 359
    assert torch.equal(held_out.class_data(), alone.class_data())
    assert torch.equal(held_out.mean, train.mean)
    provenance = json.loads((tmp_path / "held_out.h5.provenance.json").read_text())
    assert provenance["config"]["split"] == "held_out"
    assert list(provenance["inputs"]) == [str(tmp_path / "latents.h5")]


def test_shards_and_join(tmp_path, capsys):
    shards = [tmp_path / f"{number}.h5" for number in (1, 2, 3)]
    for number, shard in enumerate(shards, 1):
        assert encode(shard, "--shard", f"{number}/3", "--flips") == 0
    assert encode(shards[0], "--shard", "1/3", "--flips") == 0
    assert "already there" in capsys.readouterr().out
    assert run("join", "--shards", *shards, "--output", tmp_path / "latents.h5") == 0
    store = LatentStore.open(tmp_path / "latents.h5")
    assert len(store) == 1438
    assert store.has_flips
    provenance = json.loads((tmp_path / "latents.h5.provenance.json").read_text())
    assert set(provenance["shards"]) == set(map(str, shards))
    assert all(len(digest) == 64 for digest in provenance["shards"].values())


def test_an_autoencoder_is_trained_measured_and_used(tmp_path):
    weights = tmp_path / "vae" / "encoder.safetensors"
    assert run("autoencoder", "--dataset", DIGITS, "--encoder", KL, "--seed", 3, "--output", weights) == 0
    quality = json.loads((tmp_path / "vae" / "reconstruction.json").read_text())
    assert quality["train"]["images"] == 1438
    assert quality["held_out"]["images"] == 359
    assert encode(tmp_path / "latents.h5", "--weights", weights, encoder=KL) == 0
    assert LatentStore.open(tmp_path / "latents.h5").shape == (1438, 2, 4, 4)
    words = ("--dataset", DIGITS, "--encoder", KL, "--weights", weights, "--output", tmp_path / "again.json")
    assert run("reconstruction", *words) == 0
    assert json.loads((tmp_path / "again.json").read_text())["train"]["mse"] == pytest.approx(quality["train"]["mse"])
    for path in (weights, tmp_path / "vae" / "reconstruction.json"):
        assert path.with_name(f"{path.name}.provenance.json").exists()


def test_export_and_import(tmp_path):
    assert encode(tmp_path / "latents.h5", "--flips") == 0
    for name in ("lightningdit", "repa"):
        there = ("export", "--format", name, "--store", tmp_path / "latents.h5", "--output", tmp_path / name)
        assert run(*there) == 0
        back = ("import", "--format", name, "--input", tmp_path / name, "--output", tmp_path / f"{name}.h5")
        assert run(*back) == 0
        assert LatentStore.open(tmp_path / f"{name}.h5").shape == (1438, 1, 8, 8)


def test_left_out_images_are_said(tmp_path, capsys):
    write_images(tmp_path / "images" / "ant", [(8, 8)] * 10)
    (tmp_path / "images" / "ant" / "004.jpg").write_text("damaged")
    dataset = {"name": "image_folder", "path": str(tmp_path / "images"), "image_size": 8, "held_out": 0.0}
    assert encode(tmp_path / "latents.h5", dataset=json.dumps({**dataset, "max_corrupt": 0.2})) == 0
    assert "1 images left out" in capsys.readouterr().out
    assert encode(tmp_path / "strict.h5", dataset=json.dumps({**dataset, "max_corrupt": 0.0})) == 1
    assert "004.jpg" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--dataset", '{"name": "digit"}'), "data set is 'digit'"),
        (("--dataset", "{}"), "--dataset has no `name`"),
        (("--dataset", '{"name": "image_folder", "path": "/nowhere"}'), "/nowhere: cannot list the class folders"),
        (("--encoder", '{"kind": "kl"}'), "the kl encoder needs weights"),
        (
            ("--encoder", '{"kind": "kl"}', "--weights", "/nowhere.safetensors"),
            "/nowhere.safetensors: no such weights file",
        ),
        (("--statistics", "/nowhere.h5"), "/nowhere.h5: no such file"),
        (("--output", "/proc/latents.h5"), "/proc"),
    ],
)
def test_bad_input_is_one_line_and_no_traceback(tmp_path, capsys, words, why):
    assert encode(tmp_path / "latents.h5", *words) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert why in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--dataset", "digits"), "not JSON"),
        (("--dataset", "[1]"), "expected a JSON object"),
        (("--shard", "4/3"), "shard K of N"),
        (("--threads", "0"), "a whole number above 0"),
        (("--split", "test"), "invalid choice"),
    ],
)
def test_bad_arguments_are_refused(tmp_path, capsys, words, why):
    with pytest.raises(SystemExit) as stopped:
        encode(tmp_path / "latents.h5", *words)
    assert stopped.value.code == 2
    assert why in capsys.readouterr().err


def test_only_cifar10_is_downloaded(capsys):
    assert run("download", "--dataset", DIGITS) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_plain_array_is_imported_with_labels_of_any_name(tmp_path, capsys):
    np.save(tmp_path / "z.npy", np.random.default_rng(0).normal(size=(6, 2, 4, 4)).astype(np.float32))
    np.save(tmp_path / "y.npy", np.array([0, 1, 2, 0, 1, 2]))
    words = ["import", "--format", "npy", "--input", tmp_path / "z.npy", "--output", tmp_path / "z.h5"]
    assert main(list(map(str, [*words, "--labels", tmp_path / "y.npy"]))) == 0
    assert LatentStore.open(tmp_path / "z.h5").shape == (6, 2, 4, 4)
    assert main(list(map(str, words))) == 1
    assert "labels.npy: no such file" in capsys.readouterr().err


def test_labels_that_leave_class_0_empty_are_told(tmp_path, capsys):
    np.save(tmp_path / "z.npy", np.random.default_rng(0).normal(size=(6, 1, 2, 2)))
    for first, said in ((0, ""), (1, f"warning: {tmp_path / 'z.h5'}: class 0 has no latents; labels count from 0")):
        np.save(tmp_path / "labels.npy", np.arange(6) // 3 + first)
        assert run("import", "--format", "npy", "--input", tmp_path / "z.npy", "--output", tmp_path / "z.h5") == 0
        assert [line.startswith(said) for line in capsys.readouterr().err.splitlines() if "warning" in line] == (
            [True] if said else []
        )
