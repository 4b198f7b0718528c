"""``experiments``: the paper's tables and figures that are made from samples."""

from typing import Literal

from pydantic import Field, model_validator

from twostage.config.blocks.base import Block
from twostage.config.blocks.experiment import Experiment
from twostage.config.blocks.plans import OwnPlans
from twostage.config.values import Count, Distinct, Gain, Moment, NotNegative, Positive, Several, Share, Time, Window
from twostage.sampling import experiments


class StageSwap(Experiment):
    """Tab. 1: one model before the split, another after it, in every combination, with a fixed number of steps."""

    models: Distinct[str] = Field(
        ["XL", "B"],
        min_length=2,
        description="Models to combine, two or more. The first one, used in both stages, is the baseline of the "
        "comparison",
    )
    splits: Distinct[Literal["measured"] | Share] = Field(
        ["measured"],
        min_length=1,
        description="Stage splits: `measured` (from the transition of this run's data), or fixed times",
    )
    stage_steps: Literal["proportional", "equal"] | tuple[Count, Count] = Field(
        "proportional",
        description="How the steps are divided between the stages: `proportional` to their lengths, `equal`, or two "
        "numbers. Steps are uniform within a stage",
    )


class TimestepShift(Experiment):
    """Tab. 2: one model with timestep shifts t' = s t / (1 + (s - 1) t)."""

    model: str = Field("B", description="Model to sample from")
    shifts: Distinct[Positive] = Field(
        list(experiments.SHIFTS), min_length=1, description="Shifts s. Below 1, more steps are near the noise (t = 0)"
    )


class GuidanceBeside(Block):
    """Another model or scale, for which guidance acts nowhere, everywhere, and on the intervals of `from_data`."""

    model: str | None = Field(None, description="Model to sample from. Default: the experiment's `model`")
    guidance: Positive | None = Field(None, description="Guidance scale. Default: the experiment's `guidance`")


class GuidanceInterval(Experiment):
    """Tab. 3: classifier-free guidance in one interval of t at a time."""

    model: str = Field("B", description="Model to sample from")
    guidance: Positive = Field(experiments.GUIDANCE, description="Guidance scale. 1 is no guidance")
    channels: Literal["all"] | Count = Field(
        "all", description="Latent channels that are guided: `all`, or the number of first channels"
    )
    short: Distinct[tuple[Time, Time]] = Field(
        list(experiments.SHORT_INTERVALS), description="Short intervals [start, end] of t"
    )
    wide: Distinct[tuple[Time, Time]] = Field(
        list(experiments.WIDE_INTERVALS), description="Wide intervals [start, end] of t"
    )
    from_data: Distinct[Window] = Field(
        [],
        description="Intervals from the data: `transition` (where the law's curve goes from 0.1 to 0.9), `class` "
        "(where x_t tells 5% to 95% of the class)",
    )
    beside: list[GuidanceBeside] = Field(
        [], description="Further models and scales, with the intervals of `from_data`, all of [0, 1] and no guidance"
    )

    @model_validator(mode="after")
    def _has_an_interval(self):
        if not (self.short or self.wide):
            raise ValueError("short and wide are both empty; expected an interval in one of them")
        return self


class VelocityGain(Experiment):
    """A gain 1 + alpha (1 - t)^beta of the velocity, which makes it longer near the prior (arXiv:2605.14819)."""

    model: str = Field("B", description="Model to sample from")
    gains: Distinct[tuple[Gain, NotNegative]] = Field(
        list(experiments.GAINS),
        min_length=1,
        description="Gains [alpha, beta]. alpha above 0 makes velocities longer, below 0 shorter. A larger beta limits "
        "the gain to times nearer to the prior",
    )


class Capacity(Experiment):
    """A large and a small model, assigned to navigation, early and late refinement in all eight ways."""

    large: str = Field("XL", description="Name of the large model")
    small: str = Field("B", description="Name of the small model")
    late: Share = Field(
        experiments.LATE,
        description="Time at which early refinement ends and late refinement begins. Must lie after the split",
    )

    @model_validator(mode="after")
    def _has_two_models(self):
        if self.large == self.small:
            raise ValueError(f"large and small are both {self.large}; expected two models")
        return self


class Halves(Experiment):
    """Who does which half: Gaussian, models, an early snapshot or the oracle up to the split, models or the oracle
    after it."""

    models: Distinct[str] = Field(["S", "XL"], min_length=1, description="Models that act in either half")
    snapshot: Count | None = Field(
        None,
        description="Training step of a snapshot of the first model that acts before the split. Default: no snapshot",
    )


class MixedSampling(Experiment):
    """Fig. 5: the oracle up to a switch time, then a model."""

    model: str = Field("XL", description="Model to sample from")
    times: Distinct[Time] = Field(
        list(experiments.SWITCH_TIMES),
        min_length=1,
        description="Switch times. 0: the model alone. 1: the oracle alone",
    )
    oracle_samples: Count | None = Field(
        None,
        description="Number of images of the oracle alone (switch time 1). Default: `samples`. With 381 images and no "
        "miss, the 95% interval of the retrieved share lies above 99%",
    )


class ResumedSampling(Experiment):
    """Fig. 6: a model that starts from x_t of held-out images."""

    model: str = Field("XL", description="Model to sample from")
    times: Distinct[Share] = Field(
        list(experiments.RESUME_TIMES), min_length=1, description="Times from which sampling resumes"
    )


class Predictions(Experiment):
    """Figs. 4 and 8: one-step predictions and velocity norms along trajectories, of the models and of the oracle."""

    models: Distinct[str] = Field(["XL"], min_length=1, description="Models whose trajectories are recorded")


class References(Experiment):
    """Whom models follow: their errors against the oracle, the Gaussian and the conditional target, on paths of
    training and of held-out images and on their own trajectories, at every snapshot."""

    models: Distinct[str] = Field(["XL"], min_length=1, description="Models to compare, at all their snapshots")
    samples: Count = Field(
        256,
        description="Number of pairs (x_0, x_1) per seed, balanced over the classes. Every model gets the same pairs",
    )
    times: Several = Field(20, description="Number of times, evenly chosen among the step starts of a trajectory")


class Pictures(Experiment):
    """App. G: more samples."""

    models: Distinct[str] = Field(["XL"], min_length=1, description="Models to sample from")


class Jumps(Experiment):
    """A model that starts at time t from the state of the exact flow of the class's Gaussian, without a function
    evaluation before t."""

    model: str = Field("XL", description="Model to sample from")
    times: Distinct[Moment] = Field(
        list(experiments.JUMP_TIMES),
        min_length=1,
        description="End times of the jump, below 1, or `split`. 0 is the model alone, which is always sampled",
    )


class Convergence(Experiment):
    """App. B: a model trained on the oracle velocity beside its twin that is not, at each snapshot."""

    models: Distinct[str] = Field(
        min_length=2,
        max_length=2,
        description="Two models: the one trained with target `cfm`, then its twin with target `oracle`",
    )


class Experiments(Block):
    """The experiments. Those that are left out do not run."""

    tab1: StageSwap | None = Field(None, description="Stage swap (Tab. 1)")
    tab2: TimestepShift | None = Field(None, description="Timestep shift (Tab. 2)")
    tab3: GuidanceInterval | None = Field(None, description="Guidance interval (Tab. 3)")
    tab_gain: VelocityGain | None = Field(None, description="Gain of the velocity near the prior (arXiv:2605.14819)")
    tab_capacity: Capacity | None = Field(None, description="Where capacity is needed: two models in three parts")
    tab_halves: Halves | None = Field(None, description="Who does which half")
    fig5: MixedSampling | None = Field(None, description="Oracle, then model (Fig. 5)")
    fig6: ResumedSampling | None = Field(None, description="Resuming from unseen images (Fig. 6)")
    fig8: Predictions | None = Field(None, description="Predictions along trajectories (Figs. 4 and 8)")
    tab_plans: OwnPlans | None = Field(None, description="Plans of one's own")
    fig_references: References | None = Field(None, description="Whom models follow (oracle, Gaussian, data)")
    fig_samples: Pictures | None = Field(None, description="Samples (App. G)")
    fig_jump: Jumps | None = Field(None, description="The first part of the path without a network: a Gaussian's flow")
    fig_oracle_supervised: Convergence | None = Field(None, description="Oracle-supervised training (App. B)")
