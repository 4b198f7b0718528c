"""What every experiment may set for itself."""

from pydantic import Field

from twostage.config.blocks.base import Block
from twostage.config.values import Count, Distinct, Natural


class Experiment(Block):
    """What every experiment may set for itself."""

    spaces: Distinct[str] | None = Field(
        None, min_length=1, description="Latent spaces to run it in; without the key, all"
    )
    samples: Count | None = Field(None, description="Images a plan and seed, when not `sampling.samples`")
    seeds: Distinct[Natural] | None = Field(None, min_length=1, description="Sampling seeds, when not `sampling.seeds`")
