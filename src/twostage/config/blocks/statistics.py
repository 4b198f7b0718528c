"""Means and standard deviations, which latent spaces and models name."""

from pydantic import Field, model_validator

from twostage.config.blocks.base import Block
from twostage.config.values import Positive, Real


class Statistics(Block):
    """What latents are normalised by: (latent - mean) / std. Each is one number, or one per channel."""

    mean: Real | list[Real] = Field(0.0, description="What is subtracted: a number, or a list of one per channel")
    std: Positive | list[Positive] = Field(1.0, description="What it is divided by: a number, or one per channel")

    @model_validator(mode="after")
    def _as_many(self):
        counts = {len(values) for values in (self.mean, self.std) if isinstance(values, list)}
        if len(counts) > 1 or 0 in counts:
            raise ValueError(f"mean is {self.mean}, std is {self.std}; expected one number per channel in both")
        return self
