"""Tiny autoencoders of the TAESD family, built from the shapes in their files: one file of diffusers, or a pair.

The files number the layers; layers without weights (ReLU, upsampling) appear as missing numbers. Covered: TAESD for SD,
SDXL, SD3 and FLUX.1 (github.com/madebyollin/taesd), FLUX.2's, whose middle blocks have a pool branch, and Sana's, at
1/32 of the side.
"""

import re
from itertools import pairwise
from types import SimpleNamespace

import torch
from torch import nn

POOL_GROUPS = 4  # of the group norm in a pool branch, which the weights do not tell


class TinyAutoencoder(nn.Module):
    """Images in [-1, 1] to latents and back, with the interface of a diffusers autoencoder.

    shapes: {name: shape} of ``encoder.layers.N...`` and ``decoder.layers.N...`` (``one_file``). Raises ValueError for
    layers of another network.
    """

    def __init__(self, shapes):
        super().__init__()
        encoder, decoder = (_layers_of(shapes, f"{side}.layers.") for side in ("encoder", "decoder"))
        self.encoder = nn.ModuleDict({"layers": _stack(encoder, decoder=False)})
        self.decoder = nn.ModuleDict({"layers": _stack(decoder, decoder=True)})
        halvings = [layer for layer in self.encoder["layers"] if getattr(layer, "stride", None) == (2, 2)]
        doublings = sum(isinstance(layer, nn.Upsample) for layer in self.decoder["layers"])
        channels, expected = self.encoder["layers"][-1].out_channels, self.decoder["layers"][0].in_channels
        if (channels, len(halvings)) != (expected, doublings):
            raise ValueError(
                f"the encoder makes {channels} channels at 1/{2 ** len(halvings)}, the decoder takes {expected} at "
                f"1/{2**doublings}; expected two of one autoencoder"
            )
        self.config = SimpleNamespace(
            in_channels=self.encoder["layers"][0].in_channels,
            latent_channels=channels,
            block_out_channels=[
                *(layer.out_channels for layer in halvings),
                channels,
            ],  # one more than halvings, as diffusers has it
        )

    def encode(self, images):
        """``.latents`` of images (n, 3, H, W) in [-1, 1]."""
        return SimpleNamespace(latents=self.encoder["layers"](images.add(1).div(2)))

    def decode(self, latents):
        """``.sample``, images in [-1, 1], of latents (n, C, h, w)."""
        return SimpleNamespace(sample=self.decoder["layers"](torch.tanh(latents / 3) * 3).mul(2).sub(1))


class Block(nn.Module):
    """Three convolutions beside a skip; in FLUX.2's autoencoder a group norm over the whole image (``pool``) before."""

    def __init__(self, inside, outside, pooled=0):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(inside, outside, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(outside, outside, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(outside, outside, 3, padding=1),
        )
        self.skip = nn.Conv2d(inside, outside, 1, bias=False) if inside != outside else nn.Identity()
        self.pool = None
        if pooled:
            self.pool = nn.Sequential(
                nn.Conv2d(inside, pooled, 1, bias=False),
                nn.GroupNorm(POOL_GROUPS, pooled),
                nn.ReLU(),
                nn.Conv2d(pooled, inside, 1, bias=False),
            )

    def forward(self, x):
        if self.pool is not None:
            x = x + self.pool(x)
        return torch.relu(self.conv(x) + self.skip(x))


def one_file(encoder, decoder):
    """State dict in diffusers' names, from the state dicts of TAESD's two files.

    In these files the decoder's numbers include a first layer that clamps; diffusers' numbers do not. Raises ValueError
    for files that are no such pair.
    """
    if "0.weight" not in encoder or "1.weight" not in decoder:
        raise ValueError("expected the encoder's file as `weights` and the decoder's as `decoder`: are they exchanged?")
    moved = {f"{int(number) - 1}.{rest}": value for number, rest, value in _numbered(decoder)}
    return {f"encoder.layers.{name}": value for name, value in encoder.items()} | {
        f"decoder.layers.{name}": value for name, value in moved.items()
    }


def _numbered(state):
    for name, value in state.items():
        number, _, rest = name.partition(".")
        if not re.fullmatch("[0-9]{1,4}", number):
            raise ValueError(f"{name} is no numbered layer")
        yield number, rest, value


def _layers_of(shapes, prefix):
    """[{name within the layer: shape}] by number, empty for a layer without weights."""
    found = {}
    inside = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
    for number, rest, shape in _numbered(inside):
        found.setdefault(int(number), {})[rest] = tuple(shape)
    numbers = sorted(found)
    if not numbers or numbers[0] != 0 or any(after - before > 2 for before, after in pairwise(numbers)):
        raise ValueError(f"layers {numbers[:3]}...{numbers[-1:]} of {prefix}*; expected them from 0 on")
    return [found.get(number, {}) for number in range(numbers[-1] + 1)]


def _stack(layers, decoder):
    made = []
    for number, shapes in enumerate(layers):
        if "conv.0.weight" in shapes:
            outside, inside, *_ = shapes["conv.0.weight"]
            made.append(Block(inside, outside, shapes.get("pool.0.weight", (0,))[0]))
        elif "weight" in shapes:
            outside, inside, *_ = shapes["weight"]
            # A convolution halves the side where it has no bias, or a ReLU of its own.
            halves = not decoder and ("bias" not in shapes or layers[number + 1 : number + 2] == [{}])
            made.append(nn.Conv2d(inside, outside, 3, 2 if halves else 1, padding=1, bias="bias" in shapes))
        elif not shapes:
            made.append(nn.Upsample(scale_factor=2) if decoder and number > 1 else nn.ReLU())
        else:
            raise ValueError(f"layer {number} holds {', '.join(shapes)}; expected a convolution or a block")
    if not all(isinstance(made[end], nn.Conv2d) for end in (0, -1)):
        raise ValueError("the first and the last layer are no convolutions")
    return nn.Sequential(*made)
