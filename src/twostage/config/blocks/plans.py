"""``experiments.tab_plans``: the user's own sampling plans."""

from typing import Literal

from pydantic import Field, field_serializer

from twostage.config.blocks.base import Block
from twostage.config.blocks.experiment import Experiment
from twostage.config.values import Count, DashedName, Gain, Moment, NotNegative, Number, Window
from twostage.sampling.plan import Part, Plan


class PartGain(Block):
    """A gain 1 + alpha (1 - t)^beta of the velocity (the form of arXiv:2605.14819)."""

    alpha: Gain = Field(description="Increase of the velocity's length at t = 0, as a share. Below 0: a decrease")
    beta: NotNegative = Field(description="Exponent of 1 - t. 0: the same gain at all times")


class PlanPart(Block):
    """One part of a plan: a velocity field that acts from the end of the part before it up to `stop`."""

    field: str = Field(
        description="Velocity field: a model's name, `model@step` for one of its snapshots, `oracle` or `gaussian`"
    )
    stop: Moment = Field(Part.stop, description="Time at which the part ends, or `split`")
    start: Moment | None = Field(
        Part.start, description="Time at which the part begins, or `split`. Default: where the part before it ends"
    )
    steps: Count | None = Field(
        Part.steps, description="Number of steps of the part. Default: its share of the plan's steps"
    )
    shift: Number = Field(Part.shift, gt=0, description="Timestep shift of the part's grid")
    guidance: Number = Field(Part.guidance, description="Guidance scale. 1 is no guidance")
    interval: Window | tuple[Moment, Moment] = Field(
        Part.interval,
        description="Interval of t in which guidance acts: [start, end]; or one from the data, `transition` "
        "(where the law's curve goes from 0.1 to 0.9) or `class` (where x_t tells 5% to 95% of the class)",
    )
    channels: Literal["all"] | Count = Field(
        Part.channels, description="Latent channels that are guided: `all`, or the number of first channels"
    )
    gain: PartGain | None = Field(Part.gain, description="Gain of the velocity, 1 + alpha (1 - t)^beta. Default: none")


class Start(Block):
    """A start at a later time: at x_t of an image (`resume` with `split`), or of a Gaussian (`gaussian` alone)."""

    resume: Moment | None = Field(None, description="Time t of an image's x_t, or `split`")
    split: Literal["train", "held_out"] | None = Field(None, description="Images to start from")
    gaussian: Moment | None = Field(
        None,
        description="Time t, or `split`, up to which the exact flow of the class's Gaussian moves the noise, without a "
        "function evaluation",
    )


class OwnPlan(Block):
    """A sampling plan of your own (docs/plans.md)."""

    parts: list[PlanPart] = Field(
        min_length=1, description="Parts of the plan. Together they cover [0, 1], without gaps or overlaps"
    )
    start: Literal["prior"] | Start = Field(
        Plan.start, description="Where trajectories start: `prior`, at x_t of an image, or of a Gaussian"
    )
    solver: Literal["euler", "heun"] | None = Field(None, description="ODE solver. Default: `sampling.solver`")
    steps: Count | None = Field(None, description="Number of steps over all of [0, 1]. Default: `sampling.steps`")
    samples: Count | None = Field(
        Plan.samples, description="Number of images per seed. Default: the experiment's `samples`"
    )
    follow: bool = Field(
        Plan.follow, description="Record the training image in which the oracle's trajectory would end"
    )
    kind: str = Field(Plan.kind, description="Label of the plan's row in the table")

    def as_written(self):
        """The plan as a dict, without what it leaves out: ``twostage.sampling.plan.Plan.from_dict``."""
        return self.model_dump(mode="json", exclude_unset=True, exclude_none=True)


class OwnPlans(Experiment):
    """Sampling plans of your own: which velocity field acts on which part of [0, 1], and how (docs/plans.md)."""

    plans: dict[DashedName, OwnPlan] = Field(min_length=1, description="Plans by name")

    @field_serializer("plans")
    def _plans_as_written(self, plans):
        return {name: plan.as_written() for name, plan in plans.items()}
