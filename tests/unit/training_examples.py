"""A small store, architecture and recipe that the tests of training share."""

import numpy as np

from twostage.data.latents import write_store

ARCHITECTURE = {"patch_size": 2, "hidden_size": 16, "depth": 2, "num_heads": 2}
RECIPE = {
    "steps": 12,
    "snapshots": [4],
    "batch_size": 8,
    "lr": 1e-2,
    "ema": 0.9,
    "checkpoint_every": 3,
    "log_every": 2,
}
SIZES = {"input_size": 4, "in_channels": 2, "num_classes": 3, **ARCHITECTURE}
ATTRIBUTES = {
    "encoder": "identity",
    "encoder_sha256": "identity",
    "posterior": "mean",
    "split": "train",
    "image_size": 4,
    "dataset": "random",
    "dataset_fingerprint": "0" * 64,
}


def write_latents(path, counts=(9, 7, 5), flips=False, seed=0, fingerprint="0" * 64):
    """A store of random latents (N, 2, 4, 4) with ``counts`` samples per class; its path."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    latents = random.standard_normal((len(labels), 2, 4, 4)) + labels[:, None, None, None]
    with write_store(path, len(labels), (2, 4, 4), flips=flips) as writer:
        writer.write(0, latents, latents[..., ::-1] if flips else None)
        attributes = {**ATTRIBUTES, "dataset_fingerprint": fingerprint}
        writer.finish(labels, np.arange(len(labels)), len(counts), attributes)
    return path
