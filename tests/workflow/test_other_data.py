"""Images without classes in a flat folder, and images that are not square, through the whole workflow."""

import json

import h5py
import numpy as np
import pandas as pd
import yaml
from PIL import Image
from sklearn.datasets import load_digits

from twostage.data.latents import LatentStore
from twostage.model.checkpoints import read_header

HEIGHT, WIDTH = 8, 12
SMALL = {
    "seed": 0,
    "models": {"S": {"hidden_size": 8, "depth": 1, "num_heads": 1}},
    "training": {"steps": 2, "batch_size": 16, "lr": 1.0e-3},
    "oracle": {"time_steps": 10, "pairs_per_class": 4, "pairs_unconditional": 12, "bootstrap": 20},
    "oracle_loss": {"time_steps": 10, "pairs": 8},
    "nsweep": {"sizes": [10, 30], "pairs": 4, "repeats": 2},
    "sampling": {"samples": 12, "seeds": [0, 1], "steps": 3},
    "classifier": {"steps": 5, "width": 4},
    "synthetic": {
        "size": 20, "dims": [16], "dim": 16, "sizes": [10], "trials": 10, "law_dims": [16], "law_sizes": [10],
        "law_trials": 10,
    },
}  # fmt: skip
EVERYTHING = "all images"


def write_digits(folder, count, name):
    """Scikit-learn's digits, each at a place of its own in an image of 8 x 12 pixels; name: number, digit -> path."""
    digits, places = load_digits(), np.random.default_rng(0).integers(0, WIDTH - 7, count)
    for number, left in enumerate(places):
        pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
        pixels[:, left : left + 8] = np.round(digits.images[number] * 255 / 16)
        path = folder / name(number, digits.target[number])
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def test_a_flat_folder_of_images_that_are_not_square(checkout):
    write_digits(checkout.folder / "flat", 60, lambda number, _: f"{'more/' * (number % 3 == 0)}{number}.png")
    config = SMALL | {
        "run": "flat",
        "data": {
            "name": "image_folder", "path": "flat", "image_size": [HEIGHT, WIDTH], "held_out": 0.3, "classes": "none",
        },
        "spaces": {"pixel": {"encoder": {"kind": "identity"}, "patch_size": 4}},
        "experiments": {
            "tab_plans": {"plans": {"gauss": {"parts": [{"field": "gaussian", "stop": "split"}, {"field": "S"}]}}},
        },
    }  # fmt: skip
    (checkout.folder / "flat.yaml").write_text(yaml.safe_dump(config))
    checkout.snakemake(configfile="flat.yaml")
    results = checkout.folder / "results/flat"
    store = LatentStore.open(results / "data/pixel/latents.h5")
    assert (store.shape, store.class_names) == ((42, 3, HEIGHT, WIDTH), [EVERYTHING])
    (snapshot,) = (results / "training/pixel/S").glob("step-*.safetensors")
    assert read_header(snapshot)[0]["input_size"] == [HEIGHT, WIDTH]
    posterior = pd.read_csv(results / "oracle/pixel/posterior.csv")
    assert set(posterior["class"]) == {EVERYTHING, "all classes"}
    assert set(posterior["pairs"]) == {12}
    assert (results / "report.html").is_file()
    table = pd.read_csv(results / "evaluation/pixel/tab_plans.csv")
    assert np.isfinite(table["distance"]).all()
    claims = json.loads((results / "report/claims.json").read_text())["claims"]
    about = {claim["id"]: claim["findings"] for claim in claims}
    for name in ("unconditional-later", "information-of-the-class", "guidance-in-the-transition"):
        assert [finding["note"] for finding in about[name]] == ["this data has no classes"]
    assert about["information-sum-rule"][0]["verdict"] != "not tested"
    said = checkout.snakemake("--", "estimate", configfile="flat.yaml")
    assert "42 training and 18 held-out images, no classes." in said.stdout + said.stderr


def test_class_folders_of_images_that_are_not_square(checkout):
    write_digits(checkout.folder / "images", 60, lambda number, digit: f"{digit % 2}/{number}.png")
    config = SMALL | {
        "run": "wide",
        "data": {"name": "image_folder", "path": "images", "image_size": [HEIGHT, WIDTH], "held_out": 0.3},
        "spaces": {
            "vae": {"encoder": {"kind": "kl", "latent_channels": 2, "downsample": 2, "channels": [8, 8], "steps": 3}}
        },
        "experiments": {
            "tab_plans": {"plans": {"guided": {"parts": [{"field": "S", "guidance": 2, "interval": [0.2, 0.8]}]}}},
        },
    }  # fmt: skip
    (checkout.folder / "wide.yaml").write_text(yaml.safe_dump(config))
    samples = "results/wide/samples/vae/tab_plans-guided/shard-0.h5"
    checkout.snakemake("--", samples, configfile="wide.yaml")
    with h5py.File(checkout.folder / samples) as file:
        assert file["images"].shape[1:] == (HEIGHT, WIDTH, 3)
        assert sorted(set(file["labels"][:])) == [0, 1]
    store = LatentStore.open(checkout.folder / "results/wide/data/vae/latents.h5")
    assert (store.shape[1:], store.num_classes) == ((2, HEIGHT // 2, WIDTH // 2), 2)
