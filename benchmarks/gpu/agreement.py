"""The GPU's results against the CPU's, in float32: each function gives rows."""

import json
import tempfile
from pathlib import Path

import numpy as np
import timm
import torch
from machine import Machine
from rows import Row
from safetensors.torch import save_file

from twostage.data.datasets import load_dataset
from twostage.data.encode import encode
from twostage.data.encoders import load_encoder
from twostage.evaluation.features import dinov2
from twostage.flow import sample_noise, time_grid
from twostage.model.lightningdit import LightningDiT
from twostage.oracle import Oracle, sweep
from twostage.sampling.solver import solve_euler
from twostage.sampling.velocity import Guided, ModelVelocity
from twostage.training.loop import train

POINTS = 16  # what the CPU is asked too
CLOSE = 1e-5  # float32, whose products a GPU adds up in another order
SAMPLES_CLOSE = 1e-3  # after all steps of a trajectory


def oracle(machine: Machine):
    """Velocities and a sweep of random latents."""
    sizes, generator = machine.sizes, torch.Generator().manual_seed(0)
    data = torch.randn(sizes.samples, *sizes.latent, generator=generator)
    noise, index = torch.randn(POINTS, *sizes.latent, generator=generator), torch.arange(POINTS)
    points = lambda t: t * data[index] + (1 - t) * noise  # noqa: E731
    times = torch.linspace(0, 0.99, sizes.times)
    ours, swept = Oracle(data), sweep(data, index, noise, times)
    with machine.gpu():
        theirs = Oracle(data.to("cuda"))
        for t in (0.02, 0.5, 0.95):
            expected, found = ours.velocity(points(t), t), theirs.velocity(points(t).to("cuda"), t).cpu()
            yield Row(f"oracle velocity, t = {t}", relative(found, expected), "relative", most=CLOSE)
        found = sweep(data.to("cuda"), index.to("cuda"), noise.to("cuda"), times)
        worst = np.abs(found.self_weight - swept.self_weight).max()
        yield Row("sweep, weight of the true sample", float(worst), "absolute", most=CLOSE)
        yield Row("sweep, mean squared error", relative(found.mse, swept.mse), "relative", most=CLOSE)


def sampler(machine: Machine):
    """Ten guided Euler steps of the model, random weights, float32."""
    sizes = machine.sizes
    model = filled(LightningDiT(sizes.latent[1], in_channels=sizes.latent[0], num_classes=sizes.classes, **sizes.model))
    noise, labels = sample_noise(0, range(4), sizes.latent), torch.arange(4) % sizes.classes

    def samples(device):
        with torch.inference_mode():
            field = Guided(ModelVelocity(model.to(device)), 2.0, (0.1, 1.0))
            return solve_euler(field, noise.to(device), time_grid(10), labels.to(device)).cpu()

    expected = samples("cpu")
    with machine.gpu(backward=True):
        yield Row("samples after 10 guided steps", relative(samples("cuda"), expected), "relative", most=SAMPLES_CLOSE)


def features(machine: Machine):
    """DINOv2's architecture, random weights."""
    name, side = machine.sizes.dinov2
    torch.manual_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (4, side, side, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        save_file(timm.create_model(name, num_classes=0, img_size=side).state_dict(), path)
        expected = dinov2(path, "cpu", name, side)(images)
        with machine.gpu(backward=True):
            found = dinov2(path, "cuda", name, side)(images)
    yield Row(f"features of {name}", relative(found, expected), "relative", most=SAMPLES_CLOSE)


def training(machine: Machine):
    """One training on the digits to its end, float32; the draws are each device's own."""
    sizes = {"patch_size": 1, "hidden_size": 16, "depth": 1, "num_heads": 2}
    if not machine.pretended:
        sizes |= {"hidden_size": 64, "depth": 4, "num_heads": 4}
    recipe = {"steps": machine.sizes.digits_steps, "batch_size": 64, "ema": 0.5, "precision": "float32", "log_every": 1}
    if machine.pretended:
        recipe["batch_size"] = 8
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        encode(load_dataset("digits", "train"), load_encoder({"kind": "identity"}), folder / "latents.h5")
        train(folder / "latents.h5", sizes, recipe, folder / "cpu", device="cpu")
        with machine.gpu(backward=True):
            train(folder / "latents.h5", sizes, {**recipe, "compile": False}, folder / "cuda", device="cuda")
        expected, found = (last_losses(folder / device) for device in ("cpu", "cuda"))
    spread = np.hypot(*(losses.std() / len(losses) ** 0.5 for losses in (expected, found)))
    yield Row("loss of the last half of the steps", float(found.mean()), "", note=f"CPU: {expected.mean():.4g}")
    difference = abs(found.mean() - expected.mean()) / max(spread, 1e-12)
    yield Row("their difference", float(difference), "standard errors", most=4)


def last_losses(folder):
    lines = (folder / "stats.jsonl").read_text(encoding="utf-8").splitlines()
    losses = np.array([json.loads(line)["loss"] for line in lines])
    return losses[len(losses) // 2 :]


def relative(found, expected):
    """Largest difference over the largest value."""
    found, expected = (np.asarray(values, dtype=np.float64) for values in (found, expected))
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def filled(model):
    """The model with random weights in place of its zeros: a fresh one's velocity is zero."""
    torch.manual_seed(0)
    for weight in model.parameters():
        if weight.requires_grad and not weight.any():
            torch.nn.init.normal_(weight, std=0.02)
    return model.eval()
