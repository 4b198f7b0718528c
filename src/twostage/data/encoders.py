"""Encoders: what turns images into latents and back. Pixels as they are, or an autoencoder through diffusers.

Images are uint8 (n, H, W, C); they enter the autoencoder as x / 127.5 - 1 and leave it as 127.5 x + 128, clamped and
truncated (as in LightningDiT). Latents are raw: not scaled, not normalised; the store normalises.
"""

import json

import torch

from twostage.provenance import sha256

KINDS = ("identity", "kl", "sd-vae", "va-vae", "tiny")
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

    def decode(self, latents):
        """Images uint8 (n, H, W, C) of raw latents float32 (n, C, h, w)."""
        return _to_images(latents.to(self.device))


class Autoencoder(Encoder):
    """A diffusers autoencoder: ``network`` an AutoencoderKL or AutoencoderTiny."""

    def __init__(self, kind, network, digest, posterior="mean", device="cpu"):
        if posterior not in POSTERIORS:
            raise ValueError(f"posterior is {posterior!r}; expected one of {', '.join(POSTERIORS)}")
        self.kind, self.sha256, self.posterior, self.device = kind, digest, posterior, device
        self.network = network.to(device).eval().requires_grad_(False)

    @property
    def downsample(self):
        """Pixels a latent position covers, along a side."""
        channels = self.network.config.get("block_out_channels") or self.network.config.encoder_block_out_channels
        return 2 ** (len(channels) - 1)

    def latent_shape(self, image_shape):
        height, width, channels = image_shape
        factor = self.downsample
        if channels != self.network.config.in_channels:
            raise ValueError(
                f"images have {channels} channels; the {self.kind} encoder expects {self.network.config.in_channels}"
            )
        if height % factor or width % factor:
            raise ValueError(
                f"images of {height} x {width} pixels; the {self.kind} encoder expects sides that {factor} divides: "
                "change image_size"
            )
        return self.network.config.latent_channels, height // factor, width // factor

    @torch.no_grad()
    def encode(self, images, noise=None):
        encoded = self.network.encode(_to_network(images.to(self.device)))
        if not hasattr(encoded, "latent_dist"):
            return encoded.latents
        posterior = encoded.latent_dist
        if self.posterior == "mean":
            return posterior.mean
        if noise is None:
            raise ValueError("posterior 'sample' needs noise, one draw a latent")
        return posterior.mean + posterior.std * noise.to(self.device)

    @torch.no_grad()
    def decode(self, latents):
        return _to_images(self.network.decode(latents.to(self.device)).sample)


def load_encoder(spec, weights=None, device="cpu"):
    """The encoder that ``spec`` describes: ``{"kind": "identity" | "kl" | "sd-vae" | "va-vae" | "tiny", ...}``.

    weights: path of the weights file (over ``spec["weights"]``). Raises ValueError for an unknown kind and for
    weights that are absent, have another sha256 than ``spec["sha256"]``, or other shapes than the kind has.
    """
    kind = spec.get("kind")
    if kind not in KINDS:
        raise ValueError(f"encoder kind is {kind!r}; expected one of {', '.join(KINDS)}")
    if kind == "identity":
        return Encoder()
    weights = weights or spec.get("weights")
    if weights is None:
        raise ValueError(f"the {kind} encoder needs a weights file; expected `weights`, a path")
    network = load_network(weights)
    return Autoencoder(kind, network, sha256(weights), spec.get("posterior", "mean"), device)


def load_network(path):
    """A diffusers autoencoder from a safetensors file that ``save_network`` wrote."""
    import diffusers
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path}: cannot read the weights ({error}); expected a safetensors file") from None
    if "architecture" not in metadata:
        raise ValueError(f"{path}: bears no architecture; expected an encoder that `python -m twostage.data` wrote")
    architecture = json.loads(metadata["architecture"])
    network = getattr(diffusers, metadata["class"])(**architecture)
    network.load_state_dict(state)
    return network


def save_network(path, network, architecture, **metadata):
    """Weights as safetensors; class and architecture (the arguments of the class) as JSON in the file's metadata."""
    from safetensors.torch import save_file

    facts = {"class": type(network).__name__, "architecture": json.dumps(architecture)}
    facts |= {key: json.dumps(value) for key, value in metadata.items()}
    save_file({key: value.contiguous().cpu() for key, value in network.state_dict().items()}, path, facts)


def _to_network(images):
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1


def _to_images(x):
    return (127.5 * x.float() + 128).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
