"""The paper's Sec. 4.3, Tab. 1: the stage in which the size of the model matters."""

from twostage.report.claims.claim import (
    HOLDS,
    NAVIGATION,
    NOT_TESTED,
    REFINEMENT,
    SEEDS,
    Claim,
    Finding,
    above,
    below,
    unclear,
)
from twostage.report.results.contrast import Distances

# A row of Tab. 1 by the models of stage 1 and stage 2.
BOTH_LARGE, FIRST_SMALL, SECOND_SMALL, BOTH_SMALL = "large-large", "small-large", "large-small", "small-small"
LITTLE, MOST = 0.25, 0.5  # shares of the cost of replacing both
COMBINATIONS = (BOTH_LARGE, FIRST_SMALL, SECOND_SMALL, BOTH_SMALL)


def distances_of(rows, large, small):
    """``Distances`` from the rows of one space, features and split; None where a combination or a seed is missing."""
    models = {"large": large, "small": small}
    names = {tuple(models[role] for role in name.split("-")): name for name in COMBINATIONS}
    rows = rows.assign(name=[names.get(pair) for pair in zip(rows["stage_1"], rows["stage_2"])]).dropna(subset="name")
    distances = Distances.of(rows, rows["name"])
    return distances if len(distances.values.columns) == len(COMBINATIONS) and len(distances.values) else None


def _swaps(judge):
    """A check that calls ``judge(case, Distances)`` for every space, kind of features, split and smaller model."""

    def check(run):
        findings = []
        for (space, features, split), rows in run.swaps.groupby(["space", "features", "split"], sort=False):
            *others, large = _by_size(dict.fromkeys(rows["stage_1"]), run.models)
            for small in reversed(others):
                distances = distances_of(rows, large, small)
                if distances is not None:
                    words = [space, f"split {split}", f"{small} for {large}"]
                    case = ", ".join(words if features == "classifier" else [*words, features])
                    findings.append(judge(case, distances))
        return findings or [Finding("", NOT_TESTED, note="no two models in every combination of stages")]

    return check


def _by_size(models, known):
    """Model names, smallest first: in the order of ``known``. If not all are in it, in the opposite order of the table,
    because Tab. 1 lists the larger first."""
    models = list(models)
    return sorted(models, key=known.index) if set(models) <= set(known or ()) else models[::-1]


def _stage_1_matters_less(case, distances):
    difference = distances.contrast({SECOND_SMALL: 1, FIRST_SMALL: -1})
    first, second = (distances.contrast({name: 1, BOTH_LARGE: -1}).value for name in (FIRST_SMALL, SECOND_SMALL))
    return Finding(case, above(difference, 0.0), difference, f"stage 1: {first:+.3g}, stage 2: {second:+.3g}")


STAGE_1_MATTERS_LESS = Claim(
    id="stage-1-matters-less",
    section="4.3",
    statement="A smaller model in stage 1 costs less than a smaller model in stage 2.",
    paper="+0.77 against +8.32 gFID (split 0.1), +1.87 against +6.64 (split 0.2)",
    figure="tab1",
    quantity="distance with the smaller model in stage 2, minus that with the smaller model in stage 1",
    rule=f"holds if the whole interval is above zero; {SEEDS}",
    needs=("tab1",),
    check=_swaps(_stage_1_matters_less),
)


def _share_of_cost(replaced, limit, judge):
    """Judge whether the smaller model in one stage costs more or less than ``limit`` times its cost in both stages."""

    def judged(case, distances):
        whole = distances.contrast({BOTH_SMALL: 1, BOTH_LARGE: -1})
        if (costs := above(whole, 0.0)) != HOLDS:
            note = f"whole cost {whole.value:+.3g}: not clear of zero, so it has no shares"
            return Finding(case, unclear(costs), None, note)
        cost = distances.contrast({replaced: 1, BOTH_LARGE: -1})
        note = f"{cost.value / whole.value:.0%} of the whole cost ({cost.value:+.3g} of {whole.value:+.3g})"
        # The sign of cost - limit * whole decides without dividing one noisy number by another.
        excess = distances.contrast({replaced: 1, BOTH_LARGE: limit - 1, BOTH_SMALL: -limit})
        return Finding(case, judge(excess, 0.0), excess, note)

    return judged


STAGE_1_COSTS_LITTLE = Claim(
    id="stage-1-costs-little",
    stage=NAVIGATION,
    section="4.3",
    statement="A smaller model in stage 1 costs little.",
    paper="8% (split 0.1) and 20% (split 0.2) of the cost in both stages",
    figure="tab1",
    quantity="cost in distance of the smaller model in stage 1, minus a quarter of its cost in both stages",
    rule=f"holds if the whole interval is at most zero; {SEEDS}",
    needs=("tab1",),
    check=_swaps(_share_of_cost(FIRST_SMALL, LITTLE, below)),
)


STAGE_2_COSTS_MOST = Claim(
    id="stage-2-costs-most",
    stage=REFINEMENT,
    section="4.3",
    statement="Stage 2 accounts for most of the cost of the smaller model.",
    paper="87% (split 0.1) and 71% (split 0.2) of the cost in both stages",
    figure="tab1",
    quantity="cost in distance of the smaller model in stage 2, minus half of its cost in both stages",
    rule=f"holds if the whole interval is above zero; {SEEDS}",
    needs=("tab1",),
    check=_swaps(_share_of_cost(SECOND_SMALL, MOST, above)),
)


def _larger_better(case, distances):
    difference = distances.contrast({BOTH_SMALL: 1, BOTH_LARGE: -1})
    means = distances.values[[BOTH_LARGE, BOTH_SMALL]].mean()
    return Finding(case, above(difference, 0.0), difference, f"{means.iloc[0]:.4g} against {means.iloc[1]:.4g}")


LARGER_MODEL_IS_BETTER = Claim(
    id="larger-model-is-better",
    section="4.3",
    statement="The larger model in both stages gives better samples than the smaller one in both.",
    paper="2.94 against 12.45, 2.60 against 12.01 gFID",
    figure="tab1",
    quantity="distance of the smaller model minus that of the larger",
    rule=f"holds if the whole interval is above zero; {SEEDS}",
    needs=("tab1",),
    check=_swaps(_larger_better),
)
