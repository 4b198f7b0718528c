"""Latents that LightningDiT wrote, in place of encoding the training images; the held-out ones are still encoded."""

import numpy as np
import torch
import yaml
from ldm import ldm_checkpoint, make_ldm
from PIL import Image
from safetensors.torch import save_file

from twostage.data.latents import LatentStore

CLASSES, EACH, SIDE = 2, 5, 32


def test_training_latents_are_imported_and_held_out_images_encoded_to_match(checkout):
    random = np.random.default_rng(0)
    for split, count in (("train", 2), ("val", 3)):
        for name in ("cat", "dog"):
            (checkout.folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(checkout.folder / split / name / f"{number}.png")
    torch.save(ldm_checkpoint(make_ldm("va-vae")), checkout.folder / "vavae.pt")
    latents = torch.randn(CLASSES * EACH, 32, 2, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(CLASSES * EACH) % CLASSES
    (checkout.folder / "latents").mkdir()
    tensors = {"latents": latents, "latents_flip": latents.flip(3).contiguous(), "labels": labels}
    save_file(tensors, checkout.folder / "latents/latents_rank00_shard000.safetensors")
    config = {
        "run": "imported",
        "data": {"name": "image_folder", "path": "train", "held_out_path": "val", "image_size": SIDE},
        "spaces": {
            "vavae": {
                "encoder": {
                    "kind": "va-vae",
                    "weights": "vavae.pt",
                    "latents": {"format": "lightningdit", "path": "latents"},
                }
            }
        },
        "models": {"S": {"hidden_size": 8, "depth": 1, "num_heads": 1}},
        "training": {"steps": 1},
    }
    (checkout.folder / "imported.yaml").write_text(yaml.safe_dump(config))
    folder = checkout.folder / "results/imported/data/vavae"
    checkout.snakemake("--", "results/imported/data/vavae/latents.h5", configfile="imported.yaml")
    train, held_out = LatentStore.open(folder / "latents.h5"), LatentStore.open(folder / "held_out.h5")
    assert train.shape == (CLASSES * EACH, 32, 2, 2)
    assert train.has_flips
    for label in range(CLASSES):
        assert torch.equal(train.read(train.class_slice(label), normalised=False), latents[labels == label])
    assert held_out.shape == (2 * 3, 32, 2, 2)
    assert held_out.attributes["encoder_sha256"] == train.attributes["encoder_sha256"]
    assert torch.equal(held_out.mean, train.mean)


def test_latents_alone_have_their_oracle_figures(checkout):
    random = np.random.default_rng(0)
    np.save(checkout.folder / "mine.npy", random.normal(size=(60, 4, 2, 2)).astype(np.float32))
    np.save(checkout.folder / "labels.npy", random.integers(0, 3, 60))
    config = {
        "run": "alone",
        "spaces": {"mine": {"encoder": {"kind": "none", "latents": {"format": "npy", "path": "mine.npy"}}}},
        "models": {"S": {"hidden_size": 8, "depth": 1, "num_heads": 1}},
        "training": {"steps": 1},
        "oracle": {"time_steps": 10, "pairs_per_class": 4, "pairs_unconditional": 8, "bootstrap": 20},
    }
    (checkout.folder / "alone.yaml").write_text(yaml.safe_dump(config))
    checkout.snakemake("--", "results/alone/report/fig2.png", configfile="alone.yaml")
    assert (checkout.folder / "results/alone/report/fig2.csv").is_file()
    # Nothing asks for images: not the classifier, not a held-out store.
    planned = checkout.snakemake("--dry-run", "--quiet", "rules", configfile="alone.yaml").stdout
    assert "oracle_loss" in planned
    assert not {"classifier", "encode", "fig_training", "memorization"} & set(planned.split())
    said = checkout.snakemake("--", "estimate", configfile="alone.yaml")
    assert "60 training and 0 held-out images" in said.stdout + said.stderr
