"""``synthetic``: unit Gaussians."""

from pydantic import Field

from twostage.config.blocks.base import Block
from twostage.config.values import Count, Distinct, Intervals, Several


class Synthetic(Block):
    """Unit Gaussians (Fig. 3). Posterior weights are drawn without storing D-dimensional samples."""

    size: Count = Field(1400, description="N in the panel that varies D")
    dims: Distinct[Several] = Field(
        [512, 2048, 8192], min_length=1, description="Values of D in the panel that varies D"
    )
    dim: Several = Field(1024, description="D in the panel that varies N")
    sizes: Distinct[Count] = Field(
        [100, 1000, 10000], min_length=1, description="Values of N in the panel that varies N"
    )
    time_steps: Intervals = Field(
        50, description="Number of intervals of the time grid on [0, 1]. Times are added as for `oracle`"
    )
    trials: Count = Field(
        1000, description="Number of trials per curve. Each curve is computed exactly and in bfloat16"
    )
    law_dims: Distinct[Several] = Field(
        [16, 64, 512, 4096], min_length=1, description="Values of D in the grid that tests the transition law"
    )
    law_sizes: Distinct[Several] = Field(
        [10, 100, 1000, 10000], min_length=1, description="Values of N in the grid that tests the transition law"
    )
    law_trials: Count = Field(1000, description="Number of trials per point of that grid")
