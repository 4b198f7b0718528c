"""Images, weights and shards that cannot be used: the reason on the terminal in one line, nothing half-written."""

import hashlib
import resource

import numpy as np
import pytest
import torch
import yaml
from ldm import ldm_checkpoint, make_ldm
from PIL import Image

BASE = {
    "run": "bad",
    "data": {"name": "image_folder", "path": "images", "image_size": 16, "held_out": 0.25},
    "spaces": {"pixel": {"encoder": {"kind": "identity"}}},
    "models": {"S": {"hidden_size": 8, "depth": 1, "num_heads": 1}},
    "training": {"steps": 1},
    "sampling": {"samples": 2, "steps": 2},
    "experiments": {"tab_plans": {"plans": {"oracle": {"parts": [{"field": "oracle"}]}}}},
}
LATENTS = "results/bad/data/{}/latents.h5"


@pytest.fixture
def images(checkout):
    """A checkout with two class folders of four images, and a function that runs a configuration, up to its latents."""
    for name in ("cat", "dog"):
        (checkout.folder / "images" / name).mkdir(parents=True)
        for number in range(4):
            pixels = np.random.default_rng(number).integers(0, 256, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(checkout.folder / "images" / name / f"{number}.png")

    def run(*options, spaces=BASE["spaces"], shards=1, targets=None):
        data = {**BASE["data"], "shards": shards}
        (checkout.folder / "bad.yaml").write_text(yaml.safe_dump({**BASE, "data": data, "spaces": spaces}))
        targets = targets or [LATENTS.format(space) for space in spaces]
        done = checkout.snakemake(*options, "--", *targets, configfile="bad.yaml", check=False)
        return done.returncode, (done.stdout + done.stderr).splitlines()

    return checkout.folder, run


def stores(folder):
    return sorted(path.name for path in (folder / "results/bad/data").rglob("*.h5"))


def test_weights_that_cannot_be_used(images):
    folder, run = images
    (folder / "weights").mkdir()
    torch.save(ldm_checkpoint(make_ldm("sd-vae")), folder / "weights/sd.pt")
    digest = hashlib.sha256((folder / "weights/sd.pt").read_bytes()).hexdigest()
    encoder = lambda kind, weights: {"encoder": {"kind": kind, "weights": weights}}  # noqa: E731
    code, lines = run(
        "--keep-going",
        spaces={
            "changed": encoder("sd-vae", {"path": "weights/sd.pt", "sha256": "0" * 64}),
            "other": encoder("va-vae", "weights/sd.pt"),
        },
    )
    assert code != 0
    for line in (
        f"error: weights/sd.pt: sha256 is {digest}; expected {'0' * 64}: fetch the file again or mend `sha256`",
        "error: weights/sd.pt: an autoencoder with 4 latent channels at 1/8 of the side; expected 32 ",
    ):
        assert any(found.startswith(line) for found in lines), "\n".join(lines)
    assert stores(folder) == []


def test_encoder_weights_that_change_after_the_latents_were_made_are_refused_by_what_decodes(images):
    folder, run = images
    (folder / "weights").mkdir()
    path = folder / "weights/sd.pt"
    torch.save(ldm_checkpoint(make_ldm("sd-vae")), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    spaces = {"sd": {"encoder": {"kind": "sd-vae", "weights": {"path": "weights/sd.pt", "sha256": digest}}}}
    target = "results/bad/samples/sd/tab_plans-oracle/shard-0.h5"
    code, lines = run(spaces=spaces, targets=[target])
    assert code == 0, "\n".join(lines)
    torch.save(ldm_checkpoint(make_ldm("sd-vae")) | {"another": "file"}, path)
    # Only this rule: the latents would be made again, and be refused, before it.
    only = ("--rerun-triggers", "code", "--forcerun", "sample_tab_plans")
    code, lines = run(*only, spaces=spaces, targets=[target])
    assert code != 0, "\n".join(lines)
    assert any(f"expected {digest}: fetch the file again or mend `sha256`" in line for line in lines), "\n".join(lines)


def test_an_empty_class_folder(images):
    folder, run = images
    (folder / "images/eel").mkdir()
    code, lines = run()
    assert code != 0
    assert any(line.startswith("error: images/eel: an empty class folder; expected images (.jpg") for line in lines)
    assert stores(folder) == []


def test_an_image_smaller_than_the_crop(images):
    folder, run = images
    Image.new("RGB", (15, 40)).save(folder / "images/dog/0.png")
    code, lines = run()
    assert code != 0
    why = "error: images/dog/0.png: 15 x 40 pixels, smaller than the crop of 16; expected a shorter side of at least 16"
    assert any(line.startswith(why) for line in lines), "\n".join(lines)


def test_a_damaged_image_keeps_the_shards_without_it_and_a_damaged_shard_is_encoded_again(images):
    folder, run = images
    damaged = folder / "images/dog/0.png"
    whole = damaged.read_bytes()
    damaged.write_bytes(bytes(len(whole)))
    code, lines = run("--keep-going", shards=2)
    assert code != 0
    why = "error: images/dog/0.png: not a readable image ("
    assert any(line.startswith(why) for line in lines), "\n".join(lines)
    assert "train-0.h5" in stores(folder)
    assert "latents.h5" not in stores(folder)

    damaged.write_bytes(whole)
    assert run(shards=2)[0] == 0
    shard = folder / "results/bad/data/pixel/shards/train-0.h5"
    shard.write_bytes(shard.read_bytes()[:-1000])
    code, lines = run(shards=2)
    assert code != 0
    why = "error: results/bad/data/pixel/shards/train-0.h5: not a whole HDF5 file"
    assert any(line.startswith(why) and line.endswith("encode it again") for line in lines), "\n".join(lines)
    assert {"train-1.h5", "held_out-0.h5"} <= set(stores(folder))
    shard.unlink()
    assert run(shards=2)[0] == 0


def test_a_full_disk(images):
    folder, run = images
    limit = 15_000  # bytes a file may have, less than a shard's: what a full disk does to a write
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        code, lines = run(shards=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert code != 0
    why = "cannot be written (file too large); make room and run again: finished files are kept"
    assert any(
        line.startswith("error: results/bad/data/pixel/shards/") and line.lower().endswith(why) for line in lines
    )
    assert not {"train-0.h5", "train-1.h5", "latents.h5"} & set(stores(folder))
    assert not list((folder / "results/bad/data").rglob("*.tmp"))


def test_class_folders_that_cannot_be_used_are_refused_before_anything_runs(images):
    folder, run = images
    for path in (folder / "images").glob("*/[123].png"):
        path.unlink()
    code, lines = run()
    assert code != 0
    assert any(
        "images: one image in each of its 2 classes; expected at least two in one of them" in line for line in lines
    )
    for path in (folder / "images").glob("*/0.png"):
        path.rename(folder / "images" / f"{path.parent.name}.png")
        path.parent.rmdir()
    code, lines = run()
    assert code != 0
    why = "images: 2 images, but no class folders; put the images into one folder per class; one folder is one class"
    assert any(why in line for line in lines), "\n".join(lines)
    assert not (folder / "results/bad/data").exists()


def test_images_too_few_for_stages_are_refused_before_anything_runs_by_what_needs_the_split_alone(images):
    folder, run = images
    for path in (folder / "images").glob("*/3.png"):  # of three images per class one is held out
        path.unlink()
    for target in ("all", "results/bad/training/pixel/oracle_loss.csv", "results/bad/oracle/pixel/split.json"):
        code, lines = run(targets=[target])
        assert code != 0
        (line,) = [line for line in lines if line.startswith("config: ")]
        assert line.startswith("config: data.path is 'images', with so few training images that at t = 0 each has 50%")
        assert not (folder / "results/bad/data").exists()
    code, lines = run(targets=["results/bad/samples/pixel/tab_plans-oracle/shard-0.h5"])
    assert code == 0, "\n".join(lines)
