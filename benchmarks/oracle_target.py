"""What the oracle velocity costs as a training target: steps of two processes against those on x_1 - x_0, in one run.

    OMP_NUM_THREADS=1 python benchmarks/oracle_target.py [--processes 2] [--blocks 2] [--steps 4]

The training's own steps (``twostage.training.loop.Run``), gloo processes of one thread each. Latents of VA-VAE's shape
(32 x 16 x 16, D = 8,192), correlated as latents are; as many, for the model, that the oracle's share of the operations
is that of XL on ImageNet in bf16, by ``estimate`` (`config/imagenet256.yaml`, products with nothing skipped). Blocks of
steps on x_1 - x_0, on the oracle velocity, and on it with nothing skipped take turns; a block is as many steps as have
their targets found at once, of which a few are trained. Printed are ratios of what a step takes, its batch and target
included, of wall clock and of the processes' CPU time (which other work on the machine disturbs less), what each
process holds, and what finding the distances took.
"""

import argparse
import multiprocessing
import os
import socket
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import yaml
from smooth_latents import write_latents

from twostage.config import load
from twostage.data.latents import LatentStore
from twostage.estimate import Costs
from twostage.estimate.networks import lightningdit_cost
from twostage.estimate.oracle_target import float32_rate, target_cost
from twostage.oracle.settled import NEVER
from twostage.training.ahead import AHEAD
from twostage.training.loop import Run
from twostage.training.processes import Processes, keep_freed_memory
from twostage.training.recipe import Recipe

SHAPE, EACH = (32, 16, 16), 64
SIZES = {"patch_size": 4, "hidden_size": 192, "depth": 6, "num_heads": 6}
ATTRIBUTES = {
    "encoder": "none", "encoder_sha256": "none", "posterior": "mean", "split": "train", "image_size": 256,
    "dataset": "generated", "dataset_fingerprint": "none",
}  # fmt: skip
KINDS = ("x_1 - x_0", "oracle", "oracle, nothing skipped")


def share_of_xl():
    """Seconds of the oracle's products over those of the network, by ``estimate``: XL on ImageNet, nothing skipped."""
    raw = yaml.safe_load((Path(__file__).parents[1] / "config/imagenet256.yaml").read_text(encoding="utf-8"))
    raw["estimate"] = {"oracle_skipped": 0.0}
    config = load(raw)
    costs = Costs(config, {})
    products = target_cost(costs.setting, "vavae", "XL").flops / float32_rate(config)
    (row,) = (row for row in costs.rows if row.rule == "train_XL" and row.where == "vavae")
    return products / (3600 * costs.hours(row)[0])


def classes_for(share, class_drop=0.1):
    """Classes of EACH latents with which the oracle's operations are this share of the model's."""
    dim, classes = int(np.prod(SHAPE)), 100
    for _ in range(3):  # the model's head for labels is small
        forward = lightningdit_cost(SHAPE, classes, *SIZES.values())[0]
        rows = (share * 3 * forward / (4 * dim) - (1 - class_drop) * EACH) / class_drop
        classes = max(2, round(rows / EACH))
    return classes


def now():
    """(wall clock, this process's CPU time), seconds."""
    return np.array([time.perf_counter(), time.process_time()])


def serve(rank, options, port, path, pipe):
    """One of the processes: (wall, CPU) seconds of a step in each block by kind, shares skipped, bytes held, start."""
    torch.set_num_threads(1)
    keep_freed_memory()
    os.environ |= {"WORLD_SIZE": str(options.processes), "LOCAL_WORLD_SIZE": str(options.processes)}
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes, store = Processes("cpu"), LatentStore.open(path)
    sizes = {"input_size": SHAPE[1], "in_channels": SHAPE[0], "num_classes": store.num_classes, **SIZES}
    runs, began = {}, 0.0
    for kind in KINDS[:2]:
        recipe = Recipe(steps=1000, batch_size=options.batch, target="oracle" if kind == "oracle" else "cfm")
        start = time.perf_counter()
        runs[kind] = Run(store, sizes, recipe.resolved("cpu"), 0, processes)
        began = time.perf_counter() - start - began
        runs[kind].prepare()
    oracle = runs["oracle"].oracle
    settled, never = oracle.settled, torch.full_like(oracle.settled, NEVER)
    seconds = {kind: [] for kind in KINDS}
    streams = {kind: runs[kind.split(",")[0]].stream(0, (options.blocks + 1) * AHEAD) for kind in KINDS}
    for _ in range(options.blocks + 1):
        for kind in KINDS:
            run = runs[kind.split(",")[0]]
            oracle.settled = never if kind == KINDS[2] else settled
            processes.any(False)  # start together
            batches, steps = np.zeros(2), np.zeros(2)
            for number in range(AHEAD):
                start = now()
                batch = next(streams[kind])
                batches += now() - start
                if number < options.steps:  # all are alike
                    start = now()
                    run.step(*batch)
                    steps += now() - start
            seconds[kind].append(batches / AHEAD + steps / options.steps)
    pipe.send(({kind: each[1:] for kind, each in seconds.items()}, oracle.shares, oracle.owned.rows.nbytes, began))
    processes.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--batch", type=int, default=128, help="samples per step of all processes")
    parser.add_argument("--blocks", type=int, default=2, help="blocks of each kind, after one that is not counted")
    parser.add_argument("--steps", type=int, default=4, help="of each block, steps that are trained")
    options = parser.parse_args()
    share = share_of_xl()
    classes = classes_for(share)
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        path = Path(folder) / "latents.h5"
        write_latents(path, classes, EACH, SHAPE, ATTRIBUTES)
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        context = multiprocessing.get_context("spawn")
        pipes = [context.Pipe(duplex=False) for _ in range(options.processes)]
        for rank, (_, theirs) in enumerate(pipes):
            context.Process(target=serve, args=(rank, options, port, path, theirs), daemon=True).start()
        found = [mine.recv() for mine, _ in pipes]
    _, (labelled, dropped), _, began = found[0]
    total = sum(each[2] for each in found)
    print(
        f"{options.processes} processes, batch {options.batch}, {classes * EACH:,} latents of {classes} classes, "
        f"{total / 2**20:.0f} MiB; the oracle's share as for XL on ImageNet, {share:.1%}"
    )
    print(f"skipped: {labelled:.1%} with their class, {dropped:.1%} without; distances found in {began:.1f} s")
    print("held by a process: " + ", ".join(f"{each[2] / total:.1%}" for each in found) + " of the latents")
    taken = {kind: np.array([each[0][kind] for each in found]) for kind in KINDS}  # (processes, blocks, 2)
    for kind, each in taken.items():
        wall = each[0, :, 0] / taken[KINDS[0]][0, :, 0]
        cpu = each[..., 1].sum() / taken[KINDS[0]][..., 1].sum()
        print(
            f"{kind:24s} median {np.median(each[0, :, 0]):.3f} s a step; as long as on x_1 - x_0: CPU time "
            f"{cpu:.3f} times, wall clock {np.median(wall):.3f} (from {wall.min():.3f} to {wall.max():.3f})"
        )


if __name__ == "__main__":
    main()
