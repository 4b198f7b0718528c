"""Encoding and training as the jobs do them: images per second, share of the peak, two processes."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import encoding
import numpy as np
import torch
import training as other
from machine import Machine
from rows import Row

from twostage.data.latents import LatentStore, write_store
from twostage.estimate.networks import lightningdit_cost
from twostage.training.loop import Run
from twostage.training.processes import Processes
from twostage.training.recipe import Recipe

ATTRIBUTES = {
    "encoder": "none", "encoder_sha256": "none", "posterior": "mean", "split": "train", "image_size": 256,
    "dataset": "generated", "dataset_fingerprint": "none",
}  # fmt: skip


def encode(machine: Machine):
    """JPEGs through SD-VAE's architecture into a store, against its forward passes alone."""
    sizes = machine.sizes
    options = SimpleNamespace(
        device="cuda", width=sizes.width, images=sizes.images, batch_size=sizes.image_batch, threads=machine.threads,
        image_size=32 if machine.pretended else 256,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, machine.gpu():
        found = encoding.throughput(Path(folder), options)
    yield Row("encoder alone", found["forward_images_per_second"], "images/s", note=f"{machine.threads} threads read")
    yield Row("encoding job", found["pipeline_images_per_second"], "images/s")
    yield Row("time of the job against the encoder alone", found["pipeline_over_forward_time"], "x", most=1.1)


def train(machine: Machine):
    """Steps of the model on VA-VAE's latents in bf16, and the original's where ``LIGHTNINGDIT`` says where it is."""
    sizes, original = machine.sizes, os.environ.get("LIGHTNINGDIT")
    forward, _ = lightningdit_cost(sizes.latent, sizes.classes, *sizes.model.values())
    with tempfile.TemporaryDirectory() as folder, machine.gpu(backward=True):
        store = random_store(Path(folder) / "latents.h5", machine)
        seconds, accumulate = ours(machine, store)
        rate = sizes.batch / seconds
        size = f"LightningDiT of width {sizes.model['hidden_size']} and depth {sizes.model['depth']}"
        note = f"{size}, bf16, batch {sizes.batch} in {accumulate} part(s), {1e3 * seconds:.4g} ms per step"
        yield Row("training", rate, "images/s", note=note)
        used = 3 * forward * rate / machine.peak if machine.peak else None
        why = "" if machine.peak else f"the peak of this device in bf16 is not at hand ({machine.device})"
        yield Row("model FLOP utilisation", used, "of the bf16 peak", least=0.45, note=why)
        if not original:
            yield Row("against the original's code", None, "x", least=1.3, note="LIGHTNINGDIT=path/to/its/checkout")
        elif machine.pretended:
            yield Row("against the original's code", None, "x", least=1.3, note="it knows no pretended GPU")
        else:
            torch.cuda.empty_cache()
            taken = originals(machine, original)
            yield Row("against the original's code", taken / seconds, "x", least=1.3, note=f"{1e3 * taken:.4g} ms")


def ours(machine, store):
    """(median seconds of a training step with its batch, parts that it takes for memory)."""
    sizes = machine.sizes
    architecture = {"input_size": sizes.latent[1], "in_channels": sizes.latent[0], "num_classes": sizes.classes}
    for accumulate in (1, 2, 4):
        recipe = {"steps": sizes.warm + sizes.steps, "batch_size": sizes.batch, "accumulate": accumulate, "ema": 0.9}
        recipe = Recipe.parse({**recipe, "precision": "bf16", "compile": sizes.compiled})
        try:
            run = Run(store, {**architecture, **sizes.model}, recipe, 0, Processes("cuda"))
            run.prepare()
            seconds, start = [], time.perf_counter()
            for batch in run.stream(0, recipe.steps):
                run.step(*batch)
                torch.cuda.synchronize()
                seconds.append(time.perf_counter() - start)
                start = time.perf_counter()
            return float(np.median(seconds[sizes.warm :])), accumulate
        except torch.cuda.OutOfMemoryError:
            run = None
            torch.cuda.empty_cache()
    raise RuntimeError(f"a batch of {sizes.batch} fits into this GPU's memory in no more than 4 parts")


def originals(machine, folder):
    """Median seconds of a training step of the original's code, compiled as it comes."""
    options = SimpleNamespace(
        original=folder, size="XL", batch=machine.sizes.batch, device="cuda", precision="bf16", threads=machine.threads
    )
    contender, batch = other.contender_of("original", options), other.batch_of(options)
    contender.timed(batch, machine.sizes.warm)
    return float(np.median(contender.timed(batch, machine.sizes.steps)))


def two_ranks(machine: Machine):
    """A training on two GPUs against one: its losses and its rate. Without a GPU two processes on the CPU."""
    if machine.count < 2 and not machine.pretended:
        yield Row("two GPUs against one, images per second", None, "x", least=1.8, note="this machine has one GPU")
        return
    device = ["--device", "cpu"] if machine.pretended else ["--device", "cuda"]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        random_store(folder / "latents.h5", machine)
        recipe = {"steps": machine.sizes.steps, "batch_size": machine.sizes.batch, "ema": 0.5, "log_every": 1}
        recipe |= {"compile": machine.sizes.compiled}
        words = ["--latents", str(folder / "latents.h5"), "--architecture", json.dumps(machine.sizes.model)]
        words += ["--recipe", json.dumps(recipe), *device]
        found = []
        for gpus in (1, 2):
            command = [sys.executable, "-m", "twostage.training", *words, "--gpus", str(gpus)]
            subprocess.run([*command, "--output", str(folder / str(gpus))], check=True)
            lines = (folder / str(gpus) / "stats.jsonl").read_text(encoding="utf-8").splitlines()
            found.append([json.loads(line) for line in lines])
    one, two = ([line["loss"] for line in lines] for lines in found)
    yield Row("losses of two processes against one", float(np.abs(np.subtract(one, two)).max()), "absolute", most=1e-2)
    rates = [np.median([line["samples_per_second"] for line in lines[len(lines) // 2 :]]) for lines in found]
    yield Row("two processes against one, images per second", float(rates[1] / rates[0]), "x", least=1.8)


def random_store(path, machine):
    """A latent store of as many random latents as a few batches take."""
    count, sizes, random = 4 * machine.sizes.batch, machine.sizes, np.random.default_rng(0)
    with write_store(path, count, sizes.latent, flips=False) as writer:
        writer.write(0, random.standard_normal((count, *sizes.latent), dtype=np.float32))
        labels = np.sort(np.arange(count) % sizes.classes)
        writer.finish(labels, np.arange(count), sizes.classes, ATTRIBUTES)
    return LatentStore.open(path, split="train")
