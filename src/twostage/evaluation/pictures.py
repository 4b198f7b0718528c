"""Image arrays for contact sheets: rows of samples, with the training images nearest to them and followed by them."""

import h5py
import numpy as np
import pandas as pd
import torch

from twostage.data.encoders import load_encoder
from twostage.data.held_out import open_held_out
from twostage.data.latents import LatentStore
from twostage.evaluation.images import SampledImages
from twostage.evaluation.nearest_images import decoded
from twostage.hdf5 import write_texts
from twostage.provenance import atomic_write, write_provenance


def collect_pictures(
    samples,
    output,
    *,
    rows=8,
    seed=None,
    neighbours_csv=None,
    space="pixel",
    store_path=None,
    encoder_spec=None,
    encoder_weights=None,
    held_out_path=None,
):
    """Write the first ``rows`` samples of each plan side by side (Figs. 5 and 6, App. G) as HDF5.

    samples: {plan name: paths of its shards}; each plan is a column. seed: the seed of the samples (None: the first).
    With neighbours_csv (``measure_memorization``'s table of samples), the store and the encoder, the nearest training
    images in ``space`` and the followed images are added.

    /images uint8 (rows, columns, H, W, C), /labels (rows,), /class_names (by label, where the samples say), /index
    (rows,), /columns (names), /t (columns,) switch or resume times, NaN for plans with neither; /nearest like /images;
    /followed (rows, H, W, C), of the last plan that follows an image. Contact sheets, as images for people: each
    sample beside its nearest training image.
    """
    opened = [SampledImages.open(plan, paths) for plan, paths in samples.items()]
    seed = int(opened[0].seed[0]) if seed is None else seed
    places = [np.flatnonzero(item.seed == seed)[:rows] for item in opened]
    if min(map(len, places)) == 0:
        raise ValueError(f"no samples of seed {seed}; expected one of {sorted(set(opened[0].seed.tolist()))}")
    rows = min(map(len, places))
    content = {
        "images": np.stack([item.images(where[:rows]) for item, where in zip(opened, places)], axis=1),
        "labels": opened[0].labels[places[0][:rows]],
        "index": opened[0].index[places[0][:rows]],
        "columns": list(samples),
        "t": np.array([_time_of(item) for item in opened]),
    }
    if neighbours_csv is not None:
        store = LatentStore.open(store_path, split="train")
        encoder = load_encoder(encoder_spec, encoder_weights, torch.device("cpu"))
        table = pd.read_csv(neighbours_csv)
        table = table[(table["space"] == space) & (table["seed"] == seed)].set_index(["plan", "index"])
        content["nearest"] = np.stack(
            [_nearest(table, item.name, content["index"], store, encoder) for item in opened], 1
        )
        followed = [
            _followed(item, where[:rows], store, held_out_path, encoder)
            for item, where in zip(opened, places)
            if item.followed is not None
        ]
        if followed:
            content["followed"] = followed[-1]
    with atomic_write(output) as temporary, h5py.File(temporary, "w") as file:
        for name, values in content.items():
            file[name] = values
        write_texts(file, "class_names", opened[0].class_names)
        file.attrs["seed"] = seed
    inputs = [path for paths in samples.values() for path in paths]
    write_provenance(output, seed=seed, inputs=[*inputs, *([neighbours_csv] if neighbours_csv else [])])


def _time_of(item):
    times = [item.attributes[key] for key in ("t_switch", "t_resume") if np.isfinite(item.attributes[key])]
    return times[0] if times else np.nan


def _nearest(table, plan, index, store, encoder):
    found = table.loc[[(plan, number) for number in index]]
    return decoded(store, encoder, found["nearest"].to_numpy(), found["nearest_mirrored"].to_numpy(dtype=bool))


def _followed(item, where, store, held_out_path, encoder):
    in_training = item.attributes["followed_split"] == "train"
    source = store if in_training else open_held_out(held_out_path, store)
    return decoded(source, encoder, item.followed[where], item.mirrored[where] if in_training else None)
