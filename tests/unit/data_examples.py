"""Small data sets and stores that the tests of the data stage share."""

import numpy as np
from PIL import Image

from twostage.data.datasets import ArrayDataset
from twostage.data.latents import write_store

ATTRIBUTES = {
    "encoder": "identity",
    "encoder_sha256": "identity",
    "posterior": "mean",
    "split": "train",
    "image_size": 4,
    "dataset": "random",
    "dataset_fingerprint": "0" * 64,
}


def random_dataset(count=30, classes=3, shape=(4, 6, 3), seed=0, split="train"):
    """An ArrayDataset of random pixels, labels in no order."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
    return ArrayDataset("random", split, pixels, rng.integers(0, classes, count), [str(k) for k in range(classes)])


def write_random_store(path, labels=(0, 0, 0, 1, 1, 3), shape=(2, 3, 4), classes=4, flips=False, seed=0):
    """A store of random latents; returns them in float32: (N, C, H, W), and the flips' or None."""
    rng = np.random.default_rng(seed)
    scale, shift = np.array([3.0, 0.2]).reshape(-1, 1, 1), np.array([-5.0, 1.0]).reshape(-1, 1, 1)
    draw = lambda: (rng.standard_normal((len(labels), *shape)) * scale + shift).astype(np.float32)  # noqa: E731
    plain, mirrored = draw(), draw() if flips else None
    with write_store(path, len(labels), shape, flips=flips) as writer:
        for start in range(0, len(labels), 4):
            rows = slice(start, start + 4)
            writer.write(start, plain[rows], mirrored[rows] if flips else None)
        writer.finish(labels, np.arange(len(labels))[::-1], classes, ATTRIBUTES)
    return plain, mirrored


def write_images(folder, sizes, seed=0, suffix=".jpg", mode="RGB"):
    """Random images of the given (width, height) in ``folder``: 000.jpg, 001.jpg, ..."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for number, (width, height) in enumerate(sizes):
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(folder / f"{number:03d}{suffix}")
