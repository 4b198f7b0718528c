"""``spaces``: latent spaces, each made by an encoder."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from twostage.config.blocks.base import Block
from twostage.config.blocks.files import File
from twostage.config.blocks.statistics import Statistics
from twostage.config.values import Count, NotNegative, PathText, Positive
from twostage.data.kinds import ABSENT, ALIGNED, DEFAULTS, PIXELS, PUBLISHED, TRAINED


class IdentityEncoder(Block):
    """Pixels without an encoder, scaled to [-1, 1]."""

    kind: Literal[PIXELS] = Field("identity", description="Pixels scaled to [-1, 1]")


class KLEncoder(Block):
    """A small KL autoencoder (diffusers' AutoencoderKL) that the workflow trains on the training images."""

    kind: Literal[TRAINED] = Field("kl", description="KL autoencoder that the workflow trains")
    latent_channels: Count = Field(DEFAULTS["latent_channels"], description="Number of latent channels")
    downsample: Literal[1, 2, 4, 8] = Field(
        DEFAULTS["downsample"], description="Factor by which the side of an image shrinks to the side of a latent"
    )
    channels: list[Count] = Field(
        DEFAULTS["channels"], min_length=1, description="Channels per resolution level, finest level first"
    )
    steps: Count = Field(DEFAULTS["steps"], description="Number of training steps")
    batch_size: Count = Field(DEFAULTS["batch_size"], description="Images per training step")
    lr: Positive = Field(DEFAULTS["lr"], description="Learning rate of AdamW")
    kl_weight: NotNegative = Field(
        DEFAULTS["kl_weight"], description="Weight of the KL term, in nats per latent dimension"
    )
    align_weight: NotNegative = Field(
        DEFAULTS["align_weight"],
        description="Weight of the term that aligns latents to the classifier's features, as VA-VAE aligns to "
        "DINOv2's. 0 turns it off",
    )
    posterior: Literal["mean", "sample"] = Field(
        "mean", description="What is stored per image: the mean of its latent posterior, or a sample"
    )

    @model_validator(mode="after")
    def _levels_reduce(self):
        levels = self.downsample.bit_length()
        if len(self.channels) != levels:
            raise ValueError(
                f"channels is {self.channels} with downsample {self.downsample}; expected {levels}, one number "
                "per resolution level, and a factor 2 between levels"
            )
        return self


class Latents(Block):
    """Training latents that were encoded elsewhere, imported instead of encoding the training images."""

    format: Literal["lightningdit", "repa", "npy"] = Field(
        description="File format: LightningDiT's latents_rank*_shard*.safetensors, REPA's img-mean-std-*.npy with "
        "dataset.json, or one .npy (N, C, H, W)"
    )
    path: PathText = Field(description="Folder with the latents. For `npy`: the file")
    labels: PathText | None = Field(
        None, description="For `npy`: the .npy with the labels (N,). Default: labels.npy beside the latents"
    )


class PretrainedEncoder(Block):
    """A published autoencoder, loaded through diffusers."""

    kind: Literal[PUBLISHED] = Field(
        description="SD-VAE (f8, 4 channels), VA-VAE (f16; 16, 32 or 64 channels), any other AutoencoderKL (e.g. of "
        "SD3, Flux, MAR), or TAESD and similar ones"
    )
    weights: File = Field(description="The weights: a file or folder of diffusers, or an LDM checkpoint")
    decoder: File | None = Field(
        None,
        description="The decoder's weights, for a `tiny` autoencoder in two files, e.g. taesd_encoder.pth and "
        "taesd_decoder.pth",
    )
    posterior: Literal["mean", "sample"] = Field(
        "mean", description="What is stored per image: the mean of its latent posterior, or a sample"
    )
    latents: Latents | None = Field(
        None,
        description="Training latents to import instead of encoding the training images. Held-out images are still "
        "encoded",
    )

    @model_validator(mode="after")
    def _has_a_posterior(self):
        if self.kind == "tiny" and self.posterior == "sample":
            raise ValueError('posterior is "sample"; a tiny autoencoder has no distribution: expected "mean"')
        return self

    @model_validator(mode="after")
    def _decoder_is_tiny(self):
        if self.decoder and self.kind != "tiny":
            raise ValueError(f"decoder with kind {self.kind!r}; expected it with tiny only: the others are one file")
        return self


class NoEncoder(Block):
    """Latents alone. Nothing is encoded or decoded, so only what needs no images runs in this latent space."""

    kind: Literal[ABSENT] = Field(description="No encoder and no decoder")
    latents: Latents = Field(description="Training latents to import")


Encoder = Annotated[IdentityEncoder | KLEncoder | PretrainedEncoder | NoEncoder, Field(discriminator="kind")]


class Space(Block):
    """A latent space: the encoder that makes it, and the model's patch size."""

    encoder: Encoder = Field(description="Encoder that turns images into latents")
    patch_size: Count = Field(1, description="Side of a LightningDiT patch, in latent pixels")
    normalise: Literal["channels", "all"] | Statistics = Field(
        "channels",
        description="How latents are scaled before noise is added. `channels`: to mean 0 and variance 1 per channel, "
        "by the training latents. `all`: to mean 0 per channel and variance 1 over all channels together, by one "
        "factor. Or a mean and std of your own",
    )

    @property
    def imported(self):
        """The ``Latents`` to import in place of encoding, or None."""
        return getattr(self.encoder, "latents", None)

    @property
    def weight_files(self):
        """The ``File``s of a published encoder's weights: one, or those of an encoder and a decoder; or none."""
        files = (getattr(self.encoder, "weights", None), getattr(self.encoder, "decoder", None))
        return [file for file in files if file]

    @property
    def aligned(self):
        """Whether an autoencoder's latents are aligned with semantic features; None without an autoencoder."""
        if self.encoder.kind in (*PIXELS, *ABSENT):
            return None
        return self.encoder.kind in ALIGNED or getattr(self.encoder, "align_weight", 0) > 0

    @property
    def decodes(self):
        """Whether latents become images."""
        return self.encoder.kind != "none"
