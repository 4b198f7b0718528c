"""The paper's Sec. 5.1 and App. D, Tab. 2: shifted time steps."""

from twostage.report.claims.claim import (
    APART,
    NAVIGATION,
    NOT_TESTED,
    SEEDS,
    Claim,
    Finding,
    above,
    below,
    case_of,
    exactly,
)
from twostage.report.results.contrast import Distances

MODERATE = 0.3  # shifts from here to below 1 count as moderate, those below it and above its reciprocal as extreme
READ_OFF = 0.005  # half a percentage point: the paper's shares are rounded to whole ones
UNIFORM = "1"
STEPS = 50  # of the paper's schedule


def _shifts(judge):
    """A check that calls ``judge(case, shifts, Distances)`` for every space and kind of features with uniform steps."""

    def check(run):
        findings = []
        for (space, features), rows in run.shifts.groupby(["space", "features"], sort=False):
            case, distances = case_of(space, features), Distances.of(rows, [f"{s:g}" for s in rows["shift"]])
            if UNIFORM not in distances.values or distances.values.empty:
                findings.append(Finding(case, NOT_TESTED, note="no uniform steps (s = 1) to compare with"))
            else:
                findings.append(judge(case, sorted(set(rows["shift"])), distances))
        return findings

    return check


def _moderate_better(case, shifts, distances):
    moderate = [f"{s:g}" for s in shifts if MODERATE <= s < 1]
    if not moderate:
        return Finding(case, NOT_TESTED, note=f"no shift from {MODERATE} to below 1")
    change = distances.difference(moderate, [UNIFORM])
    means = distances.values.mean()
    note = f"s = {', '.join(moderate)} against 1; lowest of all at s = {means.idxmin()}: {means.min():.4g}"
    return Finding(case, below(change, 0.0), change, f"{note}, at s = 1: {means[UNIFORM]:.4g}")


SHIFT_HAS_AN_OPTIMUM = Claim(
    id="shift-has-an-optimum",
    stage=NAVIGATION,
    section="5.1",
    statement="More steps in navigation help up to a point: moderate shifts below 1 beat uniform steps.",
    paper="gFID 12.46, 12.23, 12.66 at s = 0.7, 0.5, 0.3; 12.99 at s = 1",
    figure="tab2",
    quantity=f"mean distance over the shifts from {MODERATE} to below 1, minus that of uniform steps",
    rule=f"holds if the whole interval is at most zero; {SEEDS}",
    needs=("tab2",),
    check=_shifts(_moderate_better),
)


def _extremes_worse(case, shifts, distances):
    extremes = [f"{s:g}" for s in (shifts[0], shifts[-1]) if s < MODERATE or s >= 1 / MODERATE]
    if len(extremes) < 2:
        return Finding(case, NOT_TESTED, note="no extreme shift on both sides")
    cost = distances.lead([UNIFORM], extremes)
    note = ", ".join(f"s = {name}: {distances.contrast({name: 1, UNIFORM: -1}).value:+.3g}" for name in extremes)
    return Finding(case, above(cost, 0.0), cost, note)


EXTREME_SHIFTS_ARE_WORSE = Claim(
    id="extreme-shifts-are-worse",
    section="5.1",
    statement="Extreme shifts are worse than uniform steps, in either direction.",
    paper="gFID 19.91 at s = 0.1, 18.89 at s = 4; 12.99 at s = 1",
    figure="tab2",
    quantity="distance of the better of the two extreme shifts, minus that of uniform steps",
    rule=f"extreme: below {MODERATE}, above {1 / MODERATE:.1f}; holds if the whole interval is above zero; {APART}; "
    f"{SEEDS}",
    needs=("tab2",),
    check=_shifts(_extremes_worse),
)


def _shares(run):
    known = run.shifts.dropna(subset="paper_share")
    known = known[known["steps"] == STEPS]
    if known.empty:
        return [Finding("", NOT_TESTED, note=f"no shift of the paper with {STEPS} steps")]
    off = exactly((known["share_before_0.2"] - known["paper_share"]).abs().max())
    shares = known.drop_duplicates("shift")
    note = ", ".join(f"s = {s:g}: {share:.0%}" for s, share in zip(shares["shift"], shares["share_before_0.2"]))
    return [Finding(f"{STEPS} steps", below(off, READ_OFF), off, note)]


SHARES_OF_THE_SHIFTED_STEPS = Claim(
    id="shares-of-the-shifted-steps",
    stage=NAVIGATION,
    section="App. D",
    statement="Of 50 steps shifted by s, these shares start at t′ ≤ 0.2.",
    paper="6, 12, 22, 28, 34, 46, 72% for s = 4, 2, 1, 0.7, 0.5, 0.3, 0.1",
    figure="tab2",
    quantity="largest difference from the paper's share",
    rule="holds if it is at most half a percentage point at every shift of the paper that was run",
    form="share",
    needs=("tab2",),
    check=_shares,
)
