"""Files of samples as the sampler writes them, which tests of the evaluation share."""

import json

import h5py
import numpy as np

from twostage.hdf5 import write_texts

SEEDS = [0, 7]


def write_samples(path, images, labels, seeds, index, *, total, followed=None, split="train", **facts):
    """A file of samples as the sampler writes it."""
    plan = {
        "parts": [
            {"field": "XL", "guidance": 1.5, "interval": [0.1, 0.4], "stop": 0.4},
            {"field": "B", "shift": 0.5, "stop": 1.0},
        ]
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["images"], file["labels"], file["seed"], file["index"] = images, labels, seeds, index
        write_texts(file, "class_names", [f"name {label}" for label in range(10)])
        if followed is not None:
            file["followed"], file["followed_mirrored"] = followed, np.zeros(len(images), dtype=bool)
        file.attrs.update(
            {
                "plan": json.dumps(plan),
                "weights": json.dumps({"XL": {"sha256": "0", "metadata": {"step": 3, "ema": 0.9}}}),
                "samples": total,
                "seeds": SEEDS,
                "nfe": 50,
                "steps": 50,
                "solver": "euler",
                "split": np.nan,
                "t_switch": np.nan,
                "t_resume": np.nan,
                "followed_split": split,
                **facts,
            }
        )
