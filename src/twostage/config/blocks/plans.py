"""``experiments.tab_plans``: sampling plans of one's own."""

from typing import Literal

from pydantic import Field, field_serializer

from twostage.config.blocks.base import Block
from twostage.config.blocks.experiment import Experiment
from twostage.config.values import Count, DashedName, Moment, Number
from twostage.sampling.plan import Part, Plan


class PlanPart(Block):
    """One part of a plan of one's own: a field acts from where the part before it ended up to `stop`."""

    field: str = Field(description="A model's name, `model@step` for one of its snapshots, or `oracle`")
    stop: Moment = Field(Part.stop, description="Time at which the part ends, or `split`")
    start: Moment | None = Field(Part.start, description="Time at which it begins: where the part before it ended")
    steps: Count | None = Field(Part.steps, description="Steps of the part, when not its share of the plan's")
    shift: Number = Field(Part.shift, gt=0, description="Timestep shift of its grid")
    guidance: Number = Field(Part.guidance, description="Guidance scale; 1 is none")
    interval: tuple[Moment, Moment] = Field(Part.interval, description="Times at which guidance acts")
    channels: Literal["all"] | Count = Field(Part.channels, description="Latent channels that guidance acts on")


class ResumedStart(Block):
    """A start of a plan of one's own at x_t of an image."""

    resume: Moment = Field(description="Time t, or `split`")
    split: Literal["train", "held_out"] = Field(description="Where the image is from")


class OwnPlan(Block):
    """A plan of one's own (docs/plans.md)."""

    parts: list[PlanPart] = Field(min_length=1, description="Parts, which cover [0, 1] without gap or overlap")
    start: Literal["prior"] | ResumedStart = Field(Plan.start, description="`prior`, or a mapping: x_t of an image")
    solver: Literal["euler", "heun"] | None = Field(None, description="ODE solver, when not `sampling.solver`")
    steps: Count | None = Field(None, description="Steps over all of [0, 1], when not `sampling.steps`")
    samples: Count | None = Field(Plan.samples, description="Images a seed, when not the experiment's")
    follow: bool = Field(Plan.follow, description="Record the training image that the oracle would end in")
    kind: str = Field(Plan.kind, description="What kind of row it is in its table, a word for the record")

    def as_written(self):
        """The plan as a dict, without what it leaves out: ``twostage.sampling.plan.Plan.from_dict``."""
        return self.model_dump(mode="json", exclude_unset=True, exclude_none=True)


class OwnPlans(Experiment):
    """Sampling plans of one's own: which field acts on which part of [0, 1], and how (docs/plans.md)."""

    plans: dict[DashedName, OwnPlan] = Field(min_length=1, description="Plans by name")

    @field_serializer("plans")
    def _plans_as_written(self, plans):
        return {name: plan.as_written() for name, plan in plans.items()}
