"""Somebody's EDM denoiser on CIFAR-10 images, which docs/your-model.md compares with the oracle.

python docs/examples/edm_denoiser.py cifar10/train --output edm.pt
"""

import argparse
import math
from itertools import pairwise

import torch
from torch.nn import functional as F

SIDE, SIGMA_DATA = 16, 0.5


class Block(torch.nn.Module):
    """Two convolutions beside a skip connection; the noise level scales and shifts what is between them."""

    def __init__(self, width, told):
        super().__init__()
        self.first = torch.nn.Conv2d(width, width, 3, padding=1)
        self.second = torch.nn.Conv2d(width, width, 3, padding=1)
        self.norms = torch.nn.ModuleList(torch.nn.GroupNorm(8, width) for _ in range(2))
        self.told = torch.nn.Linear(told, 2 * width)

    def forward(self, h, told):
        scale, shift = self.told(told)[..., None, None].chunk(2, 1)
        inner = self.norms[1](self.first(F.silu(self.norms[0](h)))) * (1 + scale) + shift
        return h + self.second(F.silu(inner))


class Denoiser(torch.nn.Module):
    """D(x; sigma) = c_skip x + c_out F(c_in x, c_noise) (Karras et al., 2022, eq. 7); F is a small U-Net."""

    def __init__(self, widths=(24, 48, 96), told=64):
        super().__init__()
        self.frequencies = torch.nn.Parameter(torch.randn(told // 2), requires_grad=False)
        self.start = torch.nn.Conv2d(3, widths[0], 3, padding=1)
        self.down = torch.nn.ModuleList(Block(width, told) for width in widths)
        self.shrink = torch.nn.ModuleList(torch.nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.grow = torch.nn.ModuleList(torch.nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairwise(widths))
        self.up = torch.nn.ModuleList(Block(width, told) for width in widths[:-1])
        self.end = torch.nn.Conv2d(widths[0], 3, 3, padding=1)
        torch.nn.init.zeros_(self.end.weight)

    def network(self, x, c_noise):
        angles = 2 * math.pi * c_noise[:, None] * self.frequencies
        told, h, kept = torch.cat([angles.cos(), angles.sin()], 1), self.start(x), []
        for level, block in enumerate(self.down):
            h = block(self.shrink[level - 1](h) if level else h, told)
            kept.append(h)
        for level in reversed(range(len(self.up))):
            h = self.up[level](kept[level] + self.grow[level](h), told)
        return self.end(F.silu(h))

    def forward(self, x, sigma, y=None):
        variance = (sigma**2 + SIGMA_DATA**2).reshape(-1, 1, 1, 1)
        c_skip, c_in = SIGMA_DATA**2 / variance, variance.rsqrt()
        c_out = SIGMA_DATA * sigma.reshape(-1, 1, 1, 1) * c_in
        return c_skip * x + c_out * self.network(c_in * x, sigma.log() / 4)


def build(weights=None):
    """The denoiser, to be called as (x, sigma, y); weights: the file that the training below writes."""
    torch.manual_seed(0)
    model = Denoiser()
    if weights:
        model.load_state_dict(torch.load(weights, weights_only=True))
    return model.eval().to(memory_format=torch.channels_last)  # twice as fast on a CPU


def train(data, steps, batch=64, lr=2e-3):
    """EDM's training: data (N, 3, H, W) in [-1, 1]; ln sigma is normal with mean -1.2 and standard deviation 1.2."""
    model = build().train()
    optimizer = torch.optim.Adam(model.parameters(), lr, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: min((k + 1) / 100, 1) * (1 - k / steps))
    total = 0.0
    for step in range(1, steps + 1):
        clean = data[torch.randint(len(data), (batch,))]
        clean = torch.where(torch.rand(batch, 1, 1, 1) < 0.5, clean, clean.flip(3))
        sigma = (1.2 * torch.randn(batch) - 1.2).exp()
        weight = (sigma**2 + SIGMA_DATA**2) / (sigma * SIGMA_DATA) ** 2
        error = model(clean + sigma.reshape(-1, 1, 1, 1) * torch.randn_like(clean), sigma) - clean
        loss = (weight * error.square().mean((1, 2, 3))).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item()
        if step % 100 == 0:
            print(f"step {step}: loss {total / 100:.4f}", flush=True)
            total = 0.0
    return model


if __name__ == "__main__":
    from twostage.data.datasets import load_dataset

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", help="folder of class folders")
    parser.add_argument("--output", required=True)
    parser.add_argument("--steps", type=int, default=1000)
    options = parser.parse_args()
    images = load_dataset("image_folder", "train", path=options.images, image_size=SIDE, held_out=0)
    data = torch.from_numpy(images.images(range(len(images)))).permute(0, 3, 1, 2) / 127.5 - 1
    torch.save(train(data, options.steps).state_dict(), options.output)
