"""``synthetic``: unit Gaussians."""

from pydantic import Field

from twostage.config.blocks.base import Block
from twostage.config.values import Count, Distinct, Intervals, Several


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
