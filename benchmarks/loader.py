"""Samples per second: this project's batches against LightningDiT's data set, on the same latents in random order.

    python benchmarks/loader.py --original PATH/TO/LightningDiT
    python benchmarks/loader.py --rows         # rows read per row used, by number of processes

Random latents of VA-VAE's shape are written twice, as LightningDiT's safetensors shards and as a latent store, plain
and mirrored. Then each reader delivers one epoch cold (its files dropped from the page cache before) and one warm. The
original is read by its own data set and torch's DataLoader, as its training does; this project once with the store
held in memory, the reading of it included in the cold epoch, and once in windows, as for a store that does not fit.
An epoch is ``--samples`` samples for everyone. The readers take turns, ``--rounds`` times; printed are the medians.

``--rows`` counts instead what each of several processes reads from the files, over what it trains on, in two epochs of
all samples, plain and mirrored. The windows read ahead at the end are counted too.
"""

import argparse
import contextlib
import importlib.util
import io
import os
import statistics
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
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        dataset = module.ImgLatentDataset(str(shards), latent_norm=True)  # takes, stores and prints its statistics
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=batch_size, shuffle=True, num_workers=workers, drop_last=True
    )

    def read():
        return sum(len(latents) for latents, _ in loader)

    return read


@contextlib.contextmanager
def counted_bytes():
    """Counts the bytes that ``os.preadv`` reads meanwhile, in a list of one number."""
    count, read = [0], os.preadv

    def counted(*arguments):
        found = read(*arguments)
        count[0] += found
        return found

    os.preadv = counted
    try:
        yield count
    finally:
        os.preadv = read


def rows_per_row(path, batch_size, memory_mb, processes, epochs=2):
    """Rows that each of ``processes`` reads per row that it uses, the processes one after the other: a list."""
    store, found = LatentStore.open(path), []
    steps = epochs * 2 * len(store) // batch_size
    for process in range(processes):
        with counted_bytes() as count:
            batches = Batches(store, batch_size, 0, memory_mb, process, processes)
            used = sum(len(latents) for latents, *_ in batches.stream(0, steps, "cpu"))
            batches.close()
        found.append(count[0] / (4 * int(np.prod(SHAPE))) / used)
    return found


def print_rows(path, size_mb, batch_size):
    print(f"rows read per row used, the largest of any process, batch {batch_size}")
    for name, memory_mb in (("in memory", 2 * size_mb), ("windows", max(1, size_mb // 4))):
        for processes in (1, 2, 8):
            found = rows_per_row(path, batch_size, memory_mb, processes)
            print(f"{name:10s} {processes} processes: {max(found):.2f}")


def our_epochs(store, batch_size, memory_mb):
    """A function that reads the next ``len(store)`` samples in our order; the first call opens the store."""
    state = {"batches": None, "step": 0}

    def read():
        if state["batches"] is None:
            state["batches"] = Batches(LatentStore.open(store), batch_size, 0, memory_mb)
        steps = len(state["batches"].store) // batch_size
        start, state["step"] = state["step"], state["step"] + steps
        return sum(len(latents) for latents, *_ in state["batches"].stream(start, start + steps, "cpu"))

    return read


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--original", metavar="FOLDER", help="checkout of hustvl/LightningDiT")
    parser.add_argument("--samples", type=int, default=16384)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--shard-rows", type=int, default=10_000, help="samples per shard of the original's layout")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2], help="DataLoader workers of the original")
    parser.add_argument("--folder", help="where the latents are written (default: the system's temporary folder)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", action="store_true", help="count rows read instead of measuring speeds")
    options = parser.parse_args()
    torch.set_num_threads(1)

    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        folder = Path(folder)
        store, shards = write_latents(folder, options.samples, options.shard_rows)
        size_mb = 2 * options.samples * 4 * int(np.prod(SHAPE)) >> 20
        print(f"{options.samples} latents {SHAPE}, plain and mirrored, {size_mb} MiB, batch {options.batch}")
        if options.rows:
            print_rows(store, size_mb, options.batch)
            return
        makers = {
            "twostage, in memory": lambda: our_epochs(store, options.batch, 2 * size_mb),
            "twostage, windows": lambda: our_epochs(store, options.batch, max(1, size_mb // 4)),
        }
        for workers in options.workers if options.original else ():
            read = original_epochs(options.original, shards, options.batch, workers)
            makers[f"original, {workers} workers"] = lambda read=read: read
        speeds = {name: ([], []) for name in makers}
        for _ in range(options.rounds):
            for name, make in makers.items():
                read = make()
                forget(folder)
                for found in speeds[name]:  # cold, then warm
                    start = time.perf_counter()
                    samples = read()
                    found.append(samples / (time.perf_counter() - start))
        for name, (cold, warm) in speeds.items():
            cold, warm = statistics.median(cold), statistics.median(warm)
            print(f"{name:24s} cold {cold:8.0f} samples/s   warm {warm:8.0f} samples/s")


if __name__ == "__main__":
    main()
