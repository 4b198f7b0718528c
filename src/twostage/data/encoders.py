"""Encoders: what turns images into latents and back. Pixels as they are, or an autoencoder through diffusers.

Images are uint8 (n, H, W, C); they enter the autoencoder as x / 127.5 - 1 and leave it as 127.5 x + 128, clamped and
truncated (as in LightningDiT); NaN, which would come out black, is refused before. Latents are raw: not scaled, not
normalised; the store normalises.
"""

import hashlib
from pathlib import Path

import torch

from twostage.arguments import as_device
from twostage.data.published import find_weights, load_published
from twostage.data.weights import load_network
from twostage.finite import finite
from twostage.provenance import sha256

KINDS = ("identity", "kl", "sd-vae", "va-vae", "autoencoder-kl", "tiny", "none")
POSTERIORS = ("mean", "sample")


class Encoder:
    """Pixels scaled to [-1, 1], the identity encoder; and the interface of all.

    ``kind``; ``sha256``: digest of the weights file, or "identity"; ``posterior``: "mean" or "sample", what ``encode``
    returns where the encoder gives a distribution.
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
        """As ``encode``, the posterior's mean whatever ``posterior`` says."""
        return self.encode(images)

    def decode(self, latents):
        """Images uint8 (n, H, W, C) of raw latents float32 (n, C, h, w). ValueError where an image is not finite."""
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

    @torch.no_grad()
    def encode(self, images, noise=None):
        if self.posterior == "mean":
            return self.encode_mean(images)
        if noise is None:
            raise ValueError("posterior 'sample' needs noise, one draw a latent")
        posterior = self.network.encode(_to_network(images.to(self.device))).latent_dist
        return posterior.mean + posterior.std * noise.to(self.device)

    @torch.no_grad()
    def encode_mean(self, images):
        encoded = self.network.encode(_to_network(images.to(self.device)))
        return encoded.latent_dist.mean if hasattr(encoded, "latent_dist") else encoded.latents

    @torch.no_grad()
    def decode(self, latents):
        return _to_images(self.network.decode(latents.to(self.device)).sample, self.kind)


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

    weights: path of the weights file, or those of an encoder and a decoder (over ``spec["weights"]`` and
    ``spec["decoder"]``). Raises ValueError for an unknown kind and for weights that are absent, have another sha256
    than ``spec["sha256"]``, or other shapes than the kind has.
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
    """sha256 of an autoencoder's weights file; of two, that of their digests in a row."""
    digests = [sha256(path) for path in paths]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _to_network(images):
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1


def _to_images(x, kind):
    finite(x, f"images that the {kind} encoder decoded", "check the latents and the decoder's weights")
    return (127.5 * x.float() + 128).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
