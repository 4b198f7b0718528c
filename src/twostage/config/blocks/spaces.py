"""``spaces``: latent spaces, each made by an encoder."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from twostage.config.blocks.base import Block
from twostage.config.blocks.files import File
from twostage.config.values import Count, NotNegative, PathText, Positive


class IdentityEncoder(Block):
    """Pixels as they are, scaled to [-1, 1]."""

    kind: Literal["identity"] = Field("identity", description="Pixels scaled to [-1, 1]")


class KLEncoder(Block):
    """A small KL autoencoder (diffusers' AutoencoderKL) that the workflow trains on the training images."""

    kind: Literal["kl"] = Field("kl", description="KL autoencoder trained by the workflow")
    latent_channels: Count = Field(4, description="Channels of the latent")
    downsample: Literal[1, 2, 4, 8] = Field(2, description="Spatial reduction factor")
    channels: list[Count] = Field([16, 32], min_length=1, description="Channels of the resolution levels, finest first")
    steps: Count = Field(600, description="Training steps")
    batch_size: Count = Field(32, description="Images a training step")
    lr: Positive = Field(1e-2, description="AdamW learning rate")
    kl_weight: NotNegative = Field(1e-4, description="Weight of the KL term, in nats a latent dimension")
    align_weight: NotNegative = Field(
        0.0,
        description="Weight of the alignment to the classifier's features, as VA-VAE's to DINOv2's; 0 is none",
    )
    posterior: Literal["mean", "sample"] = Field("mean", description="What is stored of each image's latent posterior")

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
    """Training latents that others made with the encoder, taken in place of encoding the training images."""

    format: Literal["lightningdit", "repa", "npy"] = Field(
        description="LightningDiT's latents_rank*_shard*.safetensors, REPA's img-mean-std-*.npy with dataset.json, or "
        "one .npy (N, C, H, W)"
    )
    path: PathText = Field(description="Folder that holds them; for npy the file")
    labels: PathText | None = Field(
        None, description="For npy: the .npy of the labels (N,); unless given, labels.npy beside the latents"
    )


class PretrainedEncoder(Block):
    """A published autoencoder, loaded through diffusers."""

    kind: Literal["sd-vae", "va-vae", "autoencoder-kl", "tiny"] = Field(
        description="SD-VAE (f8, 4 channels), VA-VAE (f16; 16, 32 or 64 channels), any other AutoencoderKL (SD3's, "
        "Flux's, MAR's), TAESD and its like"
    )
    weights: File = Field(description="The weights: a diffusers file or folder, or an LDM checkpoint")
    decoder: File | None = Field(
        None,
        description="For `tiny` that comes as two files, such as taesd_encoder.pth and taesd_decoder.pth: the other",
    )
    posterior: Literal["mean", "sample"] = Field("mean", description="What is stored of each image's latent posterior")
    latents: Latents | None = Field(
        None, description="Training latents to import; the held-out images are still encoded"
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
    """Latents alone: nothing is encoded or decoded, so that only what needs no images runs in the space."""

    kind: Literal["none"] = Field(description="No encoder and no decoder")
    latents: Latents = Field(description="Training latents to import")


Encoder = Annotated[IdentityEncoder | KLEncoder | PretrainedEncoder | NoEncoder, Field(discriminator="kind")]


class Space(Block):
    """A latent space: the encoder that makes it, and how the model cuts it into patches."""

    encoder: Encoder = Field(description="What turns images into latents")
    patch_size: Count = Field(1, description="Side of a LightningDiT patch, latent pixels")

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
    def decodes(self):
        """Whether latents become images."""
        return self.encoder.kind != "none"
