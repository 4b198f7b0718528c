"""TAESD's encoder and decoder (also FLUX.2's and Sana's), written and named as their files are, at any width."""

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, inside, outside, pooled):
        super().__init__()
        layers = [nn.Conv2d(inside, outside, 3, padding=1), nn.ReLU()]
        layers += [nn.Conv2d(outside, outside, 3, padding=1), nn.ReLU(), nn.Conv2d(outside, outside, 3, padding=1)]
        self.conv = nn.Sequential(*layers)
        if inside != outside:
            self.skip = nn.Conv2d(inside, outside, 1, bias=False)
        if pooled:
            inner = nn.Conv2d(inside, 4 * inside, 1, bias=False), nn.GroupNorm(4, 4 * inside), nn.ReLU()
            self.pool = nn.Sequential(*inner, nn.Conv2d(4 * inside, inside, 1, bias=False))

    def forward(self, x):
        x = x + self.pool(x) if hasattr(self, "pool") else x
        return torch.relu(self.conv(x) + (self.skip(x) if hasattr(self, "skip") else x))


class Clamp(nn.Module):
    def forward(self, x):
        return torch.tanh(x / 3) * 3


def make_taesd(latent=4, width=8, pooled=False, f32=False):
    """(encoder of images in [0, 1], decoder into them)."""
    torch.manual_seed(0)

    def conv(inside, outside, **options):
        return nn.Conv2d(inside, outside, 3, padding=1, **options)

    def down(blocks, pooled=False):
        return [conv(width, width, stride=2, bias=False), *(Block(width, width, pooled) for _ in range(blocks))]

    def up(inside, outside, pooled=False):
        blocks = [Block(inside, inside, pooled) for _ in range(3)]
        return [*blocks, nn.Upsample(scale_factor=2), conv(inside, outside, bias=False)]

    start = [conv(3, width), Block(width, width, False)]
    if f32:
        start = [conv(3, width // 2, stride=2), nn.ReLU(), conv(width // 2, width, stride=2), nn.ReLU()]
        start.append(Block(width, width, False))
    encoder = nn.Sequential(*start, *down(3), *down(3), *down(3, pooled), conv(width, latent))
    first = 2 * width if f32 else width
    middle = [*up(first, width, pooled), *up(width, width), *up(width, width)] + (2 * up(width, width) if f32 else [])
    end = [Block(width, width, False), conv(width, 3)]
    decoder = nn.Sequential(Clamp(), conv(latent, first), nn.ReLU(), *middle, *end)
    for parameter in (*encoder.parameters(), *decoder.parameters()):
        nn.init.normal_(parameter, 1.0 if parameter.ndim == 1 else 0.0, 0.1)
    return encoder.eval(), decoder.eval()
