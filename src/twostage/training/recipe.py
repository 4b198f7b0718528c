"""The training recipe: the paper's by default, LightningDiT's own by name."""

import dataclasses
from dataclasses import dataclass

from twostage.spelling import did_you_mean
from twostage.training import OPERATIONAL

# Settings in which LightningDiT's published configuration differs from the paper (its code clips no gradients).
PRESETS = {
    "paper": {},
    "lightningdit": {
        "batch_size": 1024,
        "lr": 2e-4,
        "betas": (0.9, 0.95),
        "max_grad_norm": None,
        "time": "lognormal",
        "cosine_loss": True,
    },
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is trained (Sec. 4 and App. C of the paper).

    steps: optimiser steps; snapshots: the steps at which EMA weights are kept, always with the last step.
    batch_size: samples per step over all processes; accumulate: number of parts into which a process cuts its share.
    max_grad_norm: None clips nothing. time: ``uniform`` on [0, 1], or ``lognormal`` (sigmoid of a standard normal).
    target: ``cfm`` is x_1 - x_0, ``oracle`` is the class's oracle velocity (App. B). cosine_loss: add LightningDiT's.
    precision: ``float32``, ``bf16`` (autocast), or ``auto``: bf16 on a GPU. compile: True, False or ``auto``: on a GPU.
    checkpoint_every, log_every: steps. keep_state: keep the last checkpoint, so that more steps can continue from it.
    tensorboard: also write TensorBoard's event files.
    minutes: wall-clock budget of one job, None for no limit.
    state_folder: folder for what the training resumes from, None for the folder of the outputs (``longer.state_of``).
    memory_mb: memory for latents; a store that does not fit is shuffled within windows of half of it.
    """

    steps: int
    snapshots: tuple = ()
    batch_size: int = 512
    lr: float = 1e-4
    betas: tuple = (0.9, 0.999)
    weight_decay: float = 0.0
    max_grad_norm: float | None = 1.0
    ema: float = 0.9999
    time: str = "uniform"
    class_drop: float = 0.1
    target: str = "cfm"
    cosine_loss: bool = False
    precision: str = "auto"
    compile: bool | str = "auto"
    accumulate: int = 1
    activation_checkpointing: bool = False
    checkpoint_every: int = 1000
    keep_state: bool = False
    log_every: int = 10
    tensorboard: bool = False
    minutes: float | None = None
    state_folder: str | None = None
    memory_mb: int = 8192

    def __post_init__(self):
        object.__setattr__(self, "betas", tuple(self.betas))
        object.__setattr__(self, "snapshots", tuple(sorted({*self.snapshots, self.steps})))
        for name in ("steps", "batch_size", "accumulate", "checkpoint_every", "log_every", "memory_mb"):
            _expect(self, name, lambda value: isinstance(value, int) and value >= 1, "a whole number, at least 1")
        _expect(self, "snapshots", lambda steps: steps[0] >= 1 and steps[-1] == self.steps, "steps of this training")
        _expect(self, "lr", lambda value: value > 0, "a number above 0")
        _expect(self, "betas", lambda pair: len(pair) == 2 and all(0 <= beta < 1 for beta in pair), "two in [0, 1)")
        _expect(self, "weight_decay", lambda value: value >= 0, "a number, 0 or more")
        _expect(self, "max_grad_norm", lambda value: value is None or value > 0, "a number above 0, or null")
        _expect(self, "ema", lambda value: 0 <= value < 1, "a decay in [0, 1)")
        _expect(self, "class_drop", lambda value: 0 <= value < 1, "a probability in [0, 1)")
        _expect(self, "minutes", lambda value: value is None or value > 0, "a number above 0, or null")
        _expect(self, "state_folder", lambda value: value is None or isinstance(value, str), "a folder, or null")
        for name, allowed in (
            ("time", ("uniform", "lognormal")),
            ("target", ("cfm", "oracle")),
            ("precision", ("auto", "float32", "bf16")),
            ("compile", ("auto", True, False)),
            ("cosine_loss", (True, False)),
            ("activation_checkpointing", (True, False)),
            ("keep_state", (True, False)),
            ("tensorboard", (True, False)),
        ):
            _expect(self, name, lambda value, allowed=allowed: value in allowed, " or ".join(map(str, allowed)))
        _expect(
            self,
            "batch_size",
            lambda value: value % self.accumulate == 0,
            f"a multiple of accumulate {self.accumulate}",
        )

    @classmethod
    def parse(cls, settings):
        """A Recipe from a plain dict, which may name a ``preset`` (``paper``, ``lightningdit``) to start from.

        Raises ValueError for an unknown key or preset, with the closest name, and for a value out of range.
        """
        settings = dict(settings)
        preset = settings.pop("preset", "paper")
        if preset not in PRESETS:
            raise ValueError(f"recipe: preset is {preset!r}; expected {' or '.join(PRESETS)}")
        known = [field.name for field in dataclasses.fields(cls)]
        for name in settings:
            if name not in known:
                hint = did_you_mean(name, known) or f"; expected one of {', '.join(known)}"
                raise ValueError(f"recipe: there is no {name!r}{hint}")
        if "steps" not in settings:
            raise ValueError("recipe: steps is missing; expected the number of optimiser steps")
        return cls(**{**PRESETS[preset], **settings})

    def resolved(self, device):
        """The recipe with ``auto`` decided for a device type: bf16 and compilation on ``cuda``, neither on ``cpu``."""
        gpu = device == "cuda"
        precision = ("bf16" if gpu else "float32") if self.precision == "auto" else self.precision
        return dataclasses.replace(self, precision=precision, compile=gpu if self.compile == "auto" else self.compile)

    def remark(self):
        """A sentence on what is unusual about the recipe, although it can be trained; or None.

        After 1 / (1 - ema) steps, the span of the moving average, the random start still has 1/e of its weight.
        """
        span = 1 / (1 - self.ema)
        if span <= self.steps * (1 + 1e-9):
            return None
        return (
            f"ema is {self.ema:g}: the average of the weights spans {span:,.0f} steps, more than the {self.steps:,} "
            f"of the training, and {self.ema**self.steps:.0%} of it is still the random start; expected an ema of at "
            f"most {1 - 1 / self.steps:.4g}, or more steps"
        )

    def numbers(self):
        """The settings that determine the weights, JSON-able: all except the operational ones."""
        settings = dataclasses.asdict(self)
        return {name: _plain(value) for name, value in settings.items() if name not in OPERATIONAL}


def _expect(recipe, name, holds, expected):
    value = getattr(recipe, name)
    try:
        good = holds(value)
    except TypeError:  # text where a number belongs, and the like
        good = False
    if not good:
        raise ValueError(f"recipe: {name} is {value!r}; expected {expected}")


def _plain(value):
    return list(value) if isinstance(value, tuple) else value
