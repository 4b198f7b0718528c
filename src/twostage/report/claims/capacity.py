"""Where capacity is needed, by the paper and by others: a large and a small model in three parts of the trajectory."""

import math

from twostage.report.claims.claim import (
    CHOSEN,
    NOT_TESTED,
    SEEDS,
    Claim,
    Finding,
    above,
    below,
    case_of,
)
from twostage.report.claims.claim import NAVIGATION as NAVIGATION_STAGE
from twostage.report.results import curves
from twostage.report.results.capacity import BOTH_LARGE, PARTS, alone, distances_of

NAVIGATION, EARLY, LATE = PARTS
FLOWBLENDING = "2512.24724"  # Song et al.
STABILITY = "2605.08398"  # Briq et al.
COMPARABLE = 1.1  # times the distance of the large model throughout
STAGES = "navigation, early and late refinement stand for the early, the intermediate and the late stage"


def _assignments(judge):
    """A check that calls ``judge(case, Distances, rows)`` for every space and features; rows: a row per assignment."""

    def check(run):
        findings = []
        for (space, features), rows in run.capacities.groupby(["space", "features"], sort=False):
            case, distances = case_of(space, features), distances_of(rows)
            if distances is None:
                findings.append(Finding(case, NOT_TESTED, note="an assignment or a seed is missing"))
            else:
                findings.append(judge(case, distances, rows.drop_duplicates("kind").set_index("kind")))
        return findings

    return check


def _alone(distances):
    """{part: the cost of the small model in it alone}, numbers."""
    return {part: distances.contrast({alone(part): 1, BOTH_LARGE: -1}).value for part in PARTS}


def _words(costs):
    return ", ".join(f"{part} {cost:+.3g}" for part, cost in costs.items())


def _navigation_least(case, distances, _):
    lead = curves.least([distances.contrast({alone(part): 1, alone(NAVIGATION): -1}) for part in (EARLY, LATE)])
    return Finding(case, above(lead, 0.0), lead, _words(_alone(distances)))


NAVIGATION_NEEDS_CAPACITY_LEAST = Claim(
    id="navigation-needs-capacity-least",
    stage=NAVIGATION_STAGE,
    section="4.3",
    statement="A small model costs less in navigation than in early refinement, and less than in late refinement.",
    paper="a small model costs little in stage 1 (Tab. 1: 8% and 20%); refinement is not divided there",
    figure="tab_capacity",
    quantity="cost in distance of the small model in one part alone: the cheaper part of refinement minus navigation",
    rule=f"holds if the whole interval is above zero; {CHOSEN}; {SEEDS}",
    needs=("capacity", "split"),
    check=_assignments(_navigation_least),
)


def _ends_crucial(case, distances, _):
    lead = curves.least([distances.contrast({alone(part): 1, alone(EARLY): -1}) for part in (NAVIGATION, LATE)])
    return Finding(case, above(lead, 0.0), lead, _words(_alone(distances)))


FLOWBLENDING_ENDS = Claim(
    id="flowblending-ends-need-capacity",
    arxiv=FLOWBLENDING,
    section="abstract",
    statement="Capacity is crucial early and late: a small model costs more there than in between.",
    paper="by similarity of videos to the large model's; LTX-Video 2B and 13B, WAN 2.1 1.3B and 14B",
    figure="tab_capacity",
    quantity="cost in distance of the small model in one part alone: the smaller one of navigation and late "
    "refinement, minus early refinement",
    rule=f"{STAGES}; holds if the whole interval is above zero; {CHOSEN}; {SEEDS}",
    needs=("capacity", "split"),
    check=_assignments(_ends_crucial),
)


def _comparable(kind):
    """Is the distance of an assignment at most ``COMPARABLE`` times that of the large model throughout?"""

    def judge(case, distances, rows):
        excess = distances.contrast({kind: 1, BOTH_LARGE: -COMPARABLE})
        means = distances.values[[kind, BOTH_LARGE]].mean()
        note, share = f"{means[kind]:.4g} against {means[BOTH_LARGE]:.4g}", rows["flops_share"][kind]
        note += "" if math.isnan(share) else f", at {share:.0%} of the FLOPs"
        return Finding(case, below(excess, 0.0), excess, note)

    return judge


FLOWBLENDING_BETWEEN = Claim(
    id="flowblending-between-is-negligible",
    arxiv=FLOWBLENDING,
    section="abstract",
    statement="Capacity is negligible in between: large-small-large is as good as large throughout.",
    paper="57.35% fewer FLOPs, 1.65 times as fast, the same fidelity",
    figure="tab_capacity",
    quantity=f"distance of large-small-large minus {COMPARABLE} times that of the large model throughout",
    rule=f"{STAGES}; holds if the whole interval is at most zero; {SEEDS}",
    needs=("capacity", "split"),
    check=_assignments(_comparable(alone(EARLY))),
)


SMALL_FIRST = Claim(
    id="small-first-is-comparable",
    arxiv=STABILITY,
    stage=NAVIGATION_STAGE,
    section="abstract",
    statement="A small model followed by a large one gives samples comparable to those of the large model throughout, "
    "at lower cost.",
    paper="DiT-S/2, then DiT-XL/2: 2.15 times as fast, comparable samples",
    figure="tab_capacity",
    quantity=f"distance of the small model up to the split and the large one after it, minus {COMPARABLE} times that "
    "of the large model throughout",
    rule=f"holds if the whole interval is at most zero; {SEEDS}",
    needs=("capacity", "split"),
    check=_assignments(_comparable(alone(NAVIGATION))),
)
