"""``sampling``: settings that all plans share."""

from typing import Literal

from pydantic import Field

from twostage.config.blocks.base import Block
from twostage.config.values import Count, Distinct, Natural, Several
from twostage.sampling.plan import Plan


class Sampling(Block):
    """Settings that all sampling plans share."""

    samples: Count = Field(50000, description="Number of images per plan and seed")
    seeds: Distinct[Natural] = Field(
        [0], min_length=1, description="Sampling seeds. The noise and label of sample i depend only on the seed and i"
    )
    steps: Several = Field(Plan.steps, description="Number of function evaluations per trajectory")
    solver: Literal["euler", "heun"] = Field(Plan.solver, description="ODE solver")
    batch_size: Count = Field(256, description="Number of trajectories solved at one time")
    precision: Literal["float32", "bf16"] = Field("float32", description="Precision of the models' forward pass")
    shards: Count = Field(1, description="Number of sampling jobs per experiment and latent space")
