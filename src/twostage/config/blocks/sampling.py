"""``sampling``: what every plan shares."""

from typing import Literal

from pydantic import Field

from twostage.config.blocks.base import Block
from twostage.config.values import Count, Distinct, Natural, Several
from twostage.sampling.plan import Plan


class Sampling(Block):
    """What every plan shares."""

    samples: Count = Field(50000, description="Images a plan and seed")
    seeds: Distinct[Natural] = Field(
        [0], min_length=1, description="Sampling seeds; noise and label of sample i depend on (seed, i) alone"
    )
    steps: Several = Field(Plan.steps, description="Function evaluations a trajectory")
    solver: Literal["euler", "heun"] = Field(Plan.solver, description="ODE solver")
    batch_size: Count = Field(256, description="Trajectories solved at a time")
    precision: Literal["float32", "bf16"] = Field("float32", description="Precision of the models' forward pass")
    shards: Count = Field(1, description="Sampling jobs an experiment and latent space")
