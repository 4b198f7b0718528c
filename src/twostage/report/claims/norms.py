"""Norms of velocities: how much of a deficit is the target's, how much the model's (docs/theory.md, Sec. 7)."""

import math

from twostage.report.claims.claim import (
    APART,
    DATA,
    NAVIGATION,
    NOT_TESTED,
    PROJECT,
    REFINEMENT,
    SEEDS,
    Claim,
    Finding,
    above,
    case_of,
    within,
)
from twostage.report.results.contrast import Distances
from twostage.report.results.losses import trained_for
from twostage.report.results.norms import norm_ratio

VELOCITY_DEFICIT = "2605.14819"
SAME = 0.15  # of D mse
MOST = 0.5  # of a deficit


def _norms(judge):
    """A check that calls ``judge(run, space, Norms)`` for every latent space."""

    def check(run):
        return [
            judge(run, space, norms)
            if norms
            else Finding(space, NOT_TESTED, note="its oracle_loss.h5 is an earlier version's: run its stage again")
            for space, norms in run.norms.items()
        ]

    return check


def _identity(run, space, norms):
    share = norms.identity()
    lacks, gap = (norms.means(values).mean() for values in (norms.conditional - norms.oracle, norms.gap))
    note = f"{lacks:.4g} and {gap:.4g} per dimension, means over t"
    return Finding(space, within(share, 1 - SAME, 1 + SAME), share, note)


ORACLE_IS_SHORTER = Claim(
    section="",
    group=PROJECT,
    id="oracle-is-shorter-by-the-gap",
    stage=DATA,
    statement="The oracle velocity is shorter than the conditional target, by the gap between the two: "
    "E|u|² − E|u*|² = D mse.",
    paper="not stated",
    figure="fig_norms",
    quantity="E|u|² − E|u*|² divided by D mse, means over t",
    rule=f"holds if the whole interval lies within {SAME:.0%} of 1",
    form="share",
    needs=("pair_errors",),
    check=_norms(_identity),
)


def _deficit(run, space, norms):
    model, (split, _) = run.losses.loc[run.losses["space"] == space, "model"].iloc[-1], run.stages(space)
    share, (step, squares) = norms.own_deficit(model, 0.0, split), norms.last(model)
    own, *others = (norms.means(values, 0.0, split) for values in (squares, norms.oracle, norms.conditional))
    of_oracle, of_conditional = (norm_ratio(own, other).value for other in others)
    note = f"{model}, {trained_for(step)}: norm {of_oracle:.3f} of the oracle's, {of_conditional:.3f} of the target's"
    note = f"{note}, t from 0 to {split:.3f}"
    if of_conditional >= 1 and math.isnan(share.value):
        return Finding(space, NOT_TESTED, note=f"{note}: it is not too short")
    return Finding(space, within(share, -MOST, MOST), share, note)


DEFICIT_IS_THE_ORACLES = Claim(
    section="",
    group=PROJECT,
    id="velocity-deficit-is-the-oracles",
    stage=NAVIGATION,
    statement="Before the split, a model's velocity is too short because the exact velocity is: the deficit is the "
    "target's, not the model's.",
    paper="2605.14819: training by mean squared errors makes models' velocities too short, most harmfully at the start",
    figure="fig_norms",
    quantity="share of the model's deficit of E|u|² in navigation that the oracle does not have",
    rule=f"holds if the whole interval lies between −{MOST:.0%} and {MOST:.0%}; not tested where there is no deficit",
    form="share",
    needs=("pair_errors", "oracle_loss", "posterior", "transition", "split"),
    check=_norms(_deficit),
)


def _gain_helps(run):
    findings = []
    for (space, features), rows in run.gains.groupby(["space", "features"], sort=False):
        distances, plans = Distances.of(rows, rows["plan"]), rows.drop_duplicates("plan").set_index("plan")
        none = plans.index[plans["kind"] == "none"]
        longer = [name for name in plans.index[plans["alpha"] > 0] if name in distances.values]
        if not longer or not len(none) or none[0] not in distances.values:
            findings.append(Finding(case_of(space, features), NOT_TESTED, note="no row with a gain, or none without"))
            continue
        lead, means = distances.lead(longer, [none[0]]), distances.values.mean()
        best = means[longer].idxmin()
        note = f"{means[best]:.4g} with α = {plans['alpha'][best]:g}, β = {plans['beta'][best]:g}, the best of "
        note += f"{len(longer)}; {means[none[0]]:.4g} without a gain"
        findings.append(Finding(case_of(space, features), above(lead, 0.0), lead, note))
    return findings


GAIN_HELPS = Claim(
    section="abstract",
    arxiv=VELOCITY_DEFICIT,
    id="velocity-gain-helps",
    stage=NAVIGATION,
    statement="Making the velocity longer near the prior, by a gain 1 + α (1 − t)^β, lowers the distance.",
    paper="gFID 13.68 without, 7.58 with such a gain (ImageNet 256, 50 steps)",
    figure="tab_gain",
    quantity="distance without a gain minus that of the best gain above 1",
    rule=f"holds if the whole interval is above zero; {APART}; {SEEDS}",
    needs=("tab_gain", "split"),
    check=_gain_helps,
)


def _late_shortness_helps(run):
    findings = []
    for (space, features), rows in run.gains.groupby(["space", "features"], sort=False):
        distances, plans = Distances.of(rows, rows["plan"]), rows.drop_duplicates("plan").set_index("plan")
        plans = plans[plans.index.isin(distances.values.columns) & (plans["alpha"] > 0)]
        fading = {row["alpha"]: name for name, row in plans.iterrows() if row["beta"] == 1}
        everywhere = [
            (name, alpha) for name, alpha in plans.loc[plans["beta"] == 0, "alpha"].items() if alpha in fading
        ]
        if not everywhere:
            note = "no gain with β = 0 and its twin with β = 1"
            findings.append(Finding(case_of(space, features), NOT_TESTED, note=note))
            continue
        gain = distances.difference([name for name, _ in everywhere], [fading[alpha] for _, alpha in everywhere])
        words = ", ".join(f"{alpha:g}" for _, alpha in everywhere)
        findings.append(Finding(case_of(space, features), above(gain, 0.0), gain, f"α = {words}"))
    return findings


LATE_SHORTNESS_HELPS = Claim(
    section="abstract",
    arxiv=VELOCITY_DEFICIT,
    id="late-shortness-helps",
    stage=REFINEMENT,
    statement="A velocity that is too short near the data is an advantage: a gain that fades towards the data (β = 1) "
    "gives a lower distance than the same gain at all times (β = 0).",
    paper="contraction harms at the start and denoises at the end",
    figure="tab_gain",
    quantity="distance with the gain at all times minus that with the gain that fades, same α",
    rule=f"holds if the whole interval is above zero; {SEEDS}",
    needs=("tab_gain", "split"),
    check=_late_shortness_helps,
)
