"""When the posterior settles on single images of a latent store: stage function of ``fig_settling``.

Writes its CSV, and the pictures of the images that settle first and last, with provenance.
"""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from twostage.data.encoders import load_encoder
from twostage.data.latents import LatentStore
from twostage.flow import sample_noise
from twostage.oracle.samples import Samples
from twostage.oracle.settling import settling
from twostage.oracle.tables import write_table
from twostage.provenance import atomic_write, write_provenance

APART = 2**56  # first key of the noise; no other study draws keys from here on
SHOWN = 6  # images that settle first, and as many that settle last


def measure_settling(
    store_path,
    output_csv,
    output_pictures,
    *,
    images,
    noises,
    seed,
    followed=None,
    encoder_spec=None,
    encoder_weights=None,
    device="cpu",
    budget_mb=1024,
):
    """Write when pairs of single images settle (``twostage.oracle.settling``), and pictures; returns the table.

    store_path: latents.h5; images: number per class, drawn at random (all images of a smaller class); noises: number of
    x_0 per image; followed: a CSV of samples, whose images ``followed`` are measured too; encoder_spec,
    encoder_weights: the encoder that decodes latents, None without a decoder. The posterior is that of the image's
    class, mirrored images included where the store has them. The noise of an image depends on (seed, its row, noises)
    alone.

    output_csv, one row per image in the order of the store: row (of the store), label, class, n (different samples of
    its class), dim, noises, drawn (of the class's ``images``; else only followed), time, time_sd (mean and standard
    deviation over the noises), nearest (row), nearest_mirrored, distance, law, law_nearest (see ``Settling``).
    output_pictures, HDF5: /row int64 (n,), of the ``SHOWN`` drawn images that settle first and of the same number that
    settle last, in order of time; with a decoder also /images, /nearest uint8 (n, H, W, C), these images and the
    nearest other image of each.
    """
    store = LatentStore.open(store_path, split="train")
    also = set() if followed is None else set(pd.read_csv(followed)["followed"]) - {-1}
    tables = []
    for label in tqdm(np.unique(store.labels).tolist(), desc="settling, by class", disable=None):
        rows = store.class_slice(label)
        chosen = np.random.default_rng([seed, label]).permutation(rows.stop - rows.start)[:images] + rows.start
        mine = np.union1d(chosen, [row for row in also if rows.start <= row < rows.stop]).astype(np.int64)
        samples = Samples(store, label, device, budget_mb)
        tables.append(_of_class(samples, store, rows, mine, noises, seed).assign(drawn=np.isin(mine, chosen)))
        tables[-1].insert(1, "label", label)
    table = pd.concat(tables, ignore_index=True)
    table["class"] = [store.class_names[label] for label in table["label"]]
    made = {
        "config": {"images": images, "noises": noises},
        "seed": seed,
        "inputs": [store_path, *filter(None, [followed])],
    }
    write_table(Path(output_csv), table, **made)
    _write_pictures(output_pictures, table, store, encoder_spec, encoder_weights, device)
    write_provenance(output_pictures, **made)
    return table


def _of_class(samples, store, rows, mine, noises, seed):
    """The table of some rows of one class: ``mine`` (I,), rows of the store; ``rows``: the class's slice."""
    plain, parts = rows.stop - rows.start, []
    size = max(1, samples.budget // 4 // (12 * noises * samples.dim))
    for start in range(0, len(mine), size):
        part = mine[start : start + size]
        index = torch.from_numpy(part - rows.start)
        keys = APART + part[:, None] * noises + np.arange(noises)
        noise = sample_noise(seed, keys.ravel(), (samples.dim,)).reshape(len(part), noises, -1)
        found = settling(samples, index, noise, index + plain if store.has_flips else None)
        parts.append(
            pd.DataFrame(
                {
                    "row": part,
                    "n": samples.distinct,
                    "dim": samples.dim,
                    "noises": noises,
                    "time": found.time.mean(1),
                    "time_sd": found.time.std(1, ddof=1),
                    "nearest": rows.start + found.nearest % plain,
                    "nearest_mirrored": found.nearest >= plain,
                    "distance": found.distance,
                    "law": found.law,
                    "law_nearest": found.law_nearest,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _write_pictures(path, table, store, encoder_spec, encoder_weights, device):
    order = table[table["drawn"]].sort_values("time", kind="stable")
    number = min(SHOWN, len(order) // 2)
    shown = pd.concat([order[:number], order[len(order) - number :]])
    with atomic_write(path) as temporary, h5py.File(temporary, "w") as file:
        file["row"] = shown["row"].to_numpy()
        if encoder_spec is not None:
            encoder = load_encoder(encoder_spec, encoder_weights, torch.device(device))
            for name, rows, mirrored in (
                ("images", "row", False),
                ("nearest", "nearest", shown["nearest_mirrored"].to_numpy()),
            ):
                latents = store.read(shown[rows].to_numpy(), normalised=False, flipped=mirrored)
                file[name] = encoder.decode(latents).numpy()
