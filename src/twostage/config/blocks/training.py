"""``training``: the recipe."""

import json
from typing import Literal

from pydantic import Field, model_validator

from twostage.config.blocks.base import Block
from twostage.config.values import (
    Below1,
    Count,
    Distinct,
    Mebibytes,
    NotNegative,
    PathText,
    Positive,
    RealMinutes,
)
from twostage.training.recipe import PRESETS, Recipe


def _words(settings):
    """Keys and values as they are written in a configuration."""
    return ", ".join(f"{key} {json.dumps(value)}" for key, value in settings.items())


class Training(Block):
    """The training recipe. Defaults are the paper's, or those of the `preset`."""

    preset: Literal["paper", "lightningdit"] = Field(
        "paper",
        description=f"Recipe whose defaults the keys below take. `lightningdit` sets {_words(PRESETS['lightningdit'])}",
    )
    steps: Count = Field(description="Optimiser steps")
    snapshots: Distinct[Count] = Field(
        [], description="Steps at which the EMA weights are kept. Those of the last step are always kept"
    )
    batch_size: Count = Field(Recipe.batch_size, description="Samples per step, over all processes together")
    lr: Positive = Field(Recipe.lr, description="Learning rate of AdamW, constant")
    betas: tuple[Below1, Below1] = Field(Recipe.betas, description="Betas of AdamW, two numbers in [0, 1)")
    weight_decay: NotNegative = Field(Recipe.weight_decay, description="Weight decay of AdamW")
    max_grad_norm: Positive | None = Field(
        Recipe.max_grad_norm,
        description="Largest gradient norm. Larger gradients are scaled down to it. null: no limit",
    )
    ema: Below1 = Field(Recipe.ema, description="Decay per step of the exponential moving average (EMA) of the weights")
    time: Literal["uniform", "lognormal"] = Field(
        Recipe.time, description="Distribution of the training times on [0, 1]"
    )
    class_drop: Below1 = Field(
        Recipe.class_drop,
        description="Probability that a sample is trained without its class. 0 where the images have no classes",
    )
    target: Literal["cfm", "oracle"] = Field(
        Recipe.target, description="Regression target: `cfm` is x_1 - x_0, `oracle` is the oracle velocity (App. B)"
    )
    cosine_loss: bool = Field(Recipe.cosine_loss, description="Add LightningDiT's cosine loss")
    precision: Literal["auto", "float32", "bf16"] = Field(
        Recipe.precision,
        description="Precision of the forward and backward pass (autocast). `auto`: bf16 on a GPU, float32 on a CPU",
    )
    compile: Literal["auto"] | bool = Field(
        Recipe.compile,
        description="Compile the model's blocks. `auto`: only on a GPU. Without a compiler the model runs uncompiled, "
        "with a warning",
    )
    accumulate: Count = Field(
        Recipe.accumulate,
        description="Number of parts into which each process cuts its batch, to fit the device's memory",
    )
    activation_checkpointing: bool = Field(
        Recipe.activation_checkpointing, description="Save memory: compute activations again in the backward pass"
    )
    checkpoint_every: Count = Field(Recipe.checkpoint_every, description="Steps between resumable checkpoints")
    keep_state: bool = Field(
        Recipe.keep_state,
        description="Keep the last checkpoint of a finished training, so that more `steps` continue from it. It takes "
        "16 bytes per parameter (10.8 GB for XL). Without it, more `steps` start from the beginning",
    )
    log_every: Count = Field(
        Recipe.log_every,
        description="Number of steps averaged in one line of stats.jsonl. If the loss on a GPU is not finite or "
        "explodes, training stops at most twice as many steps later",
    )
    tensorboard: bool = Field(
        Recipe.tensorboard, description="Also write TensorBoard's event files, to `tensorboard/` beside the snapshots"
    )
    memory_mb: Mebibytes = Field(
        Recipe.memory_mb,
        description="Memory for latents, in MiB. A larger store is read in order and shuffled within windows",
    )
    minutes: RealMinutes | None = Field(
        Recipe.minutes,
        description="Time limit of one job, in minutes. At the limit the job writes a checkpoint and ends, to be "
        "queued again",
    )
    state_folder: PathText | None = Field(
        Recipe.state_folder,
        description="Folder for what a training resumes from, below it in `results/{run}/training/{space}/{model}`. "
        "Default: `state/` beside the snapshots. Without a shared file system, name a folder of a volume that outlives "
        "a job",
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
