"""Encoders turn images into latents and back: the pixels themselves, or an autoencoder through diffusers.

Images are uint8 (n, H, W, C). They enter the autoencoder as x / 127.5 - 1 and leave it as 127.5 x + 128, clamped and
truncated (as in LightningDiT); NaN, which would become black, is refused before. Latents are raw: neither scaled nor
normalised; the store normalises them. Networks take images in chunks of one size (``twostage.data.chunks``). Results
are on the CPU, so the number of images is limited only by its memory.
"""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from twostage.arguments import as_device
from twostage.data.chunks import budget_mb, chunk_size, in_chunks
from twostage.data.kinds import KINDS
from twostage.data.published import find_weights, load_published
from twostage.data.weights import load_network
from twostage.finite import finite
from twostage.provenance import sha256

POSTERIORS = ("mean", "sample")


class Encoder:
    """The identity encoder (pixels scaled to [-1, 1]), and the interface of all encoders.

    ``kind``; ``sha256``: digest of the weights file, or "identity"; ``posterior``: "mean" or "sample", what ``encode``
    returns if the encoder gives a distribution.
    """

    kind, sha256, posterior, device = "identity", "identity", "mean", "cpu"

    def latent_shape(self, image_shape):
        """Shape (C, h, w) of the latent of an image (H, W, C)."""
        height, width, channels = image_shape
        return channels, height, width

    def encode(self, images, noise=None):
        """Raw latents float32 (n, C, h, w) of images uint8 (n, H, W, C).

        noise: standard normal (n, C, h, w), for posterior "sample" only.
        """
        return _to_network(images.to(self.device))

    def encode_mean(self, images):
        """As ``encode``, but always the posterior's mean, whatever ``posterior`` says."""
        return self.encode(images)

    def decode(self, latents):
        """Images uint8 (n, H, W, C) of raw latents float32 (n, C, h, w). ValueError if an image is not finite."""
        return _to_images(latents.to(self.device), self.kind)


class Autoencoder(Encoder):
    """An autoencoder: ``network`` a diffusers AutoencoderKL or a ``twostage.data.tiny.TinyAutoencoder``."""

    def __init__(self, kind, network, digest, posterior="mean", device="cpu"):
        if posterior not in POSTERIORS:
            raise ValueError(f"posterior is {posterior!r}; expected one of {', '.join(POSTERIORS)}")
        if posterior == "sample" and kind == "tiny":
            raise ValueError("posterior is 'sample'; a tiny autoencoder has no distribution: expected 'mean'")
        self.kind, self.sha256, self.posterior, self.device = kind, digest, posterior, device
        self.network = network.to(device).eval().requires_grad_(False)

    def latent_shape(self, image_shape):
        return latent_shape_of(self.kind, self.network, image_shape)

    def encode(self, images, noise=None):
        if self.posterior == "mean":
            return self.encode_mean(images)
        if noise is None:
            raise ValueError("posterior 'sample' needs noise, one draw per latent")

        def sample(chunk, noise):
            posterior = self._posterior(chunk)
            return posterior.mean + posterior.std * noise.to(self.device)

        return self._chunked(sample, images.shape[1:3], images, noise)

    def encode_mean(self, images):
        return self._chunked(lambda chunk: self._posterior(chunk).mean, images.shape[1:3], images)

    def decode(self, latents):
        factor = 2 ** (len(self.network.config.block_out_channels) - 1)
        sides = [side * factor for side in latents.shape[2:]]
        decoder = lambda chunk: self.network.decode(chunk.to(self.device)).sample  # noqa: E731
        return self._chunked(decoder, sides, latents, after=lambda x, first: _to_images(x, self.kind, first))

    def _posterior(self, images):
        """The distribution of the latents; for an autoencoder without one, the latents as its mean."""
        encoded = self.network.encode(_to_network(images.to(self.device)))
        return encoded.latent_dist if hasattr(encoded, "latent_dist") else SimpleNamespace(mean=encoded.latents)

    @torch.no_grad()
    def _chunked(self, function, sides, *items, after=lambda x, first: x):
        """``after(function(*chunk), first)`` of all chunks of ``items``, on the CPU; sides: of the images, pixels."""
        size = chunk_size(item_bytes(self.network.config.block_out_channels, *sides), budget_mb(self.device))
        return torch.cat([after(x, first).cpu() for first, x in in_chunks(function, size, *items)])


def item_bytes(widths, height, width):
    """Upper bound of the bytes that one image (height x width pixels) takes in an autoencoder beside the weights,
    float32.

    widths: channels of the resolution levels, finest first (``block_out_channels`` of its config). At each level, in
    both directions, at most these maps exist at one time: three as wide as the next level's (an upsampled one,
    normalised, activated), or one such map and four of the level's own width (those of a residual block, and its sum).
    A quarter is added for the working memory of convolutions.
    """
    levels = [max(3 * max(widths[i : i + 2]), max(widths[i : i + 2]) + 4 * own) / 4**i for i, own in enumerate(widths)]
    return int(1.25 * 4 * height * width * max(levels))


def latent_shape_of(kind, network, image_shape):
    """Shape (C, h, w) of the latent of an image (H, W, C). Raises ValueError for images that do not fit the network."""
    height, width, channels = image_shape
    factor = 2 ** (len(network.config.block_out_channels) - 1)
    if channels != network.config.in_channels:
        raise ValueError(f"images have {channels} channels; the {kind} encoder expects {network.config.in_channels}")
    if height % factor or width % factor:
        raise ValueError(
            f"images of {height} x {width} pixels; the {kind} encoder expects sides that {factor} divides: "
            "change image_size"
        )
    return network.config.latent_channels, height // factor, width // factor


def load_encoder(spec, weights=None, device="cpu"):
    """The encoder that ``spec`` describes: ``{"kind": one of KINDS, ...}``.

    weights: path of the weights file, or paths of an encoder and a decoder; they replace ``spec["weights"]`` and
    ``spec["decoder"]``. Raises ValueError for an unknown kind and for weights that are absent, whose sha256 is not
    ``spec["sha256"]``, or whose shapes do not belong to the kind.
    """
    device, kind = as_device(device), spec.get("kind")
    if kind not in KINDS:
        raise ValueError(f"encoder kind is {kind!r}; expected one of {', '.join(KINDS)}")
    if kind == "none":
        raise ValueError("the latent space has no encoder (`none`); expected one where images are encoded or decoded")
    if kind == "identity":
        return Encoder()
    paths = find_weights(spec, weights)
    network = load_network(paths[0]) if kind == "kl" else load_published(kind, paths)
    return Autoencoder(kind, network, digest_of(paths), spec.get("posterior") or "mean", device)


def files_of(weights):
    """Weights as ``load_encoder`` takes them (a path, several, or None) as a list of paths."""
    return [weights] if isinstance(weights, str | Path) else list(weights or ())


def digest_of(paths):
    """sha256 of an autoencoder's weights file; for two files, the sha256 of their joined digests."""
    digests = [sha256(path) for path in paths]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _to_network(images):
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1


def _to_images(x, kind, first=0):
    """Images uint8 (n, H, W, C) of a network's output; first: number of the first of them, for the error."""
    what = f"images that the {kind} encoder decoded"
    finite(x, what, "check the latents and the decoder's weights", np.arange(first, first + len(x)) if first else None)
    return (127.5 * x.float() + 128).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
