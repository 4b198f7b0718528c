"""The autoencoder of latent diffusion (CompVis), written and named as its weights are, at any width."""

import torch
import torch.nn.functional as F
from torch import nn

VA_WIDTHS, SD_WIDTHS = (32, 32, 32, 64, 64), (32, 32, 64, 64)


class Resnet(nn.Module):
    def __init__(self, inside, outside):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(32, inside, eps=1e-6), nn.Conv2d(inside, outside, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(32, outside, eps=1e-6), nn.Conv2d(outside, outside, 3, padding=1)
        if inside != outside:
            self.nin_shortcut = nn.Conv2d(inside, outside, 1)

    def forward(self, x):
        h = self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))
        return h + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class Attention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = nn.GroupNorm(32, channels, eps=1e-6)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x):
        h = self.norm(x)
        q, k, v = (layer(h).flatten(2) for layer in (self.q, self.k, self.v))
        weights = (q.transpose(1, 2) @ k * q.shape[1] ** -0.5).softmax(-1)
        return x + self.proj_out((v @ weights.transpose(1, 2)).reshape(x.shape))


class Resample(nn.Module):
    def __init__(self, channels, down):
        super().__init__()
        self.down, self.conv = down, nn.Conv2d(channels, channels, 3, 2 if down else 1, 0 if down else 1)

    def forward(self, x):
        return self.conv(F.pad(x, (0, 1, 0, 1)) if self.down else F.interpolate(x, scale_factor=2.0))


class Middle(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.block_1, self.attn_1, self.block_2 = (
            Resnet(channels, channels),
            Attention(channels),
            Resnet(channels, channels),
        )

    def forward(self, x):
        return self.block_2(self.attn_1(self.block_1(x)))


class Level(nn.Module):
    def __init__(self, inside, outside, blocks, attention, resample):
        super().__init__()
        self.block = nn.ModuleList(Resnet(inside if number == 0 else outside, outside) for number in range(blocks))
        self.attn = nn.ModuleList(Attention(outside) for _ in range(blocks if attention else 0))
        if resample:
            setattr(self, resample, Resample(outside, resample == "downsample"))

    def forward(self, x):
        for number, block in enumerate(self.block):
            x = block(x)
            x = self.attn[number](x) if len(self.attn) else x
        for name in ("downsample", "upsample"):
            x = getattr(self, name)(x) if hasattr(self, name) else x
        return x


class Coder(nn.Module):
    """Encoder (``down``) or decoder (``up``, whose level 0 is the finest too, but runs last)."""

    def __init__(self, name, widths, inside, outside, attention):
        super().__init__()
        levels, up = len(widths), name == "up"
        first, last = (widths[-1], widths[0]) if up else (widths[0], widths[-1])
        self.conv_in, self.mid = nn.Conv2d(inside, first, 3, padding=1), Middle(widths[-1])
        made = {}
        for level in reversed(range(levels)) if up else range(levels):
            before = widths[min(level + 1, levels - 1)] if up else widths[max(level - 1, 0)]
            resample = "upsample" if up and level > 0 else "downsample" if not up and level < levels - 1 else None
            made[level] = Level(before, widths[level], 3 if up else 2, attention and level == levels - 1, resample)
        setattr(self, name, nn.ModuleList(made[level] for level in range(levels)))
        self.norm_out, self.conv_out = nn.GroupNorm(32, last, eps=1e-6), nn.Conv2d(last, outside, 3, padding=1)
        self.is_decoder = up

    def forward(self, x):
        x = self.conv_in(x)
        if self.is_decoder:
            x = self.mid(x)
            for level in reversed(self.up):
                x = level(x)
        else:
            for level in self.down:
                x = level(x)
            x = self.mid(x)
        return self.conv_out(F.silu(self.norm_out(x)))


class LDM(nn.Module):
    def __init__(self, widths, latent, attention):
        super().__init__()
        self.encoder = Coder("down", widths, 3, 2 * latent, attention)
        self.decoder = Coder("up", widths, latent, 3, attention)
        self.quant_conv, self.post_quant_conv = nn.Conv2d(2 * latent, 2 * latent, 1), nn.Conv2d(latent, latent, 1)


def make_ldm(kind):
    torch.manual_seed(0)
    model = LDM(VA_WIDTHS, 32, True) if kind == "va-vae" else LDM(SD_WIDTHS, 4, False)
    for parameter in model.parameters():  # norms and biases too, so that none can hide behind its start value
        nn.init.normal_(parameter, 1.0 if parameter.ndim == 1 else 0.0, 0.1)
    return model.eval()


def ldm_checkpoint(model):
    """What VA-VAE's file holds: the weights and what only training used."""
    extra = {
        "loss.logvar": torch.zeros(()),
        "foundation_model.x": torch.ones(3),
        "linear_proj.weight": torch.ones(2, 2),
    }
    return {"state_dict": {**model.state_dict(), **extra}, "global_step": 3}
