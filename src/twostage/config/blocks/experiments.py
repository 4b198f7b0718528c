"""``experiments``: the paper's tables and figures that are made of samples."""

from typing import Literal

from pydantic import Field, model_validator

from twostage.config.blocks.base import Block
from twostage.config.blocks.experiment import Experiment
from twostage.config.blocks.plans import OwnPlans
from twostage.config.values import Count, Distinct, Positive, Share, Time
from twostage.sampling import experiments


class StageSwap(Experiment):
    """Tab. 1: one model up to the split, another after it, in every order; the total number of steps is fixed."""

    models: Distinct[str] = Field(
        ["XL", "B"],
        min_length=2,
        description="Models to combine, two or more; the first throughout is what others are compared with",
    )
    splits: Distinct[Literal["measured"] | Share] = Field(
        ["measured"], min_length=1, description="Stage splits: `measured` (from this data's transition) or fixed times"
    )
    stage_steps: Literal["proportional", "equal"] | tuple[Count, Count] = Field(
        "proportional",
        description="Steps of each stage, uniform in it: their shares of the uniform grid, half each, or two numbers",
    )


class TimestepShift(Experiment):
    """Tab. 2: timestep shifts t' = s t / (1 + (s - 1) t) of one model's grid."""

    model: str = Field("B", description="Model to sample from")
    shifts: Distinct[Positive] = Field(
        list(experiments.SHIFTS), min_length=1, description="Shifts s; below 1 spends more steps near the prior"
    )


class GuidanceInterval(Experiment):
    """Tab. 3: classifier-free guidance on one interval of t at a time."""

    model: str = Field("B", description="Model to sample from")
    guidance: Positive = Field(experiments.GUIDANCE, description="Guidance scale; 1 is none")
    channels: Literal["all"] | Count = Field(
        "all", description="Latent channels that guidance acts on: `all`, or the first so many"
    )
    short: Distinct[tuple[Time, Time]] = Field(
        list(experiments.SHORT_INTERVALS), description="Short intervals [start, end]"
    )
    wide: Distinct[tuple[Time, Time]] = Field(list(experiments.WIDE_INTERVALS), description="Wide intervals")

    @model_validator(mode="after")
    def _has_an_interval(self):
        if not (self.short or self.wide):
            raise ValueError("short and wide are both empty; expected an interval in one of them")
        return self


class MixedSampling(Experiment):
    """Fig. 5: the oracle up to a switch time, a model after it."""

    model: str = Field("XL", description="Model to sample from")
    times: Distinct[Time] = Field(
        list(experiments.SWITCH_TIMES), min_length=1, description="Switch times; 0 is the model alone"
    )
    oracle_samples: Count | None = Field(
        None,
        description="Images of the oracle alone (t_switch = 1), when not `samples`; 381 without a miss show that it "
        "retrieves over 99%",
    )


class ResumedSampling(Experiment):
    """Fig. 6: a model from x_t of held-out images."""

    model: str = Field("XL", description="Model to sample from")
    times: Distinct[Share] = Field(list(experiments.RESUME_TIMES), min_length=1, description="Times to resume from")


class Predictions(Experiment):
    """Figs. 4 and 8: one-step predictions and velocity norms along trajectories, the oracle's beside the models'."""

    models: Distinct[str] = Field(["XL"], min_length=1, description="Models to follow")


class Pictures(Experiment):
    """App. G: more samples."""

    models: Distinct[str] = Field(["XL"], min_length=1, description="Models to sample from")


class Convergence(Experiment):
    """App. B: a model that regresses on the oracle velocity beside its twin that does not, snapshot by snapshot."""

    models: Distinct[str] = Field(
        min_length=2, max_length=2, description="The CFM model, then its oracle-supervised twin"
    )


class Experiments(Block):
    """Which experiments run; one left out does not."""

    tab1: StageSwap | None = Field(None, description="Stage swap (Tab. 1)")
    tab2: TimestepShift | None = Field(None, description="Timestep shift (Tab. 2)")
    tab3: GuidanceInterval | None = Field(None, description="Guidance interval (Tab. 3)")
    fig5: MixedSampling | None = Field(None, description="Oracle, then model (Fig. 5)")
    fig6: ResumedSampling | None = Field(None, description="Resuming from unseen images (Fig. 6)")
    fig8: Predictions | None = Field(None, description="Predictions along trajectories (Figs. 4 and 8)")
    tab_plans: OwnPlans | None = Field(None, description="Plans of one's own")
    fig_samples: Pictures | None = Field(None, description="Samples (App. G)")
    fig_oracle_supervised: Convergence | None = Field(None, description="Oracle-supervised training (App. B)")
