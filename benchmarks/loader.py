"""Samples a second: this project's batches against LightningDiT's data set, on the same latents in random order.

    python benchmarks/loader.py --original PATH/TO/LightningDiT

Random latents of VA-VAE's shape are written twice, as LightningDiT's safetensors shards and as a latent store, plain
and mirrored. Then each reader delivers one epoch cold (its files dropped from the page cache before) and one warm. The
original is read by its own data set and torch's DataLoader, as its training does; this project once with the store
held in memory, the reading of it included in the cold epoch, and once in windows, as for a store that does not fit.
An epoch is ``--samples`` samples for everyone.
"""

import argparse
import contextlib
import importlib.util
import io
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from twostage.data.latents import LatentStore, write_store
from twostage.training.batches import Batches

SHAPE = (32, 16, 16)
CLASSES = 1000
ATTRIBUTES = {
    "encoder": "random",
    "encoder_sha256": "none",
    "posterior": "mean",
    "split": "train",
    "image_size": 256,
    "dataset": "random",
    "dataset_fingerprint": "none",
}


def write_latents(folder, samples, shard_rows):
    """The same random latents as a store and as shards: (path of the store, folder of the shards)."""
    shards = folder / "shards"
    shards.mkdir()
    labels = np.sort(np.random.default_rng(0).integers(0, CLASSES, samples))
    generator = torch.Generator().manual_seed(0)
    with write_store(folder / "latents.h5", samples, SHAPE, flips=True) as writer:
        for number, start in enumerate(range(0, samples, shard_rows)):
            rows = slice(start, min(start + shard_rows, samples))
            plain = torch.randn(rows.stop - start, *SHAPE, generator=generator)
            mirrored = plain.flip(-1).contiguous()
            writer.write(start, plain.numpy(), mirrored.numpy())
            tensors = {"latents": plain, "latents_flip": mirrored, "labels": torch.from_numpy(labels[rows])}
            save_file(tensors, shards / f"latents_rank00_shard{number:03d}.safetensors")
        writer.finish(labels, np.arange(samples), CLASSES, ATTRIBUTES)
    return folder / "latents.h5", shards


def forget(folder):
    """Drop the files under a folder from the page cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as stream:
                os.fsync(stream.fileno())
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def original_epochs(code, shards, batch_size, workers):
    """A function that reads one epoch with the original's data set."""
    spec = importlib.util.spec_from_file_location("img_latent_dataset", Path(code) / "datasets/img_latent_dataset.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = module.ImgLatentDataset(str(shards), latent_norm=True)  # takes, stores and prints its statistics
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=batch_size, shuffle=True, num_workers=workers, drop_last=True
    )

    def read():
        return sum(len(latents) for latents, _ in loader)

    return read


def our_epochs(store, batch_size, memory_mb):
    """A function that reads the next ``len(store)`` samples in our order; the first call opens the store."""
    state = {"batches": None, "step": 0}

    def read():
        if state["batches"] is None:
            state["batches"] = Batches(LatentStore.open(store), batch_size, 0, memory_mb)
        steps = len(state["batches"].store) // batch_size
        start, state["step"] = state["step"], state["step"] + steps
        return sum(len(latents) for latents, _ in state["batches"].stream(start, start + steps, "cpu"))

    return read


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--original", metavar="FOLDER", help="checkout of hustvl/LightningDiT")
    parser.add_argument("--samples", type=int, default=16384)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--shard-rows", type=int, default=10_000, help="samples a shard of the original's layout")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2], help="DataLoader workers of the original")
    parser.add_argument("--folder", help="where the latents are written (default: the system's temporary folder)")
    options = parser.parse_args()
    torch.set_num_threads(1)

    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        folder = Path(folder)
        store, shards = write_latents(folder, options.samples, options.shard_rows)
        size_mb = 2 * options.samples * 4 * int(np.prod(SHAPE)) >> 20
        print(f"{options.samples} latents {SHAPE}, plain and mirrored, {size_mb} MiB, batch {options.batch}")
        readers = {
            "twostage, in memory": our_epochs(store, options.batch, 2 * size_mb),
            "twostage, windows": our_epochs(store, options.batch, max(1, size_mb // 4)),
        }
        for workers in options.workers if options.original else ():
            name = f"original, {workers} workers"
            readers[name] = original_epochs(options.original, shards, options.batch, workers)
        for name, read in readers.items():
            forget(folder)
            speeds = []
            for _ in ("cold", "warm"):
                start = time.perf_counter()
                samples = read()
                speeds.append(samples / (time.perf_counter() - start))
            print(f"{name:24s} cold {speeds[0]:8.0f} samples/s   warm {speeds[1]:8.0f} samples/s")


if __name__ == "__main__":
    main()
