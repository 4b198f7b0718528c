"""``oracle``, ``nsweep`` and ``oracle_loss``: what is compared with the oracle on latents."""

from pydantic import Field

from twostage.config.blocks.base import Block
from twostage.config.values import Count, Distinct, Intervals, Mebibytes, Several


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
