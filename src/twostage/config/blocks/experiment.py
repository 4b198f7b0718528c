"""Settings that every experiment may have."""

from pydantic import Field

from twostage.config.blocks.base import Block
from twostage.config.values import Count, Distinct, Natural

MODEL_SETTINGS = ("model", "large", "small")  # those that hold one model's name; ``models`` holds several


class Experiment(Block):
    """Settings that every experiment has."""

    spaces: Distinct[str] | None = Field(
        None, min_length=1, description="Latent spaces in which the experiment runs. Default: all"
    )
    samples: Count | None = Field(
        None,
        description="Number of images per plan and seed, at least 2 where distances are measured. Default: "
        "`sampling.samples`",
    )
    seeds: Distinct[Natural] | None = Field(None, min_length=1, description="Sampling seeds. Default: `sampling.seeds`")
