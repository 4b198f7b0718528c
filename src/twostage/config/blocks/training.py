"""``training``: the recipe."""

import json
from typing import Literal

from pydantic import Field, model_validator

from twostage.config.blocks.base import Block
from twostage.config.values import Below1, Count, Distinct, Mebibytes, NotNegative, Positive, RealMinutes
from twostage.training.recipe import PRESETS, Recipe


def _words(settings):
    """Keys and values as they are written in a configuration."""
    return ", ".join(f"{key} {json.dumps(value)}" for key, value in settings.items())


class Training(Block):
    """The training recipe; defaults are the paper's, or those of the `preset`."""

    preset: Literal["paper", "lightningdit"] = Field(
        "paper", description=f"Whose defaults the keys below have; `lightningdit`: {_words(PRESETS['lightningdit'])}"
    )
    steps: Count = Field(description="Optimiser steps")
    snapshots: Distinct[Count] = Field([], description="Steps at which EMA weights are kept, besides the last")
    batch_size: Count = Field(Recipe.batch_size, description="Samples a step, over all processes")
    lr: Positive = Field(Recipe.lr, description="AdamW learning rate, constant")
    betas: tuple[Below1, Below1] = Field(Recipe.betas, description="AdamW betas, two numbers in [0, 1)")
    weight_decay: NotNegative = Field(Recipe.weight_decay, description="AdamW weight decay")
    max_grad_norm: Positive | None = Field(
        Recipe.max_grad_norm, description="Largest gradient norm; beyond it gradients are scaled down; null scales none"
    )
    ema: Below1 = Field(Recipe.ema, description="Decay of the exponential moving average of the weights, a step")
    time: Literal["uniform", "lognormal"] = Field(
        Recipe.time, description="Distribution of the training times on [0, 1]"
    )
    class_drop: Below1 = Field(Recipe.class_drop, description="Probability that a sample's class is dropped")
    target: Literal["cfm", "oracle"] = Field(
        Recipe.target, description="Regression target: x_1 - x_0, or the oracle velocity (App. B)"
    )
    cosine_loss: bool = Field(Recipe.cosine_loss, description="Add LightningDiT's cosine loss")
    precision: Literal["auto", "float32", "bf16"] = Field(
        Recipe.precision,
        description="Precision of the forward and backward pass (autocast); `auto`: bf16 on a GPU, else float32",
    )
    compile: Literal["auto"] | bool = Field(
        Recipe.compile,
        description="Compile the model's blocks; `auto`: on a GPU; plain, with a warning, without a compiler",
    )
    accumulate: Count = Field(Recipe.accumulate, description="Parts a batch is cut into, to fit the device's memory")
    activation_checkpointing: bool = Field(
        Recipe.activation_checkpointing, description="Recompute activations in the backward pass, to save memory"
    )
    checkpoint_every: Count = Field(Recipe.checkpoint_every, description="Steps between resumable checkpoints")
    keep_state: bool = Field(
        Recipe.keep_state,
        description="Keep the last checkpoint of a finished training (16 bytes a parameter: 10.8 GB for XL), so that "
        "more `steps` go on from it; else they begin anew",
    )
    log_every: Count = Field(
        Recipe.log_every,
        description="Number of steps averaged in one line of stats.jsonl; on a GPU a loss that is not finite, or has "
        "exploded, ends the training at most twice as many steps later",
    )
    tensorboard: bool = Field(
        Recipe.tensorboard, description="Also write TensorBoard's event files, to `tensorboard/` beside the snapshots"
    )
    memory_mb: Mebibytes = Field(
        Recipe.memory_mb,
        description="Latents held in memory, MiB; a larger store is read in sequence and shuffled in windows",
    )
    minutes: RealMinutes | None = Field(
        Recipe.minutes,
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
