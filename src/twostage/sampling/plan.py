"""Sampling plans: which velocity field acts on which part of [0, 1], with how many steps, shift and guidance.

Every row of Tabs. 1-3 and every column of Figs. 5, 6 and 8 is one plan. A plan is a plain dict in the configuration
and in the attributes of the samples; ``Plan`` is its checked form. Nothing here imports torch: the workflow reads
plans while it is parsed.
"""

import itertools
import json
import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, TypeAlias

from twostage.spelling import did_you_mean
from twostage.windows import WINDOWS

SPLIT = "split"
ORACLE = "oracle"
GAUSSIAN = "gaussian"
CLOSED_FORM = (ORACLE, GAUSSIAN)  # fields that need no weights
SOLVERS = ("euler", "heun")
TIME_TOLERANCE = 1e-9
GAIN = ("alpha", "beta")

# What a plan says before ``Plan.resolve`` has put numbers in its place.
Moment: TypeAlias = Any  # a time in [0, 1], or "split"
Steps: TypeAlias = Any  # a whole number, or None for a share of the plan's
Interval: TypeAlias = Any  # (lo, hi), or a name of ``WINDOWS``
Start: TypeAlias = Any  # "prior", {"resume": a time or "split", "split": "train" | "held_out"}, {"gaussian": a time}


@dataclass(frozen=True)
class Part:
    """One part of a plan: ``field`` acts from where the part before it ended up to ``stop``.

    field: a model's name, "oracle" (the class-conditional oracle), or "gaussian" (of Gaussians with the classes' means
        and covariances, ``twostage.oracle.gaussian``).
    start, stop: times in [0, 1], or "split", the measured split; without ``start`` the part begins where the one
        before it ended.
    steps: solver steps of this part, uniform in it; None takes the part's share of the plan's ``steps``.
    shift: timestep shift of the part's grid (``twostage.flow.time_grid``).
    guidance: classifier-free guidance scale g, ``v = v_dropped + g (v_class - v_dropped)``; 1 is without guidance.
    interval: guidance acts at times lo <= t < hi; ends are times or "split"; or a window that the data name,
        "transition" or "class".
    channels: "all", or k: guidance acts on the first k channels only (3 is what LightningDiT's own sampler does).
    gain: (alpha, beta) multiplies the velocity by 1 + alpha (1 - t)^beta, guidance included; None leaves it. In the
        dict form {"alpha": ..., "beta": ...}.

    >>> Part("B", guidance=2.0, interval=("split", 1.0)).stop
    1.0
    """

    field: str
    stop: Moment = 1.0
    steps: Steps = None
    shift: float = 1.0
    guidance: float = 1.0
    interval: Interval = (0.0, 1.0)
    channels: int | Literal["all"] = "all"
    start: Moment | None = None
    gain: tuple[float, float] | None = None


@dataclass(frozen=True)
class Plan:
    """A plan by name.

    start: "prior"; {"resume": t, "split": "train" | "held_out"}: x_t of an image of that split, with the sample's own
        noise; or {"gaussian": t}: where the exact flow of the class's Gaussian takes the noise by time t, without an
        evaluation.
    solver: "euler" or "heun".
    steps: steps of the uniform grid over all of [0, 1]; parts without ``steps`` of their own share them by length.
    samples: images per seed, where it is not what the run asks for.
    follow: record the training image in which the oracle, kept on to t = 1 from the end of the oracle's part (from
        the prior where there is none), ends: the image whose trajectory the sample follows or leaves.
    kind: what kind of row the plan is in its table ("short" or "wide" in Tab. 3); for the record.

    >>> plan = Plan.from_dict("oracle, then B", {"parts": [{"field": "oracle", "stop": "split"}, {"field": "B"}]})
    >>> plan = plan.resolve(split=0.4)
    >>> [(part.field, part.start, part.stop, part.steps) for part in plan.parts]
    [('oracle', 0.0, 0.4, 20), ('B', 0.4, 1.0, 30)]
    >>> plan.nfe
    50
    """

    name: str
    parts: tuple[Part, ...]
    start: Start = "prior"
    solver: str = "euler"
    steps: int = 50
    samples: int | None = None
    follow: bool = False
    kind: str = ""

    @classmethod
    def from_dict(cls, name: str, content: Mapping[str, Any]) -> "Plan":
        """The plan ``name`` from its dict form. Raises ValueError for unknown keys, naming the closest valid one."""
        content = dict(content)
        _known_keys(name, content, [key for key in _names(cls) if key != "name"])
        parts = content.pop("parts", None)
        if not parts:
            raise ValueError(f"plan {name}: it has no parts; expected a list of at least one {{field: ..., stop: ...}}")
        made = []
        if not isinstance(parts, list | tuple):
            raise ValueError(f"plan {name}: parts is {parts!r}; expected a list of {{field: ..., stop: ...}}")
        for number, part in enumerate(parts, 1):
            if not isinstance(part, dict):
                raise ValueError(f"plan {name}, part {number}: it is {part!r}; expected {{field: ..., stop: ...}}")
            _known_keys(f"{name}, part {number}", part, _names(Part))
            interval = part.get("interval", (0.0, 1.0))
            if not isinstance(interval, list | tuple) and interval not in WINDOWS:
                raise ValueError(
                    f"plan {name}, part {number}: interval is {interval!r}; expected [lo, hi], or one of "
                    f"{', '.join(WINDOWS)}{did_you_mean(interval, WINDOWS)}"
                )
            if "field" not in part:
                raise ValueError(
                    f"plan {name}, part {number}: field is missing; expected a model's name, {ORACLE!r} or {GAUSSIAN!r}"
                )
            interval = interval if interval in WINDOWS else tuple(interval)
            made.append(Part(**{**part, "interval": interval, "gain": _gain_of(name, number, part)}))
        return cls(name, tuple(made), **content)

    def to_dict(self) -> dict[str, Any]:
        """The dict form (JSON-able, without the name and without what has its default)."""
        parts = [
            {key: _as_written(key, value) for key, value in _without_defaults(part).items()} for part in self.parts
        ]
        rest = _without_defaults(self)
        return {**{key: value for key, value in rest.items() if key not in ("name", "parts")}, "parts": parts}

    @property
    def names_split(self) -> bool:
        """Whether a time of the plan is "split"."""
        ends = [end for part in self.parts if part.interval not in WINDOWS for end in part.interval]
        return SPLIT in [self.begins, *ends, *(time for part in self.parts for time in (part.stop, part.start))]

    @property
    def names_windows(self) -> tuple[str, ...]:
        """The windows of the data that intervals of the plan name, each once."""
        return tuple(dict.fromkeys(part.interval for part in self.parts if part.interval in WINDOWS))

    @property
    def begins(self) -> Moment:
        """Time at which the plan starts: 0 from the prior, else that of its start (a number or "split")."""
        return 0.0 if self.start == "prior" else self.start[_time_of(self.start)]

    @property
    def resumes(self) -> bool:
        """Whether the plan starts from images."""
        return self.start != "prior" and "resume" in self.start

    def validate(self, models: Collection[str] | None = None) -> "Plan":
        """Raise ValueError for a plan that cannot be run, with its name, the part, the value and what was expected.

        models: known model names; None leaves the names unchecked. Times that are still "split" are checked once
        ``resolve`` has replaced them. Returns self.
        """
        _check_start(self)
        if self.solver not in SOLVERS:
            raise ValueError(
                f"plan {self.name}: solver is {self.solver!r}; expected one of {', '.join(SOLVERS)}"
                f"{did_you_mean(self.solver, SOLVERS)}"
            )
        _check_count(f"plan {self.name}: steps", self.steps)
        if self.samples is not None:
            _check_count(f"plan {self.name}: samples", self.samples)
        count = len(self.parts)
        if any(part.steps is None for part in self.parts) and self.steps < count:
            raise ValueError(f"plan {self.name}: steps is {self.steps} for {count} parts; expected at least one each")
        position = self.begins
        for number, part in enumerate(self.parts, 1):
            where = f"plan {self.name}, part {number} ({part.field})"
            _check_part(where, part, models)
            position = _check_position(where, part, position)
        if position != SPLIT and abs(position - 1) > TIME_TOLERANCE:
            raise ValueError(
                f"plan {self.name}: the last part stops at {position:g}; expected 1 "
                f"(the parts leave a gap from {position:g} to 1)"
            )
        return self

    def resolve(self, split: float | None = None, windows: Mapping[str, tuple[float, float]] | None = None) -> "Plan":
        """The plan, validated, in which the number ``split`` stands for every "split" and every part has its steps.

        windows: {name: (lo, hi)} of those that the plan names. Either may be None where the plan does not mention it.
        Raises ValueError as ``validate`` does, for a split that is missing or outside (0, 1), and for a missing window.
        """
        self.validate()
        windows = windows or {}
        for name in self.names_windows:
            if name not in windows:
                known = ", ".join(windows) or "none"
                raise ValueError(f"plan {self.name}: interval is {name!r}; expected a window that is known: {known} is")
        if self.names_split and (split is None or not 0 < split < 1):
            raise ValueError(f"plan {self.name}: the split is {split}; expected a number inside (0, 1)")
        number = lambda time: split if time == SPLIT else time  # noqa: E731
        position = number(self.begins)
        start = self.start if self.start == "prior" else {**self.start, _time_of(self.start): position}
        parts = []
        for part in self.parts:
            part = replace(
                part,
                start=position if part.start is None else number(part.start),
                stop=number(part.stop),
                interval=tuple(map(number, windows.get(part.interval, part.interval))),
            )
            parts.append(part)
            position = part.stop
        plan = replace(self, start=start, parts=tuple(parts)).validate()
        shares = _share_steps(plan)
        return replace(
            plan, parts=tuple(replace(part, steps=part.steps or share) for part, share in zip(plan.parts, shares))
        )

    @property
    def nfe(self) -> int:
        """Evaluations of the velocity field per trajectory, for a resolved plan (a guided evaluation counts once).

        Euler takes one per step; Heun two, but one for a step that ends at t = 1.
        """
        steps = sum(part.steps for part in self.parts)
        return steps if self.solver == "euler" else 2 * steps - 1

    @property
    def oracle_stop(self) -> float:
        """Time at which a resolved plan's leading oracle parts end (where it begins when there are none)."""
        stop = self.begins
        for part in self.parts:
            if part.field != ORACLE:
                break
            stop = part.stop
        return stop


def snapshot_of(field: str) -> tuple[str, str]:
    """(model, step) that a part's ``field`` names: ``model@step`` is a snapshot; of ``model`` the step is ""."""
    model, _, step = field.partition("@")
    return model, step


def prefixes(plan: Plan) -> list[Hashable]:
    """A key for each leading run of a resolved plan's parts: plans with equal keys are in equal states after them."""
    prefix: tuple[Hashable, ...] = (json.dumps([plan.start, plan.solver]),)
    found: list[Hashable] = []
    for part in plan.parts:
        prefix = (*prefix, part)
        found.append(prefix)
    return found


def step_starts(plan: Plan) -> list[float]:
    """Start times of all steps of a resolved plan, in order (list of floats). Shares of steps are counted on these."""
    starts = []
    for part in plan.parts:
        for step in range(part.steps):
            uniform = step / part.steps
            shifted = part.shift * uniform / (1 + (part.shift - 1) * uniform)
            starts.append(part.start + (part.stop - part.start) * shifted)
    return starts


def share_before(times: Sequence[float], limit: float) -> float:
    """Share of ``times`` that are at most ``limit`` (Tab. 2's column counts the 50 step starts with t' <= 0.2)."""
    return sum(time <= limit + TIME_TOLERANCE for time in times) / len(times)


def _names(kind):
    return [field.name for field in fields(kind)]


def _as_written(key, value):
    """The value of a part's key in the dict form, which has no tuples."""
    if key == "gain":
        return dict(zip(GAIN, value))
    return list(value) if isinstance(value, tuple) else value


def _without_defaults(record):
    defaults = {field.name: field.default for field in fields(record)}
    return {
        key: value
        for key, value in asdict(record).items()
        if key in ("field", "stop", "parts") or value != defaults[key]
    }


def _known_keys(where, content, names):
    for key in content:
        if key not in names:
            raise ValueError(
                f"plan {where}: unknown key {key!r}; expected {', '.join(names)}{did_you_mean(key, names)}"
            )


def _gain_of(plan, number, part):
    """A part's gain as a tuple (alpha, beta), None without one."""
    gain = part.get("gain")
    if gain is None:
        return None
    if not isinstance(gain, Mapping) or set(gain) != set(GAIN):
        raise ValueError(f"plan {plan}, part {number}: gain is {gain!r}; expected {{alpha: ..., beta: ...}}, both")
    return tuple(gain[key] for key in GAIN)


def _check_count(what, value):
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{what} is {value!r}; expected a whole number of at least 1")


def _is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_time(what, value):
    if value == SPLIT:
        return
    if not _is_number(value) or not 0 <= value <= 1:
        raise ValueError(f"{what} is {value!r}; expected a time in [0, 1] or {SPLIT!r}")


def _check_start(plan):
    if plan.start == "prior":
        return
    expected = 'expected "prior", {"resume": t, "split": "train" | "held_out"} or {"gaussian": t}'
    if not isinstance(plan.start, dict) or set(plan.start) not in ({"resume", "split"}, {GAUSSIAN}):
        keys = plan.start if isinstance(plan.start, dict) else [plan.start]
        unknown = next((key for key in keys if key not in ("prior", "resume", "split", GAUSSIAN)), None)
        nearest = did_you_mean(unknown, ("prior", "resume", "split", GAUSSIAN))
        raise ValueError(f"plan {plan.name}: start is {plan.start!r}; {expected}{nearest}")
    if plan.start.get("split", "train") not in ("train", "held_out"):
        raise ValueError(f"plan {plan.name}: start's split is {plan.start['split']!r}; {expected}")
    key = _time_of(plan.start)
    _check_time(f"plan {plan.name}: start's {key}", plan.start[key])
    if plan.start[key] == 1:
        what = "the image itself" if plan.resumes else "where nothing is left to sample"
        raise ValueError(f"plan {plan.name}: start's {key} is 1, {what}; expected a time below 1")


def _time_of(start):
    """The key of a start's time."""
    return GAUSSIAN if GAUSSIAN in start else "resume"


def _check_part(where, part, models):
    known = None if models is None else [*models, *CLOSED_FORM]
    if not isinstance(part.field, str) or (known is not None and part.field not in known):
        raise ValueError(
            f"{where}: field is {part.field!r}; expected one of {', '.join(known or ['a model', *CLOSED_FORM])}"
            f"{did_you_mean(part.field, known or [])}"
        )
    _check_time(f"{where}: stop", part.stop)
    if part.start is not None:
        _check_time(f"{where}: start", part.start)
    if part.steps is not None:
        _check_count(f"{where}: steps", part.steps)
    if not _is_number(part.shift) or not part.shift > 0:
        raise ValueError(f"{where}: shift is {part.shift!r}; expected a number above 0")
    if part.interval not in WINDOWS:
        _check_interval(where, part.interval)
    if part.channels != "all":
        _check_count(f"{where}: channels", part.channels)
    _check_gain(where, part.gain)
    if not _is_number(part.guidance):
        raise ValueError(f"{where}: guidance is {part.guidance!r}; expected a number, 1 for none")
    if part.field in CLOSED_FORM and part.guidance != 1:
        raise ValueError(f"{where}: guidance is {part.guidance}; expected 1, the {part.field} takes no guidance")


def _check_interval(where, interval):
    if len(interval) != 2:
        raise ValueError(f"{where}: interval is {list(interval)}; expected two times [lo, hi]")
    for end in interval:
        _check_time(f"{where}: interval {list(interval)} has an end that", end)
    low, high = interval
    if SPLIT not in interval and not low < high:
        raise ValueError(f"{where}: interval is {list(interval)}; expected lo < hi, inside [0, 1]")


def _check_gain(where, gain):
    if gain is None:
        return
    alpha, beta = gain
    if not _is_number(alpha) or not alpha > -1:
        raise ValueError(
            f"{where}: gain's alpha is {alpha!r}; expected a number above -1, where the velocity would end"
        )
    if not _is_number(beta) or not beta >= 0:
        raise ValueError(f"{where}: gain's beta is {beta!r}; expected a number of at least 0")


def _check_position(where, part, position):
    """Compare a part's ends with where the part before it stopped; returns where this one stops."""
    start = position if part.start is None else part.start
    if SPLIT not in (start, position):
        if start < position - TIME_TOLERANCE:
            raise ValueError(
                f"{where}: starts at {start:g} while the part before it stops at {position:g}; "
                "expected the same time (the parts overlap)"
            )
        if start > position + TIME_TOLERANCE:
            raise ValueError(
                f"{where}: starts at {start:g} while the part before it stops at {position:g}; "
                "expected the same time (the parts leave a gap)"
            )
    if SPLIT not in (start, part.stop) and not part.stop > start:
        raise ValueError(
            f"{where}: stops at {part.stop:g} but starts at {start:g}; expected a later stop (the parts overlap)"
        )
    return part.stop


def _share_steps(plan):
    """Steps of each part on the plan's uniform grid over [0, 1]: the nearest whole number, at least one."""
    count = len(plan.parts)
    nearest = lambda time: math.floor(plan.steps * time + 0.5)  # noqa: E731
    edges = [nearest(plan.parts[0].start)]
    for left, part in zip(range(count - 1, -1, -1), plan.parts):
        edges.append(max(min(nearest(part.stop), plan.steps - left), edges[-1] + 1))
    return [stop - start for start, stop in itertools.pairwise(edges)]
