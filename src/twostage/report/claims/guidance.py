"""The paper's Sec. 5.2, Tab. 3: guidance in an interval of time."""

import math

from twostage.report.claims.claim import (
    APART,
    NOT_TESTED,
    SEEDS,
    Claim,
    Finding,
    above,
    case_of,
)
from twostage.report.results.contrast import Distances

NEAR = 0.1  # how far from the split an interval still touches the transition


def _guidance(judge):
    """A check that calls ``judge(case, plans, Distances)`` for every space and kind of features.

    plans: DataFrame by plan, with low, high, kind and split.
    """

    def check(run):
        findings = []
        for (space, features), rows in run.guidance.groupby(["space", "features"], sort=False):
            plans = rows.drop_duplicates("plan").set_index("plan")
            findings.append(judge(case_of(space, features), plans, Distances.of(rows, rows["plan"])))
        return findings

    return check


def _words(plan):
    return f"[{plan['low']:.3g}, {plan['high']:.3g}]"


def _best_in_transition(case, plans, distances):
    short, means = plans[plans["kind"] == "short"], distances.values.mean()
    split = plans["split"].iloc[0]
    touches = (short["low"] < split + NEAR - 1e-9) & (short["high"] > split - NEAR + 1e-9)
    inside, outside = (means[short.index[chosen & short.index.isin(means.index)]] for chosen in (touches, ~touches))
    if not math.isfinite(split) or inside.empty or outside.empty:
        return Finding(case, NOT_TESTED, note="no split, or no short intervals at it and away from it")
    best, other = inside.idxmin(), outside.idxmin()
    lead = distances.lead(list(inside.index), list(outside.index))
    note = f"{means[best]:.4g} on {_words(short.loc[best])}, {means[other]:.4g} on {_words(short.loc[other])}"
    none = plans.index[plans["kind"] == "none"]
    note += f", {means[none[0]]:.4g} without" if len(none) else ""
    return Finding(case, above(lead, 0.0), lead, f"{note}; split {split:.3f}")


GUIDANCE_IN_THE_TRANSITION = Claim(
    id="guidance-in-the-transition",
    section="5.2",
    statement="The best short guidance interval lies in the transition.",
    paper="gFID 5.21 on [0.1, 0.2], 12.99 without guidance",
    figure="tab3",
    quantity="distance of the best short interval away from the split, minus that of the best one at the split",
    rule=f"at the split: overlaps the times within {NEAR} of the split. Holds if the whole interval is above zero; "
    f"{APART}; {SEEDS}",
    needs=("tab3", "split"),
    check=_guidance(_best_in_transition),
)


def _start_left_out(case, plans, distances):
    wide = plans[plans["kind"] == "wide"]
    later = sorted(set(wide.loc[wide["low"] > 0, "low"]))
    by_ends = {(row["low"], row["high"]): name for name, row in wide.iterrows()}
    for low in later:
        twins = [
            (by_ends[0.0, high], name)
            for (start, high), name in by_ends.items()
            if start == low and (0.0, high) in by_ends
        ]
        if twins:
            gain = distances.difference([whole for whole, _ in twins], [left for _, left in twins])
            note = f"[0, b] minus [{low:g}, b], {len(twins)} ends b"
            return Finding(case, above(gain, 0.0), gain, note)
    return Finding(case, NOT_TESTED, note="no wide intervals with and without the start")


GUIDANCE_NOT_AT_THE_START = Claim(
    id="guidance-not-at-the-start",
    section="5.2",
    statement="Samples are better without guidance at the very start.",
    paper="2.80 to 2.97 gFID for the best wide intervals, whose ends were lost",
    figure="tab3",
    quantity="mean distance of the wide intervals that start at t = 0, minus that of those with the same ends that "
    "start at 0.1",
    rule=f"holds if the whole interval is above zero; {SEEDS}",
    needs=("tab3",),
    check=_guidance(_start_left_out),
)


def _reaching_mid_refinement(case, plans, distances):
    wide, split = plans[plans["kind"] == "wide"], plans["split"].iloc[0]
    middle = (split + 1) / 2
    reach, stop = [], []
    for _, rows in wide.groupby("low"):
        far = rows["high"] >= middle - 1e-9
        if far.any() and not far.all():
            reach += list(rows.index[far])
            stop += list(rows.index[~far])
    if not reach:
        return Finding(
            case, NOT_TESTED, note="no split, or no wide intervals that reach mid refinement and that do not"
        )
    gain = distances.difference(stop, reach)
    means = distances.values.mean()[wide.index]
    note = f"middle of refinement {middle:.3f}; lowest {means.min():.4g} on {_words(wide.loc[means.idxmin()])}"
    return Finding(case, above(gain, 0.0), gain, note)


GUIDANCE_TO_MID_REFINEMENT = Claim(
    id="guidance-to-mid-refinement",
    section="5.2",
    statement="The best wide guidance intervals span early and mid refinement.",
    paper="2.80 to 2.97 gFID for the best wide intervals, whose ends were lost",
    figure="tab3",
    quantity="mean distance of the wide intervals that end before the middle of refinement, minus that of those that "
    "end after it",
    rule=f"both groups have the same starts; holds if the whole interval is above zero; {SEEDS}",
    needs=("tab3", "split"),
    check=_guidance(_reaching_mid_refinement),
)
