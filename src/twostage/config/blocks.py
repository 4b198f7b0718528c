"""The blocks of the configuration, from ``run`` to ``estimate``: each key's meaning, type, bounds and default."""

import json
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_serializer,
    model_validator,
)

from twostage.config.values import (
    Below1,
    Colour,
    Count,
    DashedName,
    Distinct,
    Intervals,
    Mebibytes,
    Megabytes,
    Minutes,
    Moment,
    Name,
    Natural,
    NotNegative,
    Number,
    PathText,
    Positive,
    RealMinutes,
    RunName,
    Several,
    Share,
    Time,
)
from twostage.training.recipe import PRESETS


def _words(settings):
    """Keys and values as they are written in a configuration."""
    return ", ".join(f"{key} {json.dumps(value)}" for key, value in settings.items())


class Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _empty_blocks_have_their_defaults(cls, raw):
        """A block with nothing in it (``oracle:``) is as one that is left out."""
        if not isinstance(raw, dict):
            return raw
        empty = {key for key, value in raw.items() if value is None and _is_block(cls.model_fields.get(key))}
        return {key: value for key, value in raw.items() if key not in empty}


def _is_block(field):
    return field is not None and isinstance(field.default, Block)


# ---------------------------------------------------------------------------------------------------------------- data


class File(Block):
    """A file of weights: where it lies, and where it is fetched from while it is not there. A bare path is enough."""

    path: PathText | None = Field(
        None, description="Where the file lies; unless given, weights/ and the name at its source"
    )
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
        if not self.path and re.search(r"/$|[{}]", self.place):
            raise ValueError(f"its name at its source, {self.place!r}, is no file name here; expected `path` with one")
        return self

    @property
    def place(self):
        """Path of the file: `path`, or its name under weights/."""
        if self.path:
            return re.sub("//+", "/", self.path)  # which Snakemake would warn of
        named = re.split("[?#]", self.url or "")[0].rpartition("/")[2]
        parts = [self.repo.replace("/", "--"), self.file] if self.repo else [named]
        return "/".join(["weights", *parts])


class Checkpoint(File):
    """A LightningDiT's checkpoint: a file, and which of its entries to take."""

    weights: str | None = Field(
        None,
        description="Entry of the checkpoint to take, e.g. `model`; unless given `ema`, and where there is none "
        "`model`, with a warning",
    )


class Data(Block):
    """The images, and how they are split into training and held-out ones."""

    name: Literal["digits", "image_folder", "cifar10", "none"] = Field(
        description="Data set: scikit-learn's digits, class folders of images, torchvision's CIFAR-10, or none, where "
        "all latents are imported and nothing is encoded or decoded: `data` is then left out"
    )
    path: PathText | None = Field(None, description="Folder with the images; not for digits")
    held_out_path: PathText | None = Field(
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
    background: Colour = Field(
        "white",
        description='Colour that transparent images are laid over: `white`, `black`, `grey` or `"#rrggbb"`',
    )
    max_corrupt: Below1 = Field(
        0.0,
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
    checkpoint: dict[str, Checkpoint] = Field(
        {},
        description="Weights to import in place of training, by latent space (a bare file: in all of them); `steps` "
        "says how long they were trained. LightningDiT's .pt (its `ema`, or `weights`), SiT-style .pt, safetensors",
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
    snapshots: Distinct[Count] = Field([], description="Steps at which EMA weights are kept, besides the last")
    batch_size: Count = Field(512, description="Samples a step, over all processes")
    lr: Positive = Field(1e-4, description="AdamW learning rate, constant")
    betas: tuple[Below1, Below1] = Field((0.9, 0.999), description="AdamW betas, two numbers in [0, 1)")
    weight_decay: NotNegative = Field(0.0, description="AdamW weight decay")
    max_grad_norm: Positive | None = Field(
        1.0, description="Largest gradient norm; beyond it gradients are scaled down; null scales none"
    )
    ema: Below1 = Field(0.9999, description="Decay of the exponential moving average of the weights, a step")
    time: Literal["uniform", "lognormal"] = Field("uniform", description="Distribution of the training times on [0, 1]")
    class_drop: Below1 = Field(0.1, description="Probability that a sample's class is dropped")
    target: Literal["cfm", "oracle"] = Field(
        "cfm", description="Regression target: x_1 - x_0, or the oracle velocity (App. B)"
    )
    cosine_loss: bool = Field(False, description="Add LightningDiT's cosine loss")
    precision: Literal["auto", "float32", "bf16"] = Field(
        "auto", description="Precision of the forward and backward pass (autocast); `auto`: bf16 on a GPU, else float32"
    )
    compile: Literal["auto"] | bool = Field(
        "auto", description="Compile the model's blocks; `auto`: on a GPU; plain, with a warning, without a compiler"
    )
    accumulate: Count = Field(1, description="Parts a batch is cut into, to fit the device's memory")
    activation_checkpointing: bool = Field(
        False, description="Recompute activations in the backward pass, to save memory"
    )
    checkpoint_every: Count = Field(1000, description="Steps between resumable checkpoints")
    keep_state: bool = Field(
        False,
        description="Keep the last checkpoint of a finished training (16 bytes a parameter: 10.8 GB for XL), so that "
        "more `steps` go on from it; else they begin anew",
    )
    log_every: Count = Field(
        10,
        description="Number of steps averaged in one line of stats.jsonl; on a GPU a loss that is not finite, or has "
        "exploded, ends the training at most twice as many steps later",
    )
    tensorboard: bool = Field(
        False, description="Also write TensorBoard's event files, to `tensorboard/` beside the snapshots"
    )
    memory_mb: Mebibytes = Field(
        8192, description="Latents held in memory, MiB; a larger store is read in sequence and shuffled in windows"
    )
    minutes: RealMinutes | None = Field(
        None,
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

    time_steps: Intervals = Field(
        100,
        description="Intervals of the time grid on [0, 1]; times that resolve the transition, and those at which the "
        "paper was read off, are added",
    )
    pairs_per_class: Count = Field(128, description="Pairs (x_0, x_1) a class")
    pairs_unconditional: Count = Field(512, description="Pairs for the unconditional oracle")
    bootstrap: Count = Field(1000, description="Resamples of the pairs for the transition's interval")
    memory_mb: Mebibytes = Field(
        1024, description="Memory that latents may take at a time, MiB; larger classes are streamed"
    )


class Synthetic(Block):
    """Unit Gaussians (Fig. 3): sample a posterior without ever holding D numbers."""

    size: Count = Field(1400, description="N of the panel that varies D")
    dims: Distinct[Several] = Field([512, 2048, 8192], min_length=1, description="D of the panel that varies D")
    dim: Several = Field(1024, description="D of the panel that varies N")
    sizes: Distinct[Count] = Field([100, 1000, 10000], min_length=1, description="N of the panel that varies N")
    time_steps: Intervals = Field(
        50, description="Intervals of the time grid on [0, 1]; times are added as for `oracle`"
    )
    trials: Count = Field(1000, description="Trials a curve, exact and in bfloat16")
    law_dims: Distinct[Several] = Field(
        [16, 64, 512, 4096], min_length=1, description="D of the grid on which the transition law is checked"
    )
    law_sizes: Distinct[Several] = Field([10, 100, 1000, 10000], min_length=1, description="N of that grid")
    law_trials: Count = Field(1000, description="Trials a point of that grid")


class SizeSweep(Block):
    """N varied on the real data at fixed D: subsets of each class, then of all classes together."""

    sizes: Distinct[Several] = Field(
        [10, 20, 50, 100, 200, 500, 1000, 2000, 5000], min_length=1, description="N; those beyond a pool are left out"
    )
    pairs: Count = Field(40, description="Pairs (x_0, x_1) per subset")
    repeats: Count = Field(
        5, description="Random subsets of each size; intervals are over them (Student's t), so one subset has none"
    )


class OracleLoss(Block):
    """The models' error against both targets by t (Figs. 7 and 9)."""

    time_steps: Intervals = Field(
        50, description="Intervals of the time grid on [0, 1]; times are added as for `oracle`"
    )
    pairs: Count = Field(256, description="Pairs (x_0, x_1), balanced over the classes, the same for every model")


# ------------------------------------------------------------------------------------------------------------ sampling


class Sampling(Block):
    """What every plan shares."""

    samples: Count = Field(50000, description="Images a plan and seed")
    seeds: Distinct[Natural] = Field(
        [0], min_length=1, description="Sampling seeds; noise and label of sample i depend on (seed, i) alone"
    )
    steps: Several = Field(50, description="Function evaluations a trajectory")
    solver: Literal["euler", "heun"] = Field("euler", description="ODE solver")
    batch_size: Count = Field(256, description="Trajectories solved at a time")
    precision: Literal["float32", "bf16"] = Field("float32", description="Precision of the models' forward pass")
    shards: Count = Field(1, description="Sampling jobs an experiment and latent space")


class Experiment(Block):
    """What every experiment may set for itself."""

    spaces: Distinct[str] | None = Field(
        None, min_length=1, description="Latent spaces to run it in; without the key, all"
    )
    samples: Count | None = Field(None, description="Images a plan and seed, when not `sampling.samples`")
    seeds: Distinct[Natural] | None = Field(None, min_length=1, description="Sampling seeds, when not `sampling.seeds`")


class StageSwap(Experiment):
    """Tab. 1: one model up to the split, another after it, in every order; the total number of steps is fixed."""

    models: Distinct[str] = Field(
        ["XL", "B"],
        min_length=2,
        description="Models to combine, two or more; the first throughout is what others are compared with",
    )
    splits: Distinct[Literal["measured"] | Share] = Field(
        ["measured"], min_length=1, description="Stage splits: `measured` (from this data's transition) or fixed times"
    )
    stage_steps: Literal["proportional", "equal"] | tuple[Count, Count] = Field(
        "proportional",
        description="Steps of each stage, uniform in it: their shares of the uniform grid, half each, or two numbers",
    )


class TimestepShift(Experiment):
    """Tab. 2: timestep shifts t' = s t / (1 + (s - 1) t) of one model's grid."""

    model: str = Field("B", description="Model to sample from")
    shifts: Distinct[Positive] = Field(
        [4, 2, 1, 0.7, 0.5, 0.3, 0.1], min_length=1, description="Shifts s; below 1 spends more steps near the prior"
    )


class GuidanceInterval(Experiment):
    """Tab. 3: classifier-free guidance on one interval of t at a time."""

    model: str = Field("B", description="Model to sample from")
    guidance: Positive = Field(2.0, description="Guidance scale; 1 is none")
    channels: Literal["all"] | Count = Field(
        "all", description="Latent channels that guidance acts on: `all`, or the first so many"
    )
    short: Distinct[tuple[Time, Time]] = Field(
        [(k / 10, (k + 1) / 10) for k in range(10)], description="Short intervals [start, end]"
    )
    wide: Distinct[tuple[Time, Time]] = Field(
        [(start, end) for start in (0.0, 0.1, 0.2) for end in (0.4, 0.6, 0.8, 1.0)], description="Wide intervals"
    )

    @model_validator(mode="after")
    def _has_an_interval(self):
        if not (self.short or self.wide):
            raise ValueError("short and wide are both empty; expected an interval in one of them")
        return self


class MixedSampling(Experiment):
    """Fig. 5: the oracle up to a switch time, a model after it."""

    model: str = Field("XL", description="Model to sample from")
    times: Distinct[Time] = Field(
        [0, 0.05, 0.1, 0.15, 0.2, 0.4, 0.6, 0.8, 1], min_length=1, description="Switch times; 0 is the model alone"
    )
    oracle_samples: Count | None = Field(
        None,
        description="Images of the oracle alone (t_switch = 1), when not `samples`; 381 without a miss show that it "
        "retrieves over 99%",
    )


class ResumedSampling(Experiment):
    """Fig. 6: a model from x_t of held-out images."""

    model: str = Field("XL", description="Model to sample from")
    times: Distinct[Share] = Field([0.1, 0.2, 0.4, 0.8], min_length=1, description="Times to resume from")


class Predictions(Experiment):
    """Figs. 4 and 8: one-step predictions and velocity norms along trajectories, the oracle's beside the models'."""

    models: Distinct[str] = Field(["XL"], min_length=1, description="Models to follow")


class Pictures(Experiment):
    """App. G: more samples."""

    models: Distinct[str] = Field(["XL"], min_length=1, description="Models to sample from")


class PlanPart(Block):
    """One part of a plan of one's own: a field acts from where the part before it ended up to `stop`."""

    field: str = Field(description="A model's name, `model@step` for one of its snapshots, or `oracle`")
    stop: Moment = Field(1, description="Time at which the part ends, or `split`")
    start: Moment | None = Field(None, description="Time at which it begins: where the part before it ended")
    steps: Count | None = Field(None, description="Steps of the part, when not its share of the plan's")
    shift: Number = Field(1, gt=0, description="Timestep shift of its grid")
    guidance: Number = Field(1, description="Guidance scale; 1 is none")
    interval: tuple[Moment, Moment] = Field((0, 1), description="Times at which guidance acts")
    channels: Literal["all"] | Count = Field("all", description="Latent channels that guidance acts on")


class ResumedStart(Block):
    """A start of a plan of one's own at x_t of an image."""

    resume: Moment = Field(description="Time t, or `split`")
    split: Literal["train", "held_out"] = Field(description="Where the image is from")


class OwnPlan(Block):
    """A plan of one's own (docs/plans.md)."""

    parts: list[PlanPart] = Field(min_length=1, description="Parts, which cover [0, 1] without gap or overlap")
    start: Literal["prior"] | ResumedStart = Field("prior", description="`prior`, or a mapping: x_t of an image")
    solver: Literal["euler", "heun"] | None = Field(None, description="ODE solver, when not `sampling.solver`")
    steps: Count | None = Field(None, description="Steps over all of [0, 1], when not `sampling.steps`")
    samples: Count | None = Field(None, description="Images a seed, when not the experiment's")
    follow: bool = Field(False, description="Record the training image that the oracle would end in")
    kind: str = Field("", description="What kind of row it is in its table, a word for the record")

    def as_written(self):
        """The plan as a dict, without what it leaves out: ``twostage.sampling.plan.Plan.from_dict``."""
        return self.model_dump(mode="json", exclude_unset=True, exclude_none=True)


class OwnPlans(Experiment):
    """Sampling plans of one's own: which field acts on which part of [0, 1], and how (docs/plans.md)."""

    plans: dict[DashedName, OwnPlan] = Field(min_length=1, description="Plans by name")

    @field_serializer("plans")
    def _plans_as_written(self, plans):
        return {name: plan.as_written() for name, plan in plans.items()}


class Convergence(Experiment):
    """App. B: a model that regresses on the oracle velocity beside its twin that does not, snapshot by snapshot."""

    models: Distinct[str] = Field(
        min_length=2, max_length=2, description="The CFM model, then its oracle-supervised twin"
    )


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

    model: PathText = Field(description="Folder of a FluxPipeline, or a hub id, which is fetched at `revision`")
    revision: str | None = Field(
        None, pattern="^[0-9a-f]{40}$", description="Pinned commit of the hub id, 40 hex digits: a branch can change"
    )
    prompts: Distinct[str] = Field(
        [
            "a red fox asleep in fresh snow",
            "a lighthouse on a cliff in a storm, oil painting",
            "a bowl of lemons on a wooden table by a window",
            "a street market at night in the rain",
        ],
        min_length=1,
        description="Texts to sample from",
    )
    shifts: Distinct[Positive] = Field([1, 0.7, 0.5, 0.3, 0.2, 0.1], min_length=1, description="Timestep shifts s")
    times: Distinct[Time] = Field(
        [0, 0.05, 0.1, 0.15, 0.2, 0.4, 0.6, 0.8, 1], min_length=1, description="Times whose predictions are shown"
    )
    steps: Count = Field(50, description="Function evaluations a trajectory")
    guidance: NotNegative = Field(3.5, description="Flux's own (distilled) guidance scale")
    height: Count = Field(1024, description="Height of the images, pixels; a multiple of 16")
    width: Count = Field(1024, description="Width of the images, pixels; a multiple of 16")
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

    @model_validator(mode="after")
    def _sides_fit(self):
        for side in ("height", "width"):
            if getattr(self, side) % 16:
                raise ValueError(
                    f"{side} is {getattr(self, side)}; expected a multiple of 16, one of Flux's patches: "
                    f"{max(16, 16 * round(getattr(self, side) / 16))}"
                )
        return self


# ---------------------------------------------------------------------------------------------------------- evaluation


class Classifier(Block):
    """The classifier that the workflow trains on the training images; its features need no download."""

    steps: Count = Field(600, description="Training steps")
    width: Count = Field(32, description="Channels of the first layer")
    batch_size: Count = Field(128, description="Images a step")
    lr: Positive = Field(2e-3, description="AdamW learning rate, cosine to zero")


# The tags stand in the places of mistakes; ``errors`` leaves them out.
Reference = Annotated[
    Annotated[Literal["held_out"], Tag("held-out images")] | Annotated[File, Tag("a file")],
    Discriminator(lambda value: "held-out images" if value == "held_out" else "a file"),
]


class Evaluation(Block):
    """Which features the Frechet distance is taken in. Only `inception` gives the number called gFID."""

    features: Distinct[Literal["classifier", "inception", "dinov2"]] = Field(
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
    reconstruction_images: Several = Field(
        5000, description="Most images a split whose reconstructions `tab_reconstruction` looks at"
    )
    control_images: Several = Field(
        10_000, description="Most held-out images, evenly spaced, that memorisation is measured on as a control"
    )
    references: dict[Literal["classifier", "inception", "dinov2"], Reference] = Field(
        {},
        description="References by features, in place of the training images: `held_out`, the held-out images; an npz "
        "of images (`arr_0`, uint8 NHWC); an npz of statistics (`mu`, `sigma`: ADM's reference batches, clean-fid's), "
        "which has no features: no KID, no PRDC",
    )

    @model_validator(mode="after")
    def _references_are_used(self):
        if unused := set(self.references) - set(self.features):
            raise ValueError(f"references names {min(unused)}, which is not among features: {', '.join(self.features)}")
        return self

    @property
    def given_references(self):
        """{features: File} of the references that are files."""
        return {name: file for name, file in self.references.items() if file != "held_out"}

    @property
    def published(self):
        """The features that need published weights."""
        return [name for name in self.features if name != "classifier"]


# ----------------------------------------------------------------------------------------------------------- resources


class Resources(Block):
    """What a job of one stage asks for."""

    threads: Count = Field(1, description="CPU threads; torch uses these and no more")
    mem_mb: Megabytes = Field(2000, description="Memory, MB, or text such as 64G")
    runtime: Literal["auto"] | Minutes = Field(
        30,
        description="Time limit, minutes, or text such as 2d, 12h, 90m; `auto`: of each job, 1.5 times what `estimate` "
        "says, at least 15 minutes, at most `jobs.longest`",
    )
    gpu: Natural = Field(0, description="GPUs; 0 runs on the CPU; with their kind, as in `a100:2`, on Slurm")
    gpu_model: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]+$")] | None = Field(
        None, description="Kind of GPU (Slurm only), as sinfo prints it; the same as a `gpu` with a kind"
    )

    @model_validator(mode="before")
    @classmethod
    def _kind_of_gpu(cls, raw):
        """`gpu: "a100:2"`, as sbatch has it, is two of that kind."""
        kind, colon, count = str(raw.get("gpu", "") if isinstance(raw, dict) else "").rpartition(":")
        if not colon and re.fullmatch(r"(?!true$|false$|none$)[a-z][\w.]*", count.lower()):
            raise ValueError(f"gpu is {count!r}; expected a number, or a kind and a number: {count}:1")
        return raw | {"gpu": count, "gpu_model": kind} if colon else raw


class TrainingResources(Resources):
    """What a training asks for; `gpu` counts those of all nodes, and each runs one process."""

    nodes: Count = Field(1, description="Nodes of a job, joined by torchrun (Slurm only); `gpu` is a multiple of them")
    scratch: bool = Field(False, description="Copy the latents to the node's `$TMPDIR` before training")

    @model_validator(mode="after")
    def _as_many_on_each(self):
        if self.gpu % self.nodes:
            raise ValueError(f"gpu is {self.gpu} with nodes {self.nodes}; expected a multiple, as many on each node")
        return self


class Networks(Block):
    """Images on their way through encoders, decoders and feature networks, in chunks of one size per network."""

    memory_mb: Annotated[Mebibytes, Field(le=24576)] = Field(
        16384,
        description="GPU memory that a chunk may take beside the weights, MiB, at most 24576: 16384 suits cards of "
        "80 GB, 8192 those of 40 GB. Another value may change last bits, and reruns nothing",
    )


class Hardware(Block):
    """What `estimate` reckons with. Defaults: one H100 (SXM, dense), one core of a present server."""

    gpu_bf16_tflops: Positive = Field(989, description="Peak of a GPU in bf16, TFLOP/s")
    gpu_float32_tflops: Positive = Field(67, description="Peak of a GPU in float32 (no TF32), TFLOP/s")
    gpu_float64_tflops: Positive = Field(
        67, description="Peak of a GPU in float64, TFLOP/s; on cards for games 1/64 of float32's"
    )
    gpu_utilisation: Share = Field(0.35, description="Share of that peak that is reached")
    cpu_gflops: Positive = Field(80, description="Peak of a CPU core in float32, GFLOP/s")
    cpu_utilisation: Share = Field(0.5, description="Share of that peak that is reached")
    image_seconds: NotNegative = Field(0.01, description="Reading and cropping one image file on one core, s")
    oracle_skipped: Below1 = Field(
        0.8,
        description="Share of the samples of an oracle-supervised training whose target is x_1 - x_0 to below "
        "rounding, so that nothing is computed; the training's log says how many there are",
    )


class Jobs(Block):
    """Resources a stage."""

    longest: Minutes = Field(
        2880,
        description="Longest time limit that `runtime: auto` asks for (your partition's), minutes, or text such as 2d; "
        "a training that takes longer is given as many jobs as it takes",
    )
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

    run: RunName = Field(description="Name of the run: results go to results/{run}/")
    seed: Natural = Field(0, description="Seed of everything but the sampling seeds")
    split: Literal["measured"] | Share = Field(
        "measured",
        description="Stage split: `measured` from each latent space's posterior (transition.json), or a fixed time",
    )
    data: Data = Field(description="The images")
    spaces: dict[DashedName, Space] = Field(min_length=1, description="Latent spaces by name; null leaves one out")
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
    networks: Networks = Field(Networks(), description="Images through networks")
    jobs: Jobs = Field(Jobs(), description="Resources of the jobs")
    estimate: Hardware = Field(Hardware(), description="What `estimate` reckons with")

    @model_validator(mode="before")
    @classmethod
    def _models_in_full(cls, raw):
        """A name of the paper without its own sizes has the paper's; a bare `checkpoint` is that of every space.

        Where no latent space encodes or decodes, there are no images, and `data` need not be written. A latent space or
        an experiment that is null is left out, so that `--config 'spaces={vae: null}'` can do
        without one of a file's; `{vae: }` and `{vae: ~}` come from a command line as text.
        """
        raw = dict(raw) if isinstance(raw, dict) else raw
        for key in ("spaces", "experiments"):
            if isinstance(raw, dict) and isinstance(raw.get(key), dict):
                raw[key] = {name: value for name, value in raw[key].items() if value not in (None, "", "~")}
        if not (isinstance(raw, dict) and isinstance(raw.get("models"), dict) and isinstance(raw.get("spaces"), dict)):
            return raw
        if "data" not in raw and raw["spaces"] and all(_kind_of(space) == "none" for space in raw["spaces"].values()):
            raw["data"] = {"name": "none", "image_size": 1}
        return {
            **raw,
            "models": {name: _model_in_full(name, model, raw["spaces"]) for name, model in raw["models"].items()},
        }

    def files_by_key(self):
        """Every ``File`` of weights that a run with this configuration reads, by its key."""
        found = {}
        for name, space in self.spaces.items():
            for key in ("weights", "decoder"):
                found[f"spaces.{name}.encoder.{key}"] = getattr(space.encoder, key, None)
        for name, model in self.models.items():
            found |= {f"models.{name}.checkpoint.{space}": file for space, file in model.checkpoint.items()}
        for name in self.evaluation.published:
            found[f"evaluation.{name}_weights"] = getattr(self.evaluation, f"{name}_weights")
        found |= {f"evaluation.references.{name}": file for name, file in self.evaluation.given_references.items()}
        return {key: file for key, file in found.items() if file}

    def files(self):
        """Those files by their place."""
        return {file.place: file for file in self.files_by_key().values()}

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
        parts = [part for plan in getattr(settings, "plans", {}).values() for part in plan.parts]
        fields = [part.field.partition("@")[0] for part in parts]
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


def _kind_of(space):
    encoder = space.get("encoder") if isinstance(space, dict) else None
    return encoder.get("kind") if isinstance(encoder, dict) else None


def _model_in_full(name, model, spaces):
    model = {**PAPER_SIZES.get(name, {}), **model} if isinstance(model, dict) else model or PAPER_SIZES.get(name, {})
    file = model.get("checkpoint") if isinstance(model, dict) else None
    if isinstance(file, str) or (isinstance(file, dict) and set(file) & set(Checkpoint.model_fields) - set(spaces)):
        return {**model, "checkpoint": dict.fromkeys(spaces, file)}
    return model
