"""``oracle``, ``settling``, ``nsweep`` and ``oracle_loss``: the oracle on latents, and comparisons with it."""

from pydantic import Field

from twostage.config.blocks.base import Block
from twostage.config.values import Count, Distinct, Intervals, Mebibytes, Several


class Oracle(Block):
    """The posterior of the oracle on latents (Fig. 2), and the transition that is measured from it."""

    time_steps: Intervals = Field(
        100,
        description="Number of intervals of the time grid on [0, 1]. Times that resolve the transition, and the times "
        "read off the paper's figure, are added",
    )
    pairs_per_class: Count = Field(128, description="Number of pairs (x_0, x_1) per class")
    pairs_unconditional: Count = Field(512, description="Number of pairs (x_0, x_1) for the oracle over all images")
    bootstrap: Count = Field(
        1000, description="Number of resamples of the pairs for the confidence interval of the transition"
    )
    memory_mb: Mebibytes = Field(
        1024, description="Memory for latents at one time, in MiB. Larger classes are read in parts"
    )


class Settling(Block):
    """When the posterior settles on single images (`fig_settling`). Optional."""

    images: Count = Field(
        128, description="Number of images per class, drawn at random. All images of a class that has fewer"
    )
    noises: Count = Field(16, ge=2, description="Number of x_0 per image, over which its time is averaged. At least 2")


class SizeSweep(Block):
    """The number of training samples N, varied at fixed D: subsets of each class, then of all classes together."""

    sizes: Distinct[Several] = Field(
        [10, 20, 50, 100, 200, 500, 1000, 2000, 5000],
        min_length=1,
        description="Sizes N of the subsets. A size above the number of available samples is left out",
    )
    pairs: Count = Field(40, description="Number of pairs (x_0, x_1) per subset")
    repeats: Count = Field(
        5,
        description="Number of random subsets per size. Confidence intervals are over the subsets (Student's t); one "
        "subset has none",
    )


class OracleLoss(Block):
    """The models' error against both targets, by t (Figs. 7 and 9)."""

    time_steps: Intervals = Field(
        50, description="Number of intervals of the time grid on [0, 1]. Times are added as for `oracle`"
    )
    pairs: Several = Field(
        256, description="Number of pairs (x_0, x_1), balanced over the classes. Every model gets the same pairs"
    )
