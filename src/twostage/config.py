"""The one description of every configuration key: meaning, unit, default, allowed values.

The Snakefile calls ``load`` on the configuration while it parses; a wrong key or value ends the run there, with one
line that names the key, the value, what was expected and the closest valid name. ``config/README.md`` is generated
from this module (``python -m twostage.config > config/README.md``).
"""

import difflib
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from twostage.data.folders import class_folders, refuse_single_images
from twostage.training.recipe import PRESETS


def _inside(value):
    if not 0 < value < 1:
        raise PydanticCustomError("share", "a number between 0 and 1, both excluded")
    return value


def _words(settings):
    """Keys and values as they are written in a configuration."""
    return ", ".join(f"{key} {json.dumps(value)}" for key, value in settings.items())


Share = Annotated[
    float, AfterValidator(_inside), Field(json_schema_extra={"exclusiveMinimum": 0, "exclusiveMaximum": 1})
]
Time = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_]*$")]


class ConfigError(ValueError):
    """A configuration that cannot be run; the message is one line."""


class Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


# ---------------------------------------------------------------------------------------------------------------- data


class File(Block):
    """A file of weights: where it lies, and where it is fetched from while it is not there. A bare path is enough."""

    path: str | None = Field(None, description="Where the file lies; unless given, weights/ and the name at its source")
    repo: str | None = Field(None, description="Hugging Face hub id to fetch it from, with `revision` and `file`")
    revision: str | None = Field(
        None,
        pattern="^[0-9a-f]{40}$",
        description="Pinned commit of `repo`, 40 hex digits: a branch can change under you",
    )
    file: str | None = Field(None, description="Name of the file in `repo`")
    url: str | None = Field(
        None, pattern="^(https?|file)://", description="Address to fetch it from, instead of `repo`"
    )
    sha256: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="Expected digest; unless given, any file is taken"
    )

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, value):
        return {"path": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _has_one_source(self):
        if self.repo and self.url:
            raise ValueError("both `repo` and `url`; expected one place to fetch the file from")
        if bool(self.repo) != bool(self.revision) or bool(self.repo) != bool(self.file):
            raise ValueError("`repo`, `revision` and `file` go together: a hub id, a pinned commit and a file in it")
        if not (self.path or self.repo or self.url):
            raise ValueError("a file needs `path`, where it lies, or where it is fetched from: `repo` or `url`")
        return self

    @property
    def place(self):
        """Path of the file: `path`, or its name under weights/."""
        if self.path:
            return self.path
        parts = [self.repo.replace("/", "--"), self.file] if self.repo else [self.url.rpartition("/")[2]]
        return "/".join(["weights", *parts])


class Data(Block):
    """The images, and how they are split into training and held-out ones."""

    name: Literal["digits", "image_folder", "cifar10"] = Field(
        description="Data set: scikit-learn's digits, class folders of images, or torchvision's CIFAR-10"
    )
    path: str | None = Field(None, description="Folder with the images; not for digits")
    held_out_path: str | None = Field(
        None,
        description="Folder with the held-out images, where the data set has its own; else `held_out` is split off. "
        "Held-out images that equal a training image are left out",
    )
    image_size: Count = Field(description="Side of the square images after ADM's centre crop, pixels")
    min_side: Count | None = Field(
        None, description="Smallest shorter side of an image that is accepted, pixels; unless given, `image_size`"
    )
    held_out: Share = Field(
        0.1, description="Share of each class held out of training, seeded by `seed`; copies of an image stay together"
    )
    flips: bool = Field(
        False, description="Store the latents of mirrored images too, for training and for the oracle alike"
    )
    background: str = Field(
        "white",
        pattern="^(white|black|grey|#[0-9a-fA-F]{6})$",
        description='Colour that transparent images are laid over: `white`, `black`, `grey` or `"#rrggbb"`',
    )
    max_corrupt: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Largest share of unreadable images to leave out (counted and listed) instead of stopping",
    )
    shards: Count = Field(
        1, description="Encoding jobs for the training images of a latent space; their files are joined without copying"
    )
    images: Count | None = Field(
        None,
        description="Training images that `estimate` reckons with, else it counts them; given with `held_out_images`, "
        "it runs before the images are there",
    )
    held_out_images: Count | None = Field(None, description="Held-out images that `estimate` reckons with")
    classes: Count | None = Field(
        None,
        description="Classes that `estimate` reckons with; else it counts the folders (1,000 where there are none)",
    )

    @model_validator(mode="after")
    def _has_path(self):
        if self.name == "image_folder" and self.path is None:
            raise ValueError("image_folder needs `path`, the folder that holds one folder a class")
        if self.name == "cifar10" and self.path is None:
            raise ValueError("cifar10 needs `path`, the folder that its archive is unpacked in")
        return self


class IdentityEncoder(Block):
    """Pixels as they are, scaled to [-1, 1]."""

    kind: Literal["identity"] = Field("identity", description="Pixels scaled to [-1, 1]")


class KLEncoder(Block):
    """A small KL autoencoder (diffusers' AutoencoderKL) that the workflow trains on the training images."""

    kind: Literal["kl"] = Field("kl", description="KL autoencoder trained by the workflow")
    latent_channels: Count = Field(4, description="Channels of the latent")
    downsample: Literal[1, 2, 4, 8] = Field(2, description="Spatial reduction factor")
    channels: list[Count] = Field([16, 32], description="Channels of the resolution levels, finest first")
    steps: Count = Field(600, description="Training steps")
    batch_size: Count = Field(32, description="Images a training step")
    lr: float = Field(1e-2, gt=0, description="AdamW learning rate")
    kl_weight: float = Field(1e-4, ge=0, description="Weight of the KL term, in nats a latent dimension")
    align_weight: float = Field(
        0.0,
        ge=0,
        description="Weight of the alignment to the classifier's features, as VA-VAE's to DINOv2's; 0 is none",
    )
    posterior: Literal["mean", "sample"] = Field("mean", description="What is stored of each image's latent posterior")


class Latents(Block):
    """Training latents that others made with the encoder, taken in place of encoding the training images."""

    format: Literal["lightningdit", "repa"] = Field(
        description="LightningDiT's latents_rank*_shard*.safetensors, or REPA's img-mean-std-*.npy with dataset.json"
    )
    path: str = Field(description="Folder that holds them")


class PretrainedEncoder(Block):
    """A published autoencoder, loaded through diffusers."""

    kind: Literal["sd-vae", "va-vae", "tiny"] = Field(
        description="SD-VAE (f8, 4 channels), VA-VAE (f16, 32 channels), AutoencoderTiny"
    )
    weights: File = Field(description="The weights: a diffusers file or folder, or an LDM checkpoint")
    posterior: Literal["mean", "sample"] = Field("mean", description="What is stored of each image's latent posterior")
    latents: Latents | None = Field(
        None, description="Training latents to import; the held-out images are still encoded"
    )


Encoder = Annotated[IdentityEncoder | KLEncoder | PretrainedEncoder, Field(discriminator="kind")]


class Space(Block):
    """A latent space: the encoder that makes it, and how the model cuts it into patches."""

    encoder: Encoder = Field(description="What turns images into latents")
    patch_size: Count = Field(1, description="Side of a LightningDiT patch, latent pixels")

    @property
    def imported(self):
        """The ``Latents`` to import in place of encoding, or None."""
        return getattr(self.encoder, "latents", None)

    @property
    def weights(self):
        """The ``File`` of a published encoder's weights, or None."""
        return getattr(self.encoder, "weights", None)


# -------------------------------------------------------------------------------------------------------------- models

PAPER_SIZES = {
    "S": {"hidden_size": 384, "depth": 12, "num_heads": 6},
    "B": {"hidden_size": 768, "depth": 12, "num_heads": 12},
    "L": {"hidden_size": 1024, "depth": 24, "num_heads": 16},
    "XL": {"hidden_size": 1152, "depth": 28, "num_heads": 16},
}


class Model(Block):
    """A LightningDiT. A name among S, B, L, XL without a width has the paper's size."""

    hidden_size: Count = Field(description="Width of the tokens")
    depth: Count = Field(description="Number of blocks")
    num_heads: Count = Field(description="Attention heads; must divide hidden_size")
    steps: Count | None = Field(None, description="Training steps of this model, when not `training.steps`")
    target: Literal["cfm", "oracle"] | None = Field(
        None,
        description="Regression target of this model, when not `training.target`: it is then trained in those latent "
        "spaces alone where an experiment names it",
    )
    checkpoint: dict[Name, File] = Field(
        {},
        description="Weights to import in place of training, by latent space (a bare file: in all of them); `steps` "
        "says how long they were trained. LightningDiT's .pt (its `ema`), SiT-style .pt, safetensors",
    )

    @model_validator(mode="after")
    def _heads_fit(self):
        if self.hidden_size % (4 * self.num_heads):
            raise ValueError(
                f"hidden_size {self.hidden_size} with num_heads {self.num_heads}; "
                "expected a multiple of 4 x num_heads (2-D rotary positions)"
            )
        return self

    @property
    def parameters(self):
        """Number of parameters of a LightningDiT of this size, but for those that the latents decide: what is made of
        patches, positions and classes."""
        width, gated = self.hidden_size, int(2 / 3 * 4 * self.hidden_size)
        attention = 4 * width * (width + 1)
        feed_forward = 2 * gated * (width + 1) + width * (gated + 1)
        block = attention + feed_forward + 6 * width * (width + 1) + 2 * width
        times = width * (256 + 1) + width * (width + 1)
        last = 2 * width * (width + 1) + width
        return self.depth * block + times + last


class Training(Block):
    """The training recipe; defaults are the paper's, or those of the `preset`."""

    preset: Literal["paper", "lightningdit"] = Field(
        "paper", description=f"Whose defaults the keys below have; `lightningdit`: {_words(PRESETS['lightningdit'])}"
    )
    steps: Count = Field(description="Optimiser steps")
    snapshots: list[Count] = Field([], description="Steps at which EMA weights are kept, besides the last")
    batch_size: Count = Field(512, description="Samples a step, over all processes")
    lr: float = Field(1e-4, gt=0, description="AdamW learning rate, constant")
    betas: tuple[float, float] = Field((0.9, 0.999), description="AdamW betas")
    weight_decay: float = Field(0.0, ge=0, description="AdamW weight decay")
    max_grad_norm: float | None = Field(
        1.0, gt=0, description="Largest gradient norm; beyond it gradients are scaled down; null scales none"
    )
    ema: float = Field(0.9999, ge=0, lt=1, description="Decay of the exponential moving average of the weights, a step")
    time: Literal["uniform", "lognormal"] = Field("uniform", description="Distribution of the training times on [0, 1]")
    class_drop: float = Field(0.1, ge=0, lt=1, description="Probability that a sample's class is dropped")
    target: Literal["cfm", "oracle"] = Field(
        "cfm", description="Regression target: x_1 - x_0, or the oracle velocity (App. B)"
    )
    cosine_loss: bool = Field(False, description="Add LightningDiT's cosine loss")
    precision: Literal["auto", "float32", "bf16"] = Field(
        "auto", description="Precision of the forward and backward pass (autocast); `auto`: bf16 on a GPU, else float32"
    )
    compile: Literal["auto"] | bool = Field("auto", description="Compile the model's blocks; `auto`: on a GPU")
    accumulate: Count = Field(1, description="Parts a batch is cut into, to fit the device's memory")
    activation_checkpointing: bool = Field(
        False, description="Recompute activations in the backward pass, to save memory"
    )
    checkpoint_every: Count = Field(1000, description="Steps between resumable checkpoints")
    log_every: Count = Field(10, description="Steps a line of stats.jsonl is the mean of")
    tensorboard: bool = Field(
        False, description="Also write TensorBoard's event files, to `tensorboard/` beside the snapshots"
    )
    memory_mb: Count = Field(
        8192, description="Latents held in memory, MiB; a larger store is read in sequence and shuffled in windows"
    )
    minutes: float | None = Field(
        None,
        gt=0,
        description="Wall-clock budget of one job, minutes; at its end it checkpoints and leaves to be requeued",
    )

    @model_validator(mode="before")
    @classmethod
    def _preset_first(cls, settings):
        """The preset's values, where the configuration has none of its own."""
        if not isinstance(settings, dict):
            return settings
        preset = settings.get("preset")
        return {**(PRESETS.get(preset, {}) if isinstance(preset, str) else {}), **settings}

    @model_validator(mode="after")
    def _batch_divides(self):
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"batch_size {self.batch_size} with accumulate {self.accumulate}; expected a divisor of the batch"
            )
        return self


# -------------------------------------------------------------------------------------------------------------- oracle


class Oracle(Block):
    """The posterior study on real latents (Fig. 2) and the transition measured from it."""

    time_steps: Annotated[int, Field(ge=10)] = Field(
        100,
        description="Intervals of the time grid on [0, 1]; times that resolve the transition, and those at which the "
        "paper was read off, are added",
    )
    pairs_per_class: Count = Field(128, description="Pairs (x_0, x_1) a class")
    pairs_unconditional: Count = Field(512, description="Pairs for the unconditional oracle")
    bootstrap: Count = Field(1000, description="Resamples of the pairs for the transition's interval")
    memory_mb: Count = Field(
        1024, description="Memory that latents may take at a time, MiB; larger classes are streamed"
    )


class Synthetic(Block):
    """Unit Gaussians (Fig. 3): sample a posterior without ever holding D numbers."""

    size: Count = Field(1400, description="N of the panel that varies D")
    dims: list[Annotated[int, Field(ge=2)]] = Field([512, 2048, 8192], description="D of the panel that varies D")
    dim: Annotated[int, Field(ge=2)] = Field(1024, description="D of the panel that varies N")
    sizes: list[Count] = Field([100, 1000, 10000], description="N of the panel that varies N")
    time_steps: Annotated[int, Field(ge=10)] = Field(
        50, description="Intervals of the time grid on [0, 1]; times are added as for `oracle`"
    )
    trials: Count = Field(1000, description="Trials a curve, exact and in bfloat16")
    law_dims: list[Annotated[int, Field(ge=2)]] = Field(
        [16, 64, 512, 4096], description="D of the grid on which the transition law is checked"
    )
    law_sizes: list[Annotated[int, Field(ge=2)]] = Field([10, 100, 1000, 10000], description="N of that grid")
    law_trials: Count = Field(1000, description="Trials a point of that grid")


class SizeSweep(Block):
    """N varied on the real data at fixed D: subsets of each class, then of all classes together."""

    sizes: list[Annotated[int, Field(ge=2)]] = Field(
        [10, 20, 50, 100, 200, 500, 1000, 2000, 5000], min_length=1, description="N; those beyond a pool are left out"
    )
    pairs: Count = Field(40, description="Pairs (x_0, x_1) per subset")
    repeats: Count = Field(
        5, description="Random subsets of each size; intervals are over them (Student's t), so one subset has none"
    )


class OracleLoss(Block):
    """The models' error against both targets by t (Figs. 7 and 9)."""

    time_steps: Annotated[int, Field(ge=10)] = Field(
        50, description="Intervals of the time grid on [0, 1]; times are added as for `oracle`"
    )
    pairs: Count = Field(256, description="Pairs (x_0, x_1), balanced over the classes, the same for every model")


# ------------------------------------------------------------------------------------------------------------ sampling


class Sampling(Block):
    """What every plan shares."""

    samples: Count = Field(50000, description="Images a plan and seed")
    seeds: list[Annotated[int, Field(ge=0)]] = Field(
        [0], min_length=1, description="Sampling seeds; noise and label of sample i depend on (seed, i) alone"
    )
    steps: Annotated[int, Field(ge=2)] = Field(50, description="Function evaluations a trajectory")
    solver: Literal["euler", "heun"] = Field("euler", description="ODE solver")
    batch_size: Count = Field(256, description="Trajectories solved at a time")
    precision: Literal["float32", "bf16"] = Field("float32", description="Precision of the models' forward pass")
    shards: Count = Field(1, description="Sampling jobs an experiment and latent space")


class Experiment(Block):
    """What every experiment may set for itself."""

    spaces: list[Name] | None = Field(None, description="Latent spaces to run it in; without the key, all")
    samples: Count | None = Field(None, description="Images a plan and seed, when not `sampling.samples`")
    seeds: list[Annotated[int, Field(ge=0)]] | None = Field(
        None, min_length=1, description="Sampling seeds, when not `sampling.seeds`"
    )


class StageSwap(Experiment):
    """Tab. 1: one model up to the split, another after it, in every order; the total number of steps is fixed."""

    models: list[Name] = Field(
        ["XL", "B"],
        min_length=1,
        description="Models to combine; the first throughout is what others are compared with",
    )
    splits: list[Literal["measured"] | Share] = Field(
        ["measured"], min_length=1, description="Stage splits: `measured` (from this data's transition) or fixed times"
    )
    stage_steps: Literal["proportional", "equal"] | tuple[Count, Count] = Field(
        "proportional",
        description="Steps of each stage, uniform in it: their shares of the uniform grid, half each, or two numbers",
    )


class TimestepShift(Experiment):
    """Tab. 2: timestep shifts t' = s t / (1 + (s - 1) t) of one model's grid."""

    model: Name = Field("B", description="Model to sample from")
    shifts: list[Annotated[float, Field(gt=0)]] = Field(
        [4, 2, 1, 0.7, 0.5, 0.3, 0.1], min_length=1, description="Shifts s; below 1 spends more steps near the prior"
    )


class GuidanceInterval(Experiment):
    """Tab. 3: classifier-free guidance on one interval of t at a time."""

    model: Name = Field("B", description="Model to sample from")
    guidance: float = Field(2.0, gt=0, description="Guidance scale; 1 is none")
    channels: Literal["all"] | Count = Field(
        "all", description="Latent channels that guidance acts on: `all`, or the first so many"
    )
    short: list[tuple[Time, Time]] = Field(
        [(k / 10, (k + 1) / 10) for k in range(10)], description="Short intervals [start, end]"
    )
    wide: list[tuple[Time, Time]] = Field(
        [(start, end) for start in (0.0, 0.1, 0.2) for end in (0.4, 0.6, 0.8, 1.0)], description="Wide intervals"
    )


class MixedSampling(Experiment):
    """Fig. 5: the oracle up to a switch time, a model after it."""

    model: Name = Field("XL", description="Model to sample from")
    times: list[Time] = Field(
        [0, 0.05, 0.1, 0.15, 0.2, 0.4, 0.6, 0.8, 1], min_length=1, description="Switch times; 0 is the model alone"
    )
    oracle_samples: Count | None = Field(
        None,
        description="Images of the oracle alone (t_switch = 1), when not `samples`; 381 without a miss show that it "
        "retrieves over 99%",
    )


class ResumedSampling(Experiment):
    """Fig. 6: a model from x_t of held-out images."""

    model: Name = Field("XL", description="Model to sample from")
    times: list[Share] = Field([0.1, 0.2, 0.4, 0.8], min_length=1, description="Times to resume from")


class Predictions(Experiment):
    """Figs. 4 and 8: one-step predictions and velocity norms along trajectories, the oracle's beside the models'."""

    models: list[Name] = Field(["XL"], min_length=1, description="Models to follow")


class Pictures(Experiment):
    """App. G: more samples."""

    models: list[Name] = Field(["XL"], min_length=1, description="Models to sample from")


class OwnPlans(Experiment):
    """Sampling plans of one's own: which field acts on which part of [0, 1], and how (docs/plans.md)."""

    plans: dict[Name, dict] = Field(
        min_length=1,
        description="Plans by name: `parts`, a list of {`field`, `stop`, `steps`, `shift`, `guidance`, `interval`, "
        "`channels`}, and `start`, `solver`, `steps`",
    )


class Convergence(Experiment):
    """App. B: a model that regresses on the oracle velocity beside its twin that does not, snapshot by snapshot."""

    models: list[Name] = Field(min_length=2, max_length=2, description="The CFM model, then its oracle-supervised twin")


class Experiments(Block):
    """Which experiments run; one left out does not."""

    tab1: StageSwap | None = Field(None, description="Stage swap (Tab. 1)")
    tab2: TimestepShift | None = Field(None, description="Timestep shift (Tab. 2)")
    tab3: GuidanceInterval | None = Field(None, description="Guidance interval (Tab. 3)")
    fig5: MixedSampling | None = Field(None, description="Oracle, then model (Fig. 5)")
    fig6: ResumedSampling | None = Field(None, description="Resuming from unseen images (Fig. 6)")
    fig8: Predictions | None = Field(None, description="Predictions along trajectories (Figs. 4 and 8)")
    tab_plans: OwnPlans | None = Field(None, description="Plans of one's own")
    fig_samples: Pictures | None = Field(None, description="Samples (App. G)")
    fig_oracle_supervised: Convergence | None = Field(None, description="Oracle-supervised training (App. B)")


class Flux(Block):
    """Flux.1 (App. H), on diffusers' FluxPipeline: an optional stage, which needs the package `twostage[flux]`."""

    model: str = Field(description="Folder of a FluxPipeline, or a hub id, which is fetched at `revision`")
    revision: str | None = Field(
        None, pattern="^[0-9a-f]{40}$", description="Pinned commit of the hub id, 40 hex digits: a branch can change"
    )
    prompts: list[str] = Field(
        [
            "a red fox asleep in fresh snow",
            "a lighthouse on a cliff in a storm, oil painting",
            "a bowl of lemons on a wooden table by a window",
            "a street market at night in the rain",
        ],
        min_length=1,
        description="Texts to sample from",
    )
    shifts: list[Annotated[float, Field(gt=0)]] = Field(
        [1, 0.7, 0.5, 0.3, 0.2, 0.1], min_length=1, description="Timestep shifts s"
    )
    times: list[Time] = Field(
        [0, 0.05, 0.1, 0.15, 0.2, 0.4, 0.6, 0.8, 1], min_length=1, description="Times whose predictions are shown"
    )
    steps: Count = Field(50, description="Function evaluations a trajectory")
    guidance: float = Field(3.5, ge=0, description="Flux's own (distilled) guidance scale")
    height: Count = Field(1024, description="Height of the images, pixels")
    width: Count = Field(1024, description="Width of the images, pixels")
    precision: Literal["float32", "bf16"] = Field("bf16", description="Precision of the pipeline")
    offload: bool = Field(False, description="Keep on the GPU only the part that is at work")

    @model_validator(mode="after")
    def _has_source(self):
        if not Path(self.model).is_dir() and self.revision is None:
            raise ValueError(
                f"model is {self.model!r}: no such folder, and a hub id needs `revision`, a pinned commit; expected "
                "either"
            )
        return self


# ---------------------------------------------------------------------------------------------------------- evaluation


class Classifier(Block):
    """The classifier that the workflow trains on the training images; its features need no download."""

    steps: Count = Field(600, description="Training steps")
    width: Count = Field(32, description="Channels of the first layer")
    batch_size: Count = Field(128, description="Images a step")
    lr: float = Field(2e-3, gt=0, description="AdamW learning rate, cosine to zero")


class Evaluation(Block):
    """Which features the Frechet distance is taken in. Only `inception` gives the number called gFID."""

    features: list[Literal["classifier", "inception", "dinov2"]] = Field(
        ["classifier"], min_length=1, description="Feature extractors"
    )
    inception_weights: File = Field(
        File(
            url="https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
            sha256="f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
        ),
        description="Inception-v3 weights: NVIDIA's TorchScript file, which clean-fid uses",
    )
    dinov2_weights: File = Field(
        File(
            repo="timm/vit_base_patch14_dinov2.lvd142m",
            revision="4685c99dabffe5affac90bd99dbffd25801ae58d",
            file="model.safetensors",
            sha256="55cbb5d887b336d430e649c277b85a1429e724871f9d02ac16203235886d8c7b",
        ),
        description="DINOv2 ViT-B/14 weights: timm's safetensors",
    )
    reconstruction_images: Annotated[int, Field(ge=2)] = Field(
        5000, description="Most images a split whose reconstructions `tab_reconstruction` looks at"
    )
    references: dict[Literal["classifier", "inception", "dinov2"], File] = Field(
        {},
        description="Reference statistics by features, in place of the training images': an npz with `mu` and `sigma` "
        "(ADM's reference batches, clean-fid's statistics); without features in it there is no KID and no PRDC",
    )

    @model_validator(mode="after")
    def _references_are_used(self):
        if unused := set(self.references) - set(self.features):
            raise ValueError(f"references names {min(unused)}, which is not among features: {', '.join(self.features)}")
        return self

    @property
    def published(self):
        """The features that need published weights."""
        return [name for name in self.features if name != "classifier"]


# ----------------------------------------------------------------------------------------------------------- resources


class Resources(Block):
    """What a job of one stage asks for."""

    threads: Count = Field(1, description="CPU threads; torch uses these and no more")
    mem_mb: Count = Field(2000, description="Memory, MB")
    runtime: Count = Field(30, description="Time limit, minutes")
    gpu: int = Field(0, ge=0, description="GPUs; 0 runs on the CPU")


class TrainingResources(Resources):
    """What a training asks for; `gpu` counts those of all nodes, and each runs one process."""

    nodes: Count = Field(1, description="Nodes of a job, joined by torchrun (Slurm only); `gpu` is a multiple of them")
    scratch: bool = Field(False, description="Copy the latents to the node's `$TMPDIR` before training")

    @model_validator(mode="after")
    def _as_many_on_each(self):
        if self.gpu % self.nodes:
            raise ValueError(f"gpu is {self.gpu} with nodes {self.nodes}; expected a multiple, as many on each node")
        return self


class Hardware(Block):
    """What `estimate` reckons with. Defaults: one H100 (SXM, dense), one core of a present server."""

    gpu_bf16_tflops: float = Field(989, gt=0, description="Peak of a GPU in bf16, TFLOP/s")
    gpu_float32_tflops: float = Field(67, gt=0, description="Peak of a GPU in float32 (no TF32), TFLOP/s")
    gpu_utilisation: Share = Field(0.35, description="Share of that peak that is reached")
    cpu_gflops: float = Field(80, gt=0, description="Peak of a CPU core in float32, GFLOP/s")
    cpu_utilisation: Share = Field(0.5, description="Share of that peak that is reached")
    image_seconds: float = Field(0.01, ge=0, description="Reading and cropping one image file on one core, s")


class Jobs(Block):
    """Resources a stage."""

    data: Resources = Field(Resources(), description="Autoencoder and encoding")
    oracle: Resources = Field(Resources(), description="Oracle posterior")
    synthetic: Resources = Field(Resources(), description="Synthetic Gaussians")
    training: TrainingResources = Field(TrainingResources(), description="Training, a model")
    sampling: Resources = Field(Resources(), description="Sampling, and the models' oracle loss")
    flux: Resources = Field(Resources(mem_mb=64000, runtime=240), description="Flux, where it is configured")
    evaluation: Resources = Field(Resources(), description="Classifier, features and distances")
    report: Resources = Field(Resources(mem_mb=1000, runtime=10), description="Figures, tables, claims")


# ---------------------------------------------------------------------------------------------------------------- root


class Config(Block):
    """The whole configuration."""

    run: Name = Field(description="Name of the run: results go to results/{run}/")
    seed: int = Field(0, ge=0, description="Seed of everything but the sampling seeds")
    split: Literal["measured"] | Share = Field(
        "measured",
        description="Stage split: `measured` from each latent space's posterior (transition.json), or a fixed time",
    )
    data: Data = Field(description="The images")
    spaces: dict[Name, Space] = Field(min_length=1, description="Latent spaces by name; null leaves one out")
    models: dict[Name, Model] = Field(min_length=1, description="Models by name; figures and claims order them by size")
    training: Training = Field(description="Training recipe")
    oracle: Oracle = Field(Oracle(), description="Oracle posterior on the latents")
    synthetic: Synthetic = Field(Synthetic(), description="Synthetic Gaussians")
    nsweep: SizeSweep = Field(SizeSweep(), description="N varied on the latents")
    oracle_loss: OracleLoss = Field(OracleLoss(), description="Models' error by t")
    sampling: Sampling = Field(Sampling(), description="Sampling")
    experiments: Experiments = Field(Experiments(), description="Experiments")
    flux: Flux | None = Field(
        None, description="The two stages in Flux.1 (App. H); without the key, nothing of it runs"
    )
    classifier: Classifier = Field(Classifier(), description="Feature classifier")
    evaluation: Evaluation = Field(Evaluation(), description="Evaluation")
    jobs: Jobs = Field(Jobs(), description="Resources of the jobs")
    estimate: Hardware = Field(Hardware(), description="What `estimate` reckons with")

    @model_validator(mode="before")
    @classmethod
    def _models_in_full(cls, raw):
        """A name of the paper without its own sizes has the paper's; a bare `checkpoint` is that of every space.

        A latent space that is null is left out, so that `--config 'spaces={vae: null}'` can do without one of a
        file's; Snakemake hands nested values of a command line on as text.
        """
        if not (isinstance(raw, dict) and isinstance(raw.get("models"), dict) and isinstance(raw.get("spaces"), dict)):
            return raw
        raw = {**raw, "spaces": {name: space for name, space in raw["spaces"].items() if space not in (None, "null")}}
        return {
            **raw,
            "models": {name: _model_in_full(name, model, raw["spaces"]) for name, model in raw["models"].items()},
        }

    @model_validator(mode="after")
    def _names_exist(self):
        for name, model in self.models.items():
            for space in model.checkpoint:
                _known(space, self.spaces, f"models.{name}.checkpoint", "a latent space of `spaces`, or a file's key")
        for experiment, settings in self.experiments:
            key = f"experiments.{experiment}"
            for name in getattr(settings, "models", None) or [getattr(settings, "model", None)]:
                if name is not None:
                    plural = "models" if hasattr(settings, "models") else "model"
                    _known(name, self.models, f"{key}.{plural}", "a model of `models`")
            for name in getattr(settings, "spaces", None) or ():
                _known(name, self.spaces, f"{key}.spaces", "a latent space of `spaces`")
        return self

    def files(self):
        """Every ``File`` of weights that a run with this configuration reads, by its place."""
        found = [space.weights for space in self.spaces.values() if space.weights]
        found += [file for model in self.models.values() for file in model.checkpoint.values()]
        found += [getattr(self.evaluation, f"{name}_weights") for name in self.evaluation.published]
        found += self.evaluation.references.values()
        return {file.place: file for file in found}

    @property
    def sizes(self):
        """The models that differ in size alone, by their number of parameters, smallest first, wherever they stand in
        the file: what comparisons of sizes are drawn from."""
        alike = [name for name, model in self.models.items() if model.target in (None, self.training.target)]
        return sorted(alike, key=lambda name: self.models[name].parameters)

    def models_of(self, space):
        """The models of a latent space: all ``sizes``, and others where an experiment asks for them."""
        asked = {
            model
            for experiment, settings in self.experiments
            if settings is not None and space in (settings.spaces or self.spaces)
            for model in self.models_named(experiment)
        }
        return [model for model in self.models if model in self.sizes or model in asked]

    def models_named(self, experiment):
        """The models that an experiment's settings name, in plans of one's own too (which are checked elsewhere)."""
        settings = getattr(self.experiments, experiment)
        parts = [part for plan in getattr(settings, "plans", {}).values() for part in plan.get("parts") or ()]
        fields = [str(part.get("field")).partition("@")[0] for part in parts if isinstance(part, dict)]
        named = [*getattr(settings, "models", ()), getattr(settings, "model", None), *fields]
        return [name for name in dict.fromkeys(named) if name in self.models]

    def model_steps(self, model):
        """Optimiser steps of a model."""
        return self.models[model].steps or self.training.steps

    def snapshots(self, model, space=None):
        """Steps at which a model's EMA weights are kept, in order, its last step included.

        space: the latent space; where the model's weights are imported there is the last alone. None: as trained.
        """
        last = self.model_steps(model)
        if space in self.models[model].checkpoint:
            return [last]
        return sorted({step for step in self.training.snapshots if step < last} | {last})


def _model_in_full(name, model, spaces):
    model = {**PAPER_SIZES.get(name, {}), **model} if isinstance(model, dict) else model or PAPER_SIZES.get(name, {})
    file = model.get("checkpoint") if isinstance(model, dict) else None
    if isinstance(file, str) or (isinstance(file, dict) and set(file) & set(File.model_fields) - set(spaces)):
        return {**model, "checkpoint": dict.fromkeys(spaces, file)}
    return model


def load(raw):
    """Validate a configuration (a dict as Snakemake reads it) and return a frozen ``Config``.

    Raises ConfigError with one line a mistake: key, value, what was expected, closest valid name.
    """
    try:
        return Config.model_validate({key: value for key, value in raw.items() if key != "pathvars"})
    except ValidationError as error:
        raise ConfigError("\n".join(f"config: {line}" for line in _explain(error.errors()))) from None


def check_folders(config, estimating=False):
    """Raise ConfigError where a folder of images or latents that the configuration names is not there.

    So are folders of images without class folders, and class folders of which none holds two images.

    estimating: `estimate` does without the folders where the numbers of images are given.
    """
    if estimating and config.data.images and config.data.held_out_images:
        return
    instead = ", or data.images and data.held_out_images, which `estimate` reckons with" if estimating else ""
    folders = {
        f"spaces.{name}.encoder.latents.path": space.imported.path
        for name, space in config.spaces.items()
        if space.imported
    }
    if config.data.name == "image_folder":
        folders |= {f"data.{key}": getattr(config.data, key) for key in ("path", "held_out_path")}
    for key, folder in folders.items():
        if folder is not None and not Path(folder).is_dir():
            raise ConfigError(f"config: {key} is {folder!r}; expected a folder that exists{instead}")
    if config.data.name == "image_folder":
        try:
            refuse_single_images(config.data.path)
            if config.data.held_out_path:
                class_folders(config.data.held_out_path)
        except ValueError as error:
            raise ConfigError(f"config: {error}") from None


def _known(name, names, key, kind):
    if name not in names:
        raise ValueError(f"{key} is {name!r}; expected {kind}: {', '.join(names)}{_closest(name, names)}")


def _closest(name, names):
    match = difflib.get_close_matches(str(name), list(names), n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else ""


_UNION_TAGS = {"identity", "kl", "sd-vae", "va-vae", "tiny"}
_TYPES = {
    "float_parsing": "a number",
    "float_type": "a number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_parsing": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "too_short": "at least one item",
}


def _explain(problems):
    """One line a key: what pydantic says of each alternative of a union is joined by "or"."""
    lines, expected = [], {}
    for problem in problems:
        key = _key(problem["loc"])
        if problem["type"] == "extra_forbidden":
            names = _valid_names(problem["loc"][:-1])
            closest = _closest(problem["loc"][-1], names)
            lines.append(f"unknown key {key}: {_short(problem['input'])}; expected one of {', '.join(names)}{closest}")
        elif problem["type"] == "missing":
            lines.append(f"{key} is missing; expected {_description(problem['loc'])}")
        elif problem["type"] == "value_error":
            message = str(problem["ctx"]["error"])
            lines.append(f"{key}: {message}" if key else message)
        elif problem["type"] == "union_tag_invalid":
            tags = problem["ctx"]["expected_tags"]
            kind = problem["input"]["kind"]
            closest = _closest(kind, [tag.strip("' ") for tag in tags.split(",")])
            lines.append(f"{key}.kind is {_short(kind)}; expected one of {tags}{closest}")
        else:
            expected.setdefault(key, []).append(problem)
    for key, alternatives in expected.items():
        value = alternatives[0]["input"]
        wanted = " or ".join(dict.fromkeys(_expectation(problem) for problem in alternatives))
        literals = [
            word.strip("' ")
            for problem in alternatives
            for word in problem.get("ctx", {}).get("expected", "").replace(" or ", ",").split(",")
        ]
        lines.append(f"{key} is {_short(value)}; expected {wanted}{_closest(value, filter(None, literals))}")
    return lines


def _key(location):
    """The dotted path of a key as the user wrote it, without pydantic's names of union members."""
    parts = [str(part) for part in location if part not in _UNION_TAGS]
    while parts and (parts[-1].startswith(("literal[", "constrained-", "function-")) or parts[-1] in ("float", "int")):
        parts.pop()
    return ".".join(parts)


def _expectation(problem):
    message = problem["msg"].removeprefix("Input should be ")
    if problem["type"] in ("less_than", "less_than_equal", "greater_than", "greater_than_equal"):
        return f"a number {message}"
    if problem["type"] == "string_pattern_mismatch":
        return f"text that matches {problem['ctx']['pattern']}"
    return _TYPES.get(problem["type"], message)


def _short(value):
    text = json.dumps(value, default=repr)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _block_at(location):
    """The block that a location of an error points into; None where it is not a block."""
    block = Config
    for part in location:
        if isinstance(part, int) or block is None:
            return None
        if isinstance(block, dict):
            block = block["values"]
            continue
        if part in _UNION_TAGS:
            continue
        field = block.model_fields.get(part)
        block = _inner(field.annotation, location) if field else None
    return block


def _inner(annotation, location):
    """The block class inside an annotation such as Block, Block | None, dict[str, Block], or the encoders' union."""
    if isinstance(annotation, type) and issubclass(annotation, Block):
        return annotation
    arguments = getattr(annotation, "__args__", ())
    if getattr(annotation, "__origin__", None) is dict:
        return {"values": _inner(arguments[1], location)}
    blocks = [found for argument in arguments if (found := _inner(argument, location))]
    tagged = [block for block in blocks if isinstance(block, type) and _has_tag(block, location)]
    return (tagged or blocks or [None])[0]


def _has_tag(block, location):
    kind = block.model_fields.get("kind")
    return kind is not None and any(part in getattr(kind.annotation, "__args__", ()) for part in location)


def _valid_names(location):
    block = _block_at(location)
    return list(block.model_fields) if isinstance(block, type) else []


def _description(location):
    block = _block_at(location[:-1])
    field = block.model_fields.get(location[-1]) if isinstance(block, type) else None
    return field.description[0].lower() + field.description[1:] if field else "a value"


# ------------------------------------------------------------------------------------------------------- documentation


def reference():
    """The text of config/README.md: every block, every key with its meaning, type and default."""
    lines = [
        "# Configuration",
        "",
        "Generated from `src/twostage/config.py` by `python -m twostage.config > config/README.md`;",
        "a test keeps the two in step.",
        "",
        "`config.yaml` is the embedded default. Another file, given with `snakemake --configfile config/cifar10.yaml`,",
        "replaces the default, it is not merged into it; single keys with `--config seed=1`.",
    ]
    blocks = [
        ("Top level", Config),
        ("data", Data),
        ("spaces.{name}", Space),
        ("spaces.{name}.encoder: identity", IdentityEncoder),
        ("spaces.{name}.encoder: kl", KLEncoder),
        ("spaces.{name}.encoder: sd-vae, va-vae, tiny", PretrainedEncoder),
        ("spaces.{name}.encoder.latents", Latents),
        ("A file of weights", File),
        ("models.{name}", Model),
        ("training", Training),
        ("oracle", Oracle),
        ("synthetic", Synthetic),
        ("nsweep", SizeSweep),
        ("oracle_loss", OracleLoss),
        ("sampling", Sampling),
        ("experiments", Experiments),
        ("experiments.tab1", StageSwap),
        ("experiments.tab2", TimestepShift),
        ("experiments.tab3", GuidanceInterval),
        ("experiments.fig5", MixedSampling),
        ("experiments.fig6", ResumedSampling),
        ("experiments.fig8", Predictions),
        ("experiments.tab_plans", OwnPlans),
        ("experiments.fig_samples", Pictures),
        ("experiments.fig_oracle_supervised", Convergence),
        ("flux", Flux),
        ("classifier", Classifier),
        ("evaluation", Evaluation),
        ("jobs", Jobs),
        ("jobs.{stage}", Resources),
        ("jobs.training", TrainingResources),
        ("estimate", Hardware),
    ]
    for title, block in blocks:
        lines += [
            "",
            f"## {title}",
            "",
            " ".join(block.__doc__.split()),
            "",
            "| key | meaning | type | default |",
            "| --- | --- | --- | --- |",
        ]
        schema = block.model_json_schema()["properties"]
        for key, field in block.model_fields.items():
            default = "required" if field.is_required() else _default(field.default)
            lines.append(f"| `{key}` | {field.description} | {_type(schema[key])} | {default} |")
    return "\n".join(lines) + "\n"


def _default(value):
    return "see below" if isinstance(value, Block) else f"`{json.dumps(value)}`"


def _type(schema):
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(option) for option in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{option}`" for option in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        items = schema.get("items") or {"type": "number"}
        return f"list of {_type(items)}"
    if schema.get("type") == "object":
        return "mapping"
    if "$ref" in schema or "oneOf" in schema or "discriminator" in schema:
        return "block"
    bounds = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    limits = [f"{sign} {schema[key]:g}" for key, sign in bounds.items() if key in schema]
    names = {"null": "nothing", "boolean": "true or false", "string": "text"}
    return " ".join([names.get(schema.get("type"), schema.get("type", "value")), ", ".join(limits)]).strip()


if __name__ == "__main__":
    print(reference(), end="")
