"""The plans of each table and figure: ``plans_for(name, settings)``.

Torch-free: the workflow calls it while it is parsed. Plan names begin with the experiment's name and are safe as file
names. Times may be "split", the stage split measured from the data, which ``Plan.resolve`` replaces when it is known.
"""

import inspect
import itertools

from twostage.sampling.plan import CLOSED_FORM, GAUSSIAN, ORACLE, SPLIT, Plan

MEASURED = "measured"
COMMON = ("steps", "solver", "samples")

# Defaults are the paper's: Tab. 1 (splits fixed at .1 and .2 there), Tab. 2, Tab. 3, Fig. 5, Fig. 6 and Fig. 8.
SHIFTS = (4, 2, 1, 0.7, 0.5, 0.3, 0.1)
GUIDANCE = 2.0
SHORT_INTERVALS = tuple((k / 10, (k + 1) / 10) for k in range(10))
WIDE_INTERVALS = tuple((low, high) for low in (0, 0.1, 0.2) for high in (0.4, 0.6, 0.8, 1))
SWITCH_TIMES = (0, 0.05, 0.1, 0.15, 0.2, 0.4, 0.6, 0.8, 1)
LATE = 0.75  # the time at which late refinement begins when two models share three parts
RESUME_TIMES = (0.1, 0.2, 0.4, 0.8)
# (alpha, beta) in the form of arXiv:2605.14819, whose own values are not in its abstract.
GAINS = ((0.1, 1), (0.2, 1), (0.4, 1), (0.8, 1), (0.2, 0), (-0.1, 1))
JUMP_TIMES = (0, "split", 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
SHOWN_TIMES = (0, 0.05, 0.1, 0.15, 0.2, 0.4, 0.6, 0.8, 1)


def plans_for(name, settings, *, steps=Plan.steps, solver=Plan.solver, guidance=None, models=None, source=MEASURED):
    """The plans of experiment ``name``: {plan name: plan dict}, in the order in which they are shown.

    settings: the experiment's settings (a dict, see the functions below; a missing key has the paper's value).
    steps, solver: of every plan, unless ``settings`` has its own (it may also have ``samples``). Its key ``spaces``
        only says where the experiment runs, and is ignored.
    guidance: {"guidance": g, "interval": [lo, hi], "channels": ...} for every model part; None is without.
    models: names that the plans' fields may have besides "oracle"; None leaves them unchecked.
    source: where the stage split comes from, "measured" or "fixed"; Tab. 1's plans are called by it.
    Raises ValueError for an unknown experiment or setting, and for a plan that cannot be run.
    """
    if name not in EXPERIMENTS:
        raise ValueError(f"there is no experiment {name!r}; expected one of {', '.join(EXPERIMENTS)}")
    settings = {"steps": steps, "solver": solver, **settings}
    common = {key: settings.pop(key) for key in COMMON if settings.get(key) is not None}
    settings = {key: value for key, value in settings.items() if key not in (*COMMON, "spaces")}
    _check_settings(name, settings)
    named = {"source": source} if name == "tab1" else {}
    plans = EXPERIMENTS[name](common, {**(guidance or {})}, **settings, **named)
    return {plan: Plan.from_dict(plan, content).validate(models).to_dict() for plan, content in plans.items()}


def stage_swap(common, guided, *, models, splits=(MEASURED,), stage_steps="proportional", source=MEASURED):
    """Tab. 1: one model up to the split, another after it, in every order of ``models`` (the largest first).

    In the paper's order: the first stage changes before the second.

    splits: "measured", which stands for the stage split, or times; source: where the stage split comes from, "measured"
    or "fixed", for the plans' names. stage_steps: "proportional" gives each stage its share of the uniform grid (at
    least one step), "equal" half each, [n1, n2] those; each stage is uniform and the total is fixed. (The paper does
    not say; its XL before and after gives two distances for two splits, which "proportional" cannot.)
    """
    if stage_steps not in ("proportional", "equal") and sum(stage_steps) != common["steps"]:
        raise ValueError(f"stage_steps are {list(stage_steps)}; expected two numbers that add up to {common['steps']}")
    if stage_steps == "equal":
        stage_steps = [common["steps"] // 2, common["steps"] - common["steps"] // 2]
    first, second = (None, None) if stage_steps == "proportional" else stage_steps
    return {
        f"tab1-{source if split == MEASURED else _word(split)}-{one}-{two}": {
            **common,
            "parts": [
                {"field": one, "stop": "split" if split == MEASURED else split, "steps": first, **guided},
                {"field": two, "steps": second, **guided},
            ],
        }
        for split in splits
        for two in models
        for one in models
    }


def capacity(common, guided, *, large, small, late=LATE):
    """The eight assignments of two models to navigation, early and late refinement: where is capacity needed?

    Navigation is [0, split], late refinement [late, 1]; each plan's ``kind`` says which model has which part, such as
    "large-small-large". The first plan is the large model throughout.
    """
    models = {"large": large, "small": small}
    plans = {}
    for kinds in itertools.product(models, repeat=3):
        parts = [{"field": models[kind], **guided} for kind in kinds]
        for part, stop in zip(parts, ("split", late)):
            part["stop"] = stop
        name = "-".join(models[kind] for kind in kinds)
        plans[f"tab_capacity-{name}"] = {**common, "kind": "-".join(kinds), "parts": parts}
    return plans


def halves(common, guided, *, models, snapshot=None):
    """Who does which half: every navigator up to the split, every refiner after it; ``kind`` is "navigator > refiner".

    Navigators are the Gaussian, by its exact flow, the models, the first model as it was at training step ``snapshot``
    (None: without it), and the oracle; refiners the models and the oracle. A refiner's plans stand together.
    """
    early = [] if snapshot is None else [f"{models[0]}@{snapshot}"]
    guidance = lambda field: {} if field in CLOSED_FORM else guided  # noqa: E731
    plans = {}
    for after in (*models, ORACLE):
        for before in (GAUSSIAN, *models, *early, ORACLE):
            plan = {**common, "kind": f"{before} > {after}", "parts": [{"field": after, **guidance(after)}]}
            if before == GAUSSIAN:
                plan["start"] = {GAUSSIAN: SPLIT}
            else:
                plan["parts"].insert(0, {"field": before, "stop": SPLIT, **guidance(before)})
            plans[f"tab_halves-{before.replace('@', '-')}-{after}"] = plan
    return plans


def timestep_shift(common, guided, *, model, shifts=SHIFTS):
    """Tab. 2: timestep shifts of one model's grid."""
    return {
        f"tab2-shift_{_word(shift)}": {**common, "parts": [{"field": model, "shift": shift, **guided}]}
        for shift in shifts
    }


def guidance_interval(
    common,
    guided,
    *,
    model,
    guidance=GUIDANCE,
    short=SHORT_INTERVALS,
    wide=WIDE_INTERVALS,
    channels="all",
    from_data=(),
    beside=(),
):
    """Tab. 3: guidance of scale ``guidance`` on one interval at a time, and none; each plan's ``kind`` is its list.

    from_data: names of windows of the data (``twostage.windows``), plans of kind "data". beside: {model, guidance} of
    further models and scales, None for the experiment's own, on these, on all of [0, 1] and without: kind "beside".
    Raises ValueError for an interval, or a model and scale, that stands twice.
    """
    plans = {"tab3-none": {**common, "kind": "none", "parts": [{"field": model}]}}
    for kind, intervals in (("short", short), ("wide", wide)):
        for low, high in intervals:
            name = f"tab3-{_word(low)}-{_word(high)}"
            if name in plans:
                raise ValueError(f"tab3: the interval [{low}, {high}] stands twice; expected it once, short or wide")
            part = {"field": model, "guidance": guidance, "interval": [low, high], "channels": channels}
            plans[name] = {**common, "kind": kind, "parts": [part]}
    for window in from_data:
        part = {"field": model, "guidance": guidance, "interval": window, "channels": channels}
        plans[f"tab3-{window}"] = {**common, "kind": "data", "parts": [part]}
    known = {(model, guidance)}
    for setting in beside:
        other, scale = setting.get("model") or model, setting.get("guidance") or guidance
        if (other, scale) in known:
            raise ValueError(f"tab3: model {other} with scale {scale:g} stands twice; expected it once, beside or not")
        known.add((other, scale))
        if other != model:
            plans[f"tab3-{other}-none"] = {**common, "kind": "beside", "parts": [{"field": other}]}
        for interval in ([0, 1], *from_data):
            word = interval if isinstance(interval, str) else "-".join(map(_word, interval))
            part = {"field": other, "guidance": scale, "interval": interval, "channels": channels}
            plans[f"tab3-{other}-{_word(scale)}-{word}"] = {**common, "kind": "beside", "parts": [part]}
    return plans


def velocity_gain(common, guided, *, model, gains=GAINS):
    """One model with a gain 1 + alpha (1 - t)^beta at a time, [alpha, beta], and without (``velocity.Gained``).

    Raises ValueError for a gain that stands twice.
    """
    plans = {"tab_gain-none": {**common, "kind": "none", "parts": [{"field": model, **guided}]}}
    for alpha, beta in gains:
        name = f"tab_gain-{_word(alpha)}-{_word(beta)}"
        if name in plans:
            raise ValueError(f"tab_gain: the gain [{alpha}, {beta}] stands twice; expected it once")
        part = {"field": model, "gain": {"alpha": alpha, "beta": beta}, **guided}
        plans[name] = {**common, "kind": "gain", "parts": [part]}
    return plans


def predictions(common, guided, *, models):
    """Figs. 4 and 8: whole trajectories from the prior, of each model and of the oracle."""
    fields = [*models, "oracle"]
    return {
        f"fig8-{field}": {**common, "parts": [{"field": field, **(guided if field != "oracle" else {})}]}
        for field in fields
    }


def mixed_sampling(common, guided, *, model, times=SWITCH_TIMES, oracle_samples=None):
    """Fig. 5: the oracle up to each switch time, the model after it; 0 is the model alone, 1 the oracle alone.

    oracle_samples: samples of the oracle alone; they are cheap, and it takes many to tell 99% from less. The steps
    are raised until every switch time lies on the uniform grid (50 become 60 for the paper's times): the oracle then
    takes the same steps in every plan, and leads a sample to the same training image.
    """
    common = {**common, "steps": _steps_with(times, common["steps"])}
    plans = {}
    for time in times:
        parts = [{"field": "oracle", "stop": time}] if time != 0 else []
        parts += [{"field": model, **guided}] if time != 1 else []
        more = {"samples": oracle_samples} if time == 1 and oracle_samples else {}
        plans[f"fig5-{_word(time)}"] = {**common, **more, "follow": True, "parts": parts}
    return plans


def resumed_sampling(common, guided, *, model, times=RESUME_TIMES, split="held_out"):
    """Fig. 6: the model from x_t of images it has not seen (or, with split="train", has)."""
    prefix = "fig6" if split == "held_out" else f"fig6_{split}"
    return {
        f"{prefix}-{_word(time)}": {
            **common,
            "start": {"resume": time, "split": split},
            "parts": [{"field": model, **guided}],
        }
        for time in times
    }


def jumps(common, guided, *, model, times=JUMP_TIMES):
    """``fig_jump``: the model from where the Gaussian's exact flow takes the noise by each time; 0: the model alone.

    Each takes the steps of the uniform grid after its time, at least one, so that those before it are saved. Beside it,
    the model from the prior in as many uniform steps, except for "split": how many it leaves is known with the split.
    The model alone is there whatever ``times`` are: all others are compared with it.
    """
    common = {**common, "parts": [{"field": model, **guided}]}
    plans = {"fig_jump-0": {**common, "kind": "model"}}
    for time in (time for time in times if time != 0):
        plans[f"fig_jump-{_word(time)}"] = {**common, "kind": "jump", "start": {"gaussian": time}}
    for name, jump in list(plans.items())[1:]:
        if jump["start"]["gaussian"] != SPLIT:
            steps = sum(part.steps for part in Plan.from_dict(name, jump).resolve().parts)
            plans[f"fig_jump-steps_{steps}"] = {**common, "kind": "uniform", "steps": steps}
    return plans


def more_samples(common, guided, *, models):
    """App. G: samples of each model."""
    return {f"fig_samples-{model}": {**common, "parts": [{"field": model, **guided}]} for model in models}


def own_plans(common, guided, *, plans):
    """Plans of the user's own, {name: plan dict} (``twostage.sampling.plan``); what one leaves out is as elsewhere."""
    return {f"tab_plans-{name}": {**common, **content} for name, content in plans.items()}


def convergence(common, guided, *, models, snapshots):
    """App. B: samples of each model at each training step of ``snapshots``; a field ``model@step`` is that snapshot."""
    return {
        f"fig_oracle_supervised-{model}-{step}": {**common, "parts": [{"field": f"{model}@{step}", **guided}]}
        for model in models
        for step in snapshots
    }


def _steps_with(times, steps):
    """The least number of steps, from ``steps`` to four times that, whose grid holds the times; else ``steps``."""
    fits = lambda count: all(abs(count * time - round(count * time)) < 1e-9 for time in times)  # noqa: E731
    return next((count for count in range(steps, 4 * steps + 1) if fits(count)), steps)


def _word(number):
    """A number as part of a plan's name, in the fewest digits that tell it from any other; words stay as they are."""
    if isinstance(number, str):
        return number
    short = f"{number:g}"
    return short if float(short) == number else repr(float(number))


def _check_settings(name, settings):
    """Raise ValueError for a setting that experiment ``name`` does not know, or one that it needs and lacks."""
    known = {
        key: parameter
        for key, parameter in inspect.signature(EXPERIMENTS[name]).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    for key in settings:
        if key not in known:
            raise ValueError(f"experiment {name}: unknown setting {key!r}; expected one of {', '.join(known)}")
    for key, parameter in known.items():
        if parameter.default is inspect.Parameter.empty and key not in settings:
            raise ValueError(f"experiment {name}: setting {key!r} is missing")


EXPERIMENTS = {
    "tab1": stage_swap,
    "tab2": timestep_shift,
    "tab3": guidance_interval,
    "tab_gain": velocity_gain,
    "tab_capacity": capacity,
    "tab_halves": halves,
    "fig8": predictions,
    "fig5": mixed_sampling,
    "fig6": resumed_sampling,
    "tab_plans": own_plans,
    "fig_samples": more_samples,
    "fig_jump": jumps,
    "fig_oracle_supervised": convergence,
}
