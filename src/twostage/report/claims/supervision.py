"""The paper's App. B and Sec. 7.3: training on the oracle velocity itself."""

import math

import numpy as np

from twostage.report.claims.claim import (
    CHOSEN,
    HOLDS,
    NOT_TESTED,
    SEEDS,
    Claim,
    Finding,
    above,
    below,
    case_of,
    deciding,
    within,
)
from twostage.report.results import convergence, curves
from twostage.report.results.contrast import Distances
from twostage.storage import name_of

AS_CLOSE = 1.1  # times the twin's loss or distance
PACE = (0.8, 1.25)  # times the twin's loss
BOTTLENECK = 2.0  # times as long as without the oracle: it takes more than half of the time
BLOCKS = 10  # of a training's steps: neighbouring steps share the load of the machine, so they are not independent
PAIRED = "both are measured on the same pairs (x_0, x_1)"


def _twins(judge):
    """A check that calls ``judge(case, {step: (CFM losses, oracle-supervised losses)})`` for every space and its twins.

    The losses are means over t, one per pair (x_0, x_1), the same pairs for both: (pairs,) arrays.
    """

    def check(run):
        findings = []
        for (space, _), rows in run.twins.groupby(["space", "pair"], sort=False):
            losses = {
                step: tuple(
                    run.pairs_of[space].means(own[own["target"] == target], 0.0, 1.0)
                    for target in (convergence.CFM, convergence.ORACLE)
                )
                for step, own in rows.groupby("step")
            }
            names = dict(zip(rows["target"], rows["model"]))
            case = f"{space}, {names[convergence.ORACLE]} for {names[convergence.CFM]}"
            if all(np.array_equal(*pair) for pair in losses.values()):
                findings.append(Finding(case, NOT_TESTED, note="the two have the same losses, pair by pair"))
            else:
                findings.append(judge(case, losses))
        return findings

    return check


def _feasible(case, losses):
    steps = sorted(losses)
    if len(steps) < 2:
        return Finding(case, NOT_TESTED, note="one snapshot only")
    fall = curves.mean_of(losses[steps[0]][1] - losses[steps[-1]][1])
    cfm, oracle = losses[steps[-1]]
    share = curves.ratio_of(oracle, cfm)
    ends = f"{steps[-1]:,} steps: {oracle.mean():.3g} against {cfm.mean():.3g}"
    note = f"{ends}; falls by {fall.value:.3g} from {steps[0]:,}"
    fell = above(fall, 0.0)
    if fell != HOLDS:
        return Finding(case, fell, None, f"{note} [{fall.low:.3g}, {fall.high:.3g}], not clear of zero")
    return Finding(case, below(share, AS_CLOSE), share, note)


ORACLE_SUPERVISION_WORKS = Claim(
    id="oracle-supervision-works",
    section="App. B",
    statement="Training on the oracle velocity is feasible: the model comes as close to the oracle as its CFM twin.",
    paper="by eye",
    figure="fig_oracle_supervised",
    quantity="oracle loss, mean over t, at the last common snapshot, divided by that of the CFM twin",
    rule="holds if the loss fell during training (the interval of the fall is above zero) and the whole interval is at "
    f"most {AS_CLOSE}; {PAIRED}",
    needs=("oracle_supervised", "oracle_loss", "pair_errors", "split"),
    check=_twins(_feasible),
)


def _same_pace(case, losses):
    shares = {step: curves.ratio_of(oracle, cfm) for step, (cfm, oracle) in sorted(losses.items())}
    ends = [curves.least(shares.values()), curves.greatest(shares.values())]
    ends = sorted(ends, key=lambda end: -abs(math.log(end.value)) if end.value > 0 else -math.inf)
    worst, verdict = deciding((end, within(end, *PACE)) for end in ends)
    note = ", ".join(f"{step:,}: {share.value:.3g}" for step, share in shares.items())
    return Finding(case, verdict, worst, note)


ORACLE_SUPERVISION_KEEPS_PACE = Claim(
    id="oracle-supervision-keeps-pace",
    section="App. B",
    statement="Training on the oracle velocity converges like training on the CFM target.",
    paper="by eye",
    figure="fig_oracle_supervised",
    quantity="oracle loss, mean over t, divided by that of the CFM twin, at the snapshot where they differ most",
    rule=f"holds if at every common snapshot the whole interval lies between {PACE[0]} and {PACE[1]}; {CHOSEN}; "
    f"{PAIRED}",
    needs=("oracle_supervised", "oracle_loss", "pair_errors", "split"),
    check=_twins(_same_pace),
)


def _samples_alike(run):
    findings = []
    for (space, _, features), rows in run.twin_distances.groupby(["space", "pair", "features"], sort=False):
        names = dict(zip(rows["target"], rows["model"]))
        case = case_of(f"{space}, {names[convergence.ORACLE]} for {names[convergence.CFM]}", features)
        common = convergence.common_steps(rows)
        if not common:
            findings.append(Finding(case, NOT_TESTED, note="no snapshot in common"))
            continue
        rows = rows[rows["step"] == common[-1]]
        distances = Distances.of(rows, rows["target"])
        excess = distances.contrast({convergence.ORACLE: 1, convergence.CFM: -AS_CLOSE})
        means = distances.values.mean()
        note = f"{common[-1]:,} steps: {means[convergence.ORACLE]:.4g} against {means[convergence.CFM]:.4g}"
        findings.append(Finding(case, below(excess, 0.0), excess, note))
    return findings


ORACLE_SUPERVISION_SAMPLES_ALIKE = Claim(
    id="oracle-supervision-samples-alike",
    section="App. B",
    statement="Samples of the oracle-supervised model are as good as those of its CFM twin.",
    paper="by eye",
    figure="fig_oracle_supervised",
    quantity=f"distance at the last common snapshot minus {AS_CLOSE} times that of the CFM twin",
    rule=f"holds if the whole interval is at most zero; {SEEDS}",
    needs=("oracle_supervised",),
    check=_samples_alike,
)


def _costs(run):
    findings = []
    for space, path in run.path("supervised_log").items():
        taken = convergence.oracle_seconds(path)
        if len(taken) < BLOCKS:
            findings.append(Finding(space, NOT_TESTED, note=f"{len(taken)} timed lines in {name_of(path)}"))
            continue
        blocks = np.array([block.sum(0) for block in np.array_split(taken, BLOCKS)])
        ratio = curves.ratio_of(blocks[:, 0], blocks[:, 0] - blocks[:, 1])
        note = f"{taken[:, 0].sum():.3g} s, of which the oracle took {taken[:, 1].sum():.3g}"
        findings.append(Finding(space, above(ratio, BOTTLENECK), ratio, note))
    return findings


ORACLE_SUPERVISION_COSTS = Claim(
    id="oracle-supervision-costs",
    section="7.3",
    statement="Computing the oracle during training becomes a bottleneck.",
    paper="said to grow with the data set; stated without a number",
    figure="fig_oracle_supervised",
    quantity="time of the oracle-supervised training, divided by its time without the oracle",
    rule=(
        f"measured within one training; holds if the whole interval is above {BOTTLENECK:.0f}, so that the oracle "
        f"takes more than half of the time; the interval is over {BLOCKS} blocks of steps. `estimate` gives the cost "
        "at other sizes of the data set"
    ),
    needs=("supervised_log",),
    check=_costs,
)
