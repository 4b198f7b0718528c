"""Statements of other papers that a run's numbers decide, at its scale; beside them what their authors found."""

import numpy as np

from twostage.report.claims.claim import (
    APART,
    DATA,
    NAVIGATION,
    NOT_TESTED,
    REFINEMENT,
    SEEDS,
    Claim,
    Finding,
    above,
    below,
    case_of,
)
from twostage.report.claims.guidance import guidance_check, of_kind, words
from twostage.report.results import convergence, curves
from twostage.report.results.contrast import Distances
from twostage.report.results.gaussians import SYNTHETIC

GUIDANCE_INTERVAL = "2404.07724"  # Kynkäänniemi et al.
DYNAMICAL_REGIMES = "2402.18491"  # Biroli, Bonnaire, de Bortoli, Mézard
CLOSED_FORM = "2506.03719"  # Bertrand et al.
LITTLE = 0.25  # of what the best short interval gains
TYPICAL = 0.05  # error of a time


def _limited(case, plans, distances):
    wide = plans[plans["kind"] == "wide"]
    everywhere = (wide["low"] == 0) & (wide["high"] == 1)
    if not everywhere.any() or everywhere.all():
        return Finding(case, NOT_TESTED, note="no wide intervals beside all of [0, 1]")
    (whole, *_), limited = wide.index[everywhere], list(wide.index[~everywhere])
    lead, means = distances.lead(limited, [whole]), distances.values.mean()
    best = means[limited].idxmin()
    note = f"{means[best]:.4g} on {words(wide.loc[best])}, {means[whole]:.4g} everywhere"
    return Finding(case, above(lead, 0.0), lead, note)


LIMITED_GUIDANCE = Claim(
    arxiv=GUIDANCE_INTERVAL,
    id="limited-guidance",
    section="abstract",
    statement="Guidance on an interval of noise levels gives better samples than guidance everywhere.",
    paper="FID 1.40 on the best interval, 1.81 without the restriction (ImageNet 512)",
    figure="tab3",
    quantity="distance with guidance everywhere minus that on the best wide interval",
    rule=f"holds if the whole interval is above zero; {APART}; {SEEDS}",
    needs=("tab3",),
    check=guidance_check(_limited),
)


def _harmful(case, plans, distances):
    short, none = plans[plans["kind"] == "short"], of_kind(plans, "none")
    first = short.index[short["low"] == 0]
    if not len(first) or not none:
        return Finding(case, NOT_TESTED, note="no short interval at the start")
    harm = distances.difference([first[0]], [none[0]])
    means = distances.values.mean()
    note = f"{means[first[0]]:.4g} on {words(short.loc[first[0]])}, {means[none[0]]:.4g} without"
    return Finding(case, above(harm, 0.0), harm, note)


HARMFUL_AT_THE_START = Claim(
    arxiv=GUIDANCE_INTERVAL,
    stage=NAVIGATION,
    id="guidance-harmful-at-the-start",
    section="abstract",
    statement="Guidance is harmful toward the beginning of sampling, at high noise.",
    paper="clearly harmful",
    figure="tab3",
    quantity="distance with guidance on the first short interval minus without guidance",
    rule=f"holds if the whole interval is above zero; {SEEDS}",
    needs=("tab3",),
    check=guidance_check(_harmful),
)


def _unnecessary(case, plans, distances):
    short, none = plans[plans["kind"] == "short"], of_kind(plans, "none")
    last = list(short.index[short["high"] == 1])
    others = list(short.index.difference(last))
    if not last or not others or not none:
        return Finding(case, NOT_TESTED, note="no short intervals at the end and before it")
    excess, means = distances.beyond(last[0], others, none[0], LITTLE), distances.values.mean()
    gains = means[none[0]] - means
    note = f"gains {gains[last[0]]:.3g} on {words(short.loc[last[0]])}, at best {gains[others].max():.3g}"
    return Finding(case, below(excess, 0.0), excess, note)


UNNECESSARY_AT_THE_END = Claim(
    arxiv=GUIDANCE_INTERVAL,
    stage=REFINEMENT,
    id="guidance-unnecessary-at-the-end",
    section="abstract",
    statement="Guidance is largely unnecessary toward the end of sampling, at low noise.",
    paper="largely unnecessary",
    figure="tab3",
    quantity="gain of guidance on the last short interval, minus a quarter of that on the best one",
    rule=f"holds if the whole interval is at most zero; {APART}; {SEEDS}",
    needs=("tab3",),
    check=guidance_check(_unnecessary),
)


def _collapse(run):
    rows = run.transitions[run.transitions["space"] == SYNTHETIC].dropna(subset="measured")
    if rows.empty:
        return [Finding(SYNTHETIC, NOT_TESTED, note="no transition of unit Gaussians was measured")]
    s = np.sqrt(rows["n"].astype(float) ** (2 / rows["dim"]) - 1)
    error = (s / (1 + s) / rows["measured"] - 1).abs()
    median = curves.median_of(error, rows["label"])
    return [
        Finding(SYNTHETIC, below(median, TYPICAL), median, f"{len(rows)} pairs of D and N, at most {error.max():.1%}")
    ]


COLLAPSE_BY_ENTROPY = Claim(
    arxiv=DYNAMICAL_REGIMES,
    stage=DATA,
    id="collapse-by-entropy",
    section="collapse",
    statement="The posterior collapses onto one sample where the entropy of N points is used up: for unit Gaussians at "
    "s² = N^(2 / D) - 1, s = t / (1 - t).",
    paper="a closed form, exact as D and log N grow together",
    figure="law",
    quantity="median relative error of that time against the measured transition",
    rule=f"holds if the whole interval is at most {TYPICAL:.0%}; interval by bootstrap over the pairs of D and N",
    form="share",
    needs=("synthetic_transition",),
    check=_collapse,
)


def _even_better(run):
    findings = []
    for (space, _, features), rows in run.twin_distances.groupby(["space", "pair", "features"], sort=False):
        steps = convergence.common_steps(rows)
        if not steps:
            findings.append(Finding(case_of(space, features), NOT_TESTED, note="no snapshot in common"))
            continue
        rows = rows[rows["step"] == steps[-1]]
        distances = Distances.of(rows, rows["target"])
        gain, means = distances.difference([convergence.CFM], [convergence.ORACLE]), distances.values.mean()
        note = f"{means[convergence.ORACLE]:.4g} against {means[convergence.CFM]:.4g}, {steps[-1]:,} steps"
        findings.append(Finding(case_of(space, features), above(gain, 0.0), gain, note))
    return findings


CLOSED_FORM_IMPROVES = Claim(
    arxiv=CLOSED_FORM,
    id="closed-form-improves",
    section="abstract",
    statement="Training on the closed-form velocity improves the samples.",
    paper="comparable; the closed form can even improve them",
    figure="fig_oracle_supervised",
    quantity="distance of the model trained on pairs minus that of its twin trained on the closed form",
    rule=f"holds if the whole interval is above zero: better, not just as good; {SEEDS}",
    needs=("oracle_supervised",),
    check=_even_better,
)
