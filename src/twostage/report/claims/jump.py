"""Navigation without a network: what a jump by a Gaussian's exact flow costs, saves and keeps (``fig_jump``)."""

import math

from twostage.report.claims.claim import (
    HOLDS,
    NAVIGATION,
    NOT_TESTED,
    PROJECT,
    SEEDS,
    UNDECIDED,
    Claim,
    Finding,
    above,
    below,
    case_of,
    deciding,
    within,
)
from twostage.report.results import curves
from twostage.report.results.contrast import Distances
from twostage.report.results.jump import JUMP, MODEL, UNIFORM, of_case, plans_of

TELEPORTATION = "2412.09726"  # Wang and Vastola
SKIPPED = (0.15, 0.3)  # shares of the steps that it skips
MARGIN = 0.02  # of the model's own distance: what a jump may cost
NEAR = 0.05  # of t: how far from a time the jump may go that stands for it
SAME_TIME = 0.1  # of t: how near to a time the distance turns at it
LOST = 0.05  # share of recall, of coverage, and of the distance to training images that a jump may lose
TRAIN = "train"  # paths of training images
ALIKE = 0.5  # of the distance between samples of two noises, up to which two are nearly the same image


class _Case:
    """The plans of one space and kind of features, their distances, and the jump that goes to the law's split."""

    def __init__(self, space, features, rows):
        self.name, self.rows = case_of(space, features), rows
        self.distances = Distances.of(rows, rows["plan"])
        self.jumps, self.law = plans_of(rows, JUMP), rows["law"].iloc[0]
        self.model = plans_of(rows, MODEL)["plan"].iloc[0]
        away = (self.jumps["t"] - self.law).abs()
        near = self.jumps[away <= NEAR]
        self.at_law = near.loc[away[near.index].idxmin(), "plan"] if len(near) else None

    def time_of(self, plan):
        return self.jumps.set_index("plan")["t"][plan]

    def measured(self, plan, name):
        """A plan's mean distance ``name`` to images over its seeds, with its interval."""
        rows = self.rows[self.rows["plan"] == plan]
        error = math.sqrt(rows[f"{name}_sem"].pow(2).sum()) / len(rows)
        return curves.symmetric(rows[name].mean(), error)


def _cases(judge, at_law=True):
    """A check that calls ``judge(case)`` for every space and features; at_law: where a jump goes to the law's split."""

    def check(run):
        cases = [_Case(*found) for found in of_case(run.jumps)]
        nothing = f"no jump within {NEAR} of the law's split"
        return [
            judge(case) if case.at_law or not at_law else Finding(case.name, NOT_TESTED, note=nothing) for case in cases
        ]

    return check


def _costs_nothing(case):
    excess = case.distances.contrast({case.at_law: 1, case.model: -1 - MARGIN})
    means, plan = case.distances.values.mean(), case.rows[case.rows["plan"] == case.at_law].iloc[0]
    note = (
        f"jump to t = {plan['t']:.2f}, law's split {case.law:.2f}: {means[case.at_law]:.3g} against "
        f"{means[case.model]:.3g}, with {plan['saved']:.0%} fewer evaluations"
    )
    return Finding(case.name, below(excess, 0.0), excess, note)


COSTS_NOTHING = Claim(
    section="",
    group=PROJECT,
    id="jump-to-the-split-costs-nothing",
    statement="A jump by the Gaussian's exact flow to the law's split costs no quality: samples are as good as those "
    "of the model alone.",
    paper="not stated",
    figure="fig_jump",
    quantity=f"distance after the jump minus {1 + MARGIN} times that of the model alone",
    rule=f"holds if the whole interval is at most zero; {SEEDS}",
    needs=("jump", "memorization_jump", "transition"),
    check=_cases(_costs_nothing),
    stage=NAVIGATION,
)


def _beats_uniform_steps(case):
    """Every jump up to the law's split, or within ``NEAR`` of it, against as many uniform steps."""
    uniform = plans_of(case.rows, UNIFORM).set_index("nfe")["plan"]
    early = case.jumps[case.jumps["t"] <= case.law + NEAR]
    pairs = [(row.plan, uniform[row.nfe]) for row in early.itertuples() if row.nfe in uniform.index]
    if not pairs:
        return Finding(
            case.name, NOT_TESTED, note="no jump up to the law's split with its twin of as many uniform steps"
        )
    judged = [case.distances.contrast({plan: 1, other: -1}) for plan, other in pairs]
    found, verdict = deciding([(each, below(each, 0.0)) for each in judged])
    note = ", ".join(f"t = {case.time_of(plan):.2f}: {each.value:+.3g}" for (plan, _), each in zip(pairs, judged))
    return Finding(case.name, verdict, found, note)


BEATS_UNIFORM_STEPS = Claim(
    section="",
    group=PROJECT,
    id="jump-beats-as-many-steps",
    statement="Up to the law's split, a jump is at least as good as as many uniform steps from the prior.",
    paper="not stated",
    figure="fig_jump",
    quantity="distance after the jump minus that of as many uniform steps; of several jumps, the one that decides",
    rule=f"holds if all intervals are at most zero, fails if one is above; {SEEDS}",
    needs=("jump", "memorization_jump", "transition"),
    check=_cases(_beats_uniform_steps, at_law=False),
    stage=NAVIGATION,
)


def _turn(case):
    """(time of the best plan, the earliest and the latest of those not surely worse), jumps and the model: an Estimate.

    None with fewer than three times, or where the latest jump is not surely worse: the distance has not turned by then.
    """
    times = {case.model: 0.0} | dict(zip(case.jumps["plan"], case.jumps["t"]))
    best = case.distances.values[list(times)].mean().idxmin()
    others = [plan for plan in times if plan != best]
    worse = curves.at_once(
        [case.distances.contrast({plan: 1, best: -1}) for plan in others], len(case.distances.parts) - 1
    )
    alike = [times[best], *(times[plan] for plan, each in zip(others, worse) if above(each, 0.0) != HOLDS)]
    if len(times) < 3 or max(alike) == max(times.values()):
        return None
    return curves.Estimate(times[best], min(alike), max(alike))


def _turns_at(case, predicted, words):
    """Does the distance turn at this time?"""
    found = _turn(case)
    if not math.isfinite(predicted):
        return Finding(case.name, NOT_TESTED, note=f"{words}: not known")
    if case.distances.alike([case.model, *case.jumps["plan"]]):
        return Finding(case.name, NOT_TESTED, note="the samples of all jumps are those of the model alone")
    if found is None:
        return Finding(case.name, UNDECIDED, note="the distance has not surely turned by the latest jump")
    away = curves.Estimate(*(float(time - predicted) for time in found))
    note = f"best at {found.value:.2f}, alike from {found.low:.2f} to {found.high:.2f}; {words} {predicted:.2f}"
    return Finding(case.name, within(away, -SAME_TIME, SAME_TIME), away, note)


TURN_RULE = (
    f"holds if the whole interval is within {SAME_TIME} of zero, fails if it lies beyond; interval: from the earliest "
    "to the latest jump that is not surely worse than the best, at 95% for all at once (Bonferroni), the same tenth of "
    "the samples left out of every plan; undecided where the latest jump is among them"
)


TURNS_AT_THE_SPLIT = Claim(
    section="",
    group=PROJECT,
    id="jump-turns-at-the-split",
    statement="The best jump, after which the distance rises, ends at the split that the transition law predicts.",
    paper="not stated",
    figure="fig_jump",
    quantity="time of the best jump minus the split that the transition law predicts",
    rule=TURN_RULE,
    form="time",
    needs=("jump", "memorization_jump", "transition"),
    check=_cases(lambda case: _turns_at(case, case.law, "law's split"), at_law=False),
    stage=NAVIGATION,
)


TURNS_WITH_THE_CLASS = Claim(
    section="",
    group=PROJECT,
    id="jump-turns-with-the-class",
    statement="The best jump, after which the distance rises, ends where x_t has told 95% of the class.",
    paper="not stated",
    figure="fig_jump",
    quantity="time of the best jump minus the time at which I(Y; x_t) reaches 95% of its end",
    rule=TURN_RULE,
    form="time",
    needs=("jump", "memorization_jump", "information"),
    check=_cases(lambda case: _turns_at(case, case.rows["decided"].iloc[0], "class decided"), at_law=False),
    of_classes=True,
    stage=NAVIGATION,
)


def _turns_with_the_errors(run):
    """The last snapshot of the model against the Gaussian, both against the oracle, on paths of training images."""
    findings = []
    for case in (_Case(*found) for found in of_case(run.jumps)):
        found, model = run.references.get(case.rows["space"].iloc[0]), case.rows["fields"].iloc[0]
        if found is None or found.apart(TRAIN) is None or model not in found.named():
            findings.append(Finding(case.name, NOT_TESTED, note=f"errors of {model} are not known"))
            continue
        of_model = found.errors((model, found.steps(model)[-1]), TRAIN, "oracle")
        worse = curves.first_crossing(found.t, (found.apart(TRAIN) - of_model).mean(1), 0.0)
        predicted = worse if math.isfinite(worse) else 1.0
        findings.append(_turns_at(case, predicted, "the Gaussian further from the oracle than the model from t ="))
    return findings


TURNS_WITH_THE_ERRORS = Claim(
    section="",
    group=PROJECT,
    id="jump-turns-with-the-errors",
    statement="The errors predict where the distance turns: the best jump goes to where the model comes closer to the "
    "oracle's velocity than the Gaussian is, on paths of training images.",
    paper="not stated",
    figure="fig_jump",
    quantity="time of the best jump minus the time from which on the Gaussian's error is above the model's",
    rule=TURN_RULE,
    form="time",
    needs=("jump", "memorization_jump", "references"),
    check=_turns_with_the_errors,
    stage=NAVIGATION,
)


def _keeps_diversity(case):
    """The larger loss, of recall and of coverage."""
    judged, notes = [], []
    for name in ("recall", "coverage"):
        found = case.rows.pivot(index="seed", columns="plan", values=name)[[case.model, case.at_law]].dropna()
        if found.empty:
            return Finding(case.name, NOT_TESTED, note=f"{name} was not taken")
        if not found[case.model].all():
            return Finding(case.name, NOT_TESTED, note=f"the model alone has a {name} of 0: nothing to lose")
        loss = curves.mean_of(1 - found[case.at_law] / found[case.model])
        judged.append((loss, below(loss, LOST)))
        notes.append(f"{name} {found[case.model].mean():.3f} to {found[case.at_law].mean():.3f}")
    found, verdict = deciding(judged)
    return Finding(case.name, verdict, found, ", ".join(notes))


KEEPS_DIVERSITY = Claim(
    section="",
    group=PROJECT,
    id="jump-keeps-diversity",
    statement="A jump to the law's split keeps the samples' diversity: recall and coverage.",
    paper="not stated",
    figure="fig_jump",
    quantity="share of the model's recall, or of its coverage, that is lost: of the two, the one that decides",
    rule=f"holds if both losses are at most {LOST:.0%}; interval over the sampling seeds, so one seed does not decide",
    form="share",
    needs=("jump", "memorization_jump", "transition"),
    check=_cases(_keeps_diversity),
    stage=NAVIGATION,
)


def _keeps_novelty(case):
    jumped, alone = (case.measured(plan, "nearest_distance") for plan in (case.at_law, case.model))
    control = curves.symmetric(*case.rows[["control", "control_sem"]].iloc[0])
    share = curves.ratio(jumped, control)
    note = f"{jumped.value:.3g}; the model alone {alone.value:.3g}, held-out images {control.value:.3g}"
    if not math.isfinite(control.value):
        return Finding(case.name, NOT_TESTED, note="no held-out images to compare with")
    return Finding(case.name, above(share, 1 - LOST), share, note)


KEEPS_NOVELTY = Claim(
    section="",
    group=PROJECT,
    id="jump-keeps-novelty",
    statement="After a jump to the law's split, samples are no nearer to training images than held-out images are.",
    paper="not stated",
    figure="fig_jump",
    quantity="mean distance to the nearest training image after the jump, divided by that of held-out images",
    rule=f"holds if the whole interval is above {1 - LOST}; it is wider than needed, as if the two means were "
    "independent",
    form="share",
    needs=("jump", "memorization_jump", "transition"),
    check=_cases(_keeps_novelty),
    stage=NAVIGATION,
)


def _same_image(case):
    same, other = case.measured(case.at_law, "same_noise_distance"), case.measured(case.model, "other_noise_distance")
    if not other.value > 0:
        return Finding(case.name, NOT_TESTED, note="the model gives one image whatever the noise")
    share = curves.ratio(same, other)
    return Finding(case.name, below(share, ALIKE), share, f"{same.value:.3g} against {other.value:.3g}")


GIVES_THE_SAME_IMAGE = Claim(
    section="",
    group=PROJECT,
    id="jump-gives-the-same-image",
    statement="From the same noise, a jump to the law's split gives nearly the image that the model gives alone.",
    paper="not stated",
    figure="fig_jump",
    quantity="distance between the two images, divided by that between the model's images of two noises of one class",
    rule=f"holds if the whole interval is at most {ALIKE}; it is wider than needed, as if the two means were "
    "independent",
    form="share",
    needs=("jump", "memorization_jump", "transition"),
    check=_cases(_same_image),
    stage=NAVIGATION,
)


def _skips_steps(case):
    saved = case.rows.drop_duplicates("plan").set_index("plan")["saved"].round(6)
    skipping = [plan for plan in case.jumps["plan"] if SKIPPED[0] <= saved[plan] <= SKIPPED[1]]
    if not skipping:
        return Finding(case.name, NOT_TESTED, note="no jump that skips {:.0%} to {:.0%} of the steps".format(*SKIPPED))
    excess = [case.distances.contrast({plan: 1, case.model: -1 - MARGIN}) for plan in skipping]
    found, verdict = deciding([(each, below(each, 0.0)) for each in excess])
    means = case.distances.values.mean()
    words = [f"{means[plan]:.3g} with {saved[plan]:.0%} fewer" for plan in skipping]
    return Finding(case.name, verdict, found, f"{', '.join(words)}, {means[case.model]:.3g} for the model alone")


SKIPS_STEPS = Claim(
    section="abstract",
    arxiv=TELEPORTATION,
    id="gaussian-skips-steps",
    statement="The Gaussian's closed form can take the place of the first 15% to 30% of the steps: the samples stay as "
    "good.",
    paper="15% to 30% of the steps skipped at high quality (FID 1.93 on CIFAR-10)",
    figure="fig_jump",
    quantity=f"distance after the jump minus {1 + MARGIN} times that of the model alone",
    rule=f"holds if the whole interval is at most zero for every jump that skips so many steps; {SEEDS}",
    needs=("jump", "memorization_jump", "transition"),
    check=_cases(_skips_steps, at_law=False),
    stage=NAVIGATION,
)
