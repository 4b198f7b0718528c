"""``experiments.tab_plans``: the user's own sampling plans."""

from typing import Literal

from pydantic import Field, field_serializer

from twostage.config.blocks.base import Block
from twostage.config.blocks.experiment import Experiment
from twostage.config.values import Count, DashedName, Moment, Number
from twostage.sampling.plan import Part, Plan


class PlanPart(Block):
    """One part of a plan: a velocity field that acts from the end of the part before it up to `stop`."""

    field: str = Field(description="Velocity field: a model's name, `model@step` for one of its snapshots, or `oracle`")
    stop: Moment = Field(Part.stop, description="Time at which the part ends, or `split`")
    start: Moment | None = Field(
        Part.start, description="Time at which the part begins, or `split`. Default: where the part before it ends"
    )
    steps: Count | None = Field(
        Part.steps, description="Number of steps of the part. Default: its share of the plan's steps"
    )
    shift: Number = Field(Part.shift, gt=0, description="Timestep shift of the part's grid")
    guidance: Number = Field(Part.guidance, description="Guidance scale. 1 is no guidance")
    interval: tuple[Moment, Moment] = Field(
        Part.interval, description="Interval [start, end] of t in which guidance acts"
    )
    channels: Literal["all"] | Count = Field(
        Part.channels, description="Latent channels that are guided: `all`, or the number of first channels"
    )


class ResumedStart(Block):
    """A start at x_t of an image."""

    resume: Moment = Field(description="Time t, or `split`")
    split: Literal["train", "held_out"] = Field(description="Images to start from")


class OwnPlan(Block):
    """A sampling plan of your own (docs/plans.md)."""

    parts: list[PlanPart] = Field(
        min_length=1, description="Parts of the plan. Together they cover [0, 1], without gaps or overlaps"
    )
    start: Literal["prior"] | ResumedStart = Field(
        Plan.start, description="Where trajectories start: `prior`, or at x_t of an image"
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
