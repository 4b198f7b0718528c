"""The paper's Sec. 5.2, Tab. 3: guidance in an interval of time; and this project's own on intervals from the data."""

import math

import numpy as np

from twostage.report.claims.claim import (
    APART,
    NAVIGATION,
    NOT_TESTED,
    PROJECT,
    REFINEMENT,
    SEEDS,
    Claim,
    Finding,
    above,
    case_of,
)
from twostage.report.results.contrast import Distances
from twostage.report.results.plans import TIMES

KEPT = 0.9  # of what the best of the searched intervals gains
FEWEST = 3  # short intervals, for one to be compared with another
UNHEEDED = "guidance changes no sample: what the model predicts does not depend on the class"
NEAR = 0.1  # how far from the split an interval still touches the transition


def cases(run):
    """(space, features, plans, Distances) of every space and features of Tab. 3 where guidance changes the samples.

    plans: DataFrame by plan, with low, high, named, kind, model, guidance and split.
    """
    return (case for case in _all_cases(run) if not _unheeded(*case[2:]))


def not_heeded(run):
    """Findings of the cases that ``cases`` leaves out."""
    left = [case_of(*named) for *named, plans, distances in _all_cases(run) if _unheeded(plans, distances)]
    return [Finding(case, NOT_TESTED, note=UNHEEDED) for case in left]


def _all_cases(run):
    for (space, features), rows in run.guidance.groupby(["space", "features"], sort=False):
        plans = rows.drop_duplicates("plan").set_index("plan")
        yield space, features, plans, Distances.of(rows, rows["plan"])


def _unheeded(plans, distances):
    """Whether all plans of the model are alike: a model made elsewhere may ignore the class."""
    return distances.alike(distances.values.columns.intersection(of_kind(plans, "none", "short", "wide", "data")))


def of_kind(plans, *kinds):
    """Names of the plans of these kinds, in order."""
    return list(plans.index[plans["kind"].isin(kinds)])


def guidance_check(judge):
    """A check that calls ``judge(case, plans, Distances)`` for every space and features, as ``cases`` has them."""

    def check(run):
        return [judge(case_of(*named), plans, distances) for *named, plans, distances in cases(run)] + not_heeded(run)

    return check


def words(plan):
    """An interval in words, from its row of ``plans``."""
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
    note = f"{means[best]:.4g} on {words(short.loc[best])}, {means[other]:.4g} on {words(short.loc[other])}"
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
    check=guidance_check(_best_in_transition),
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
    stage=NAVIGATION,
    section="5.2",
    statement="Samples are better without guidance at the very start.",
    paper="2.80 to 2.97 gFID for the best wide intervals, whose ends were lost",
    figure="tab3",
    quantity="mean distance of the wide intervals that start at t = 0, minus that of those with the same ends that "
    "start at 0.1",
    rule=f"holds if the whole interval is above zero; {SEEDS}",
    needs=("tab3",),
    check=guidance_check(_start_left_out),
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
    note = f"middle of refinement {middle:.3f}; lowest {means.min():.4g} on {words(wide.loc[means.idxmin()])}"
    return Finding(case, above(gain, 0.0), gain, note)


GUIDANCE_TO_MID_REFINEMENT = Claim(
    id="guidance-to-mid-refinement",
    stage=REFINEMENT,
    section="5.2",
    statement="The best wide guidance intervals span early and mid refinement.",
    paper="2.80 to 2.97 gFID for the best wide intervals, whose ends were lost",
    figure="tab3",
    quantity="mean distance of the wide intervals that end before the middle of refinement, minus that of those that "
    "end after it",
    rule=f"both groups have the same starts; holds if the whole interval is above zero; {SEEDS}",
    needs=("tab3", "split"),
    check=guidance_check(_reaching_mid_refinement),
)


def _not_searched(run):
    findings = not_heeded(run)
    for *named, plans, distances in cases(run):
        searched, (none, *_) = of_kind(plans, "short", "wide"), [*of_kind(plans, "none"), None]
        for window in of_kind(plans, "data") if searched and none else ():
            beyond, means = distances.beyond(window, searched, none, KEPT), distances.values.mean()
            best = means[searched].idxmin()
            note = f"{means[window]:.4g} on {words(plans.loc[window])}, {means[best]:.4g} on {words(plans.loc[best])}"
            case = f"{plans.loc[window, 'named']}, {case_of(*named)}"
            findings.append(Finding(case, above(beyond, 0.0), beyond, f"{note}, {means[none]:.4g} without"))
    return findings or [Finding("", NOT_TESTED, note="no interval from the data, or none that were searched")]


GUIDANCE_WITHOUT_A_SEARCH = Claim(
    id="guidance-without-a-search",
    section="",
    group=PROJECT,
    statement="A guidance interval from the data, without a search, is as good as the best interval that a search "
    "finds.",
    paper="not stated; its intervals were searched",
    figure="tab3",
    quantity=f"gain in distance over no guidance, minus {KEPT:.0%} of that of the best interval of the search",
    rule="holds if the whole interval is above zero, for each interval from the data. The best of many looks better "
    f"than it is: {APART}; {SEEDS}",
    needs=("tab3",),
    check=_not_searched,
)


def _not_everywhere(run):
    findings = not_heeded(run)
    for *named, plans, distances in cases(run):
        for (model, scale), own in plans[plans["low"].notna()].groupby(["model", "guidance"], sort=False):
            everywhere = own.index[(own["low"] == 0) & (own["high"] == 1)]
            for window in own.index[own["named"] != TIMES] if len(everywhere) else ():
                gain, means = distances.difference([everywhere[0]], [window]), distances.values.mean()
                case = f"{own.loc[window, 'named']}, {model} at scale {scale:g}, {case_of(*named)}"
                note = f"{means[window]:.4g} against {means[everywhere[0]]:.4g}"
                findings.append(Finding(case, above(gain, 0.0), gain, note))
    return findings or [Finding("", NOT_TESTED, note="no interval from the data beside all of [0, 1]")]


GUIDANCE_NOT_EVERYWHERE = Claim(
    id="guidance-from-the-data-not-everywhere",
    section="",
    group=PROJECT,
    statement="Guidance on an interval that the data name beats guidance everywhere, whatever the model and the scale.",
    paper="not stated",
    figure="tab3",
    quantity="distance with guidance everywhere minus on the interval from the data",
    rule=f"holds if the whole interval is above zero, for each model, scale and interval; {SEEDS}",
    needs=("tab3",),
    check=_not_everywhere,
)


def _where_the_class_is_decided(run):
    findings, told = not_heeded(run), run.information[run.information["conditioning"] == "label"]
    for space, features, plans, distances in cases(run):
        short, rows = plans[plans["kind"] == "short"], told[told["space"] == space].sort_values("t")
        lengths = (short["high"] - short["low"]).to_numpy()
        if len(short) < FEWEST or np.ptp(lengths) > 1e-6 or rows.empty:
            note = f"no class, or fewer than {FEWEST} short intervals of one length"
            findings.append(Finding(case_of(space, features), NOT_TESTED, note=note))
            continue
        low, high = (np.interp(short[end], rows["t"], rows["by_gap"]) for end in ("low", "high"))
        share = (high - low) / (high - low).sum()
        more = distances.contrast(dict(zip(short.index, 1 / len(short) - share)))
        means = distances.values.mean()[short.index]
        ranks = (-means).rank().corr(short.assign(nats=high - low)["nats"].rank())
        most = short.iloc[int(np.argmax(high - low))]
        note = (
            f"rank correlation {ranks:.2f}; most of the class on {words(most)}, best {words(short.loc[means.idxmin()])}"
        )
        findings.append(Finding(case_of(space, features), above(more, 0.0), more, note))
    return findings


GUIDANCE_WHERE_THE_CLASS_IS_DECIDED = Claim(
    id="guidance-where-the-class-is-decided",
    section="",
    group=PROJECT,
    statement="Guidance pays where the class is decided: the more a short interval tells of the class, the more "
    "guidance on it gains.",
    paper="not stated",
    figure="tab3",
    quantity="gain on a short interval averaged by what x_t tells of the class in it, minus the plain average",
    rule=f"holds if the whole interval is above zero; {SEEDS}",
    needs=("tab3", "information"),
    check=_where_the_class_is_decided,
)
