"""The oracle on latent stores larger than its memory: against reading the file, and against the matrix products.

    OMP_NUM_THREADS=1 python benchmarks/streaming.py [--gigabytes 1 2 4] [--budget-mb 256] [--folder /tmp]

Writes stores of random latents (32, 16, 16) of each size, then asks for the velocity of --batch points, streamed. The
ratio is to the slower of two floors: reading the file's bytes, and two float32 matrix products over data in memory. The
reader runs in a thread of its own, so it takes a core beside the one that multiplies. Peak memory is that of the whole
process, beyond what it held before.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from twostage.data.latents import LatentStore, write_store
from twostage.oracle import Oracle

SHAPE = (32, 16, 16)
DIM = int(np.prod(SHAPE))
ATTRIBUTES = {"encoder": "identity", "encoder_sha256": "identity", "split": "train", "dataset": "random"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[0.5, 1, 2, 4])
    parser.add_argument("--budget-mb", type=float, default=256)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--folder", default=tempfile.gettempdir())
    options = parser.parse_args()
    threads = torch.get_num_threads()
    print(f"D = {DIM}, batch {options.batch}, budget {options.budget_mb:g} MB, {threads} threads to multiply")
    print("  GB        N   read   products   opened   velocity   ratio   memory above start")
    for size in options.gigabytes:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            count = int(size * 2**30 / DIM / 4)
            path = Path(folder) / "latents.h5"
            write(path, count)
            report(path, count, size, options)


def write(path, count):
    draw = np.random.default_rng(0)
    with write_store(path, count, SHAPE) as writer:
        for start in range(0, count, 1024):
            writer.write(start, draw.standard_normal((min(1024, count - start), *SHAPE), dtype=np.float32))
        writer.finish(np.zeros(count, dtype=np.int64), np.arange(count), 1, ATTRIBUTES)


def report(path, count, size, options):
    x_t = torch.randn(options.batch, *SHAPE)
    read = best(lambda: read_file(path))
    products = time_products(x_t.reshape(options.batch, -1), count)
    before = peak_mb()
    start = time.perf_counter()
    oracle = Oracle(LatentStore.open(path), budget_mb=options.budget_mb)
    opened = time.perf_counter() - start
    ours = best(lambda: oracle.velocity(x_t, 0.05))
    times = f"{read:6.2f} {products:10.2f} {opened:8.2f} {ours:10.2f} {ours / max(read, products):7.2f}"
    state = "in memory" if oracle.samples.in_memory else "streamed"
    print(f"{size:4g} {count:8d} {times}   {peak_mb() - before:6.0f} MB, {state}")


def read_file(path):
    buffer = memoryview(bytearray(1 << 24))
    with open(path, "rb", buffering=0) as stream:
        while stream.readinto(buffer):
            pass


def time_products(points, count):
    """Two products with ``count`` samples, in blocks of those that are in memory."""
    data = torch.randn(min(4096, count), DIM)

    def multiply():
        for first in range(0, count, len(data)):
            part = data[: count - first]
            (points @ part.T) @ part

    return best(multiply)


def best(call, repeats=3):
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return min(found)


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
