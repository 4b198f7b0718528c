"""The paper's Sec. 4.3, Tab. 1: which stage the size of the model matters to."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from twostage.report import curves
from twostage.report.claim import HOLDS, NOT_TESTED, UNDECIDED, Claim, Finding, above, below

# A row of Tab. 1 by the models of stage 1 and stage 2.
BOTH_LARGE, FIRST_SMALL, SECOND_SMALL, BOTH_SMALL = "large-large", "small-large", "large-small", "small-small"


@dataclass(frozen=True)
class Distances:
    """Distances of the four combinations of a larger and a smaller model, a row a sampling seed that all four have.

    values, errors: DataFrames, columns the four combinations; ``errors`` are standard errors within a seed, or NaN.
    """

    values: pd.DataFrame
    errors: pd.DataFrame

    def contrast(self, **weights):
        """Weighted sum of combinations (``large_small=1, ...``) with its 95% interval, an Estimate.

        Over several seeds by Student's t on the paired sums; with one seed by its own standard errors, taken as
        independent.
        """
        weights = pd.Series({name.replace("_", "-"): weight for name, weight in weights.items()}, dtype=float)
        sums = (self.values[weights.index] * weights).sum(axis=1)
        if len(sums) > 1:
            return curves.mean_of(sums)
        variance = (self.errors[weights.index].iloc[0] ** 2 * weights**2).sum(skipna=False)
        error = curves.CONFIDENCE * math.sqrt(variance)
        return curves.Estimate(float(sums.iloc[0]), float(sums.iloc[0]) - error, float(sums.iloc[0]) + error)


def distances_of(rows, large, small):
    """``Distances`` from the rows of one space, features and split; None where a combination or a seed is missing."""
    models = {"large": large, "small": small}
    parts = {}
    for combination in (BOTH_LARGE, FIRST_SMALL, SECOND_SMALL, BOTH_SMALL):
        one, two = (models[role] for role in combination.split("-"))
        parts[combination] = rows[(rows["stage_1"] == one) & (rows["stage_2"] == two)].set_index("seed")
    values = pd.DataFrame({name: part["distance"] for name, part in parts.items()}).dropna()
    if values.empty:
        return None
    errors = pd.DataFrame({name: part["distance_sem"] for name, part in parts.items()})
    return Distances(values, errors.loc[values.index])


def _swaps(judge):
    """A check that calls ``judge(case, Distances)`` for every space, features, split and smaller model."""

    def check(run):
        findings = []
        for (space, features, split), rows in run.swaps.groupby(["space", "features", "split"], sort=False):
            large, *others = dict.fromkeys(rows["stage_1"])
            for small in others:
                distances = distances_of(rows, large, small)
                if distances is not None:
                    words = [space, f"split {split}", f"{small} for {large}"]
                    case = ", ".join(words if features == "classifier" else [*words, features])
                    findings.append(judge(case, distances))
        return findings or [Finding("", NOT_TESTED, note="no two models in every combination of stages")]

    return check


def _stage_1_matters_less(case, distances):
    difference = distances.contrast(large_small=1, small_large=-1)
    first = distances.contrast(small_large=1, large_large=-1).value
    second = distances.contrast(large_small=1, large_large=-1).value
    return Finding(case, above(difference, 0.0), difference, f"stage 1: {first:+.3g}, stage 2: {second:+.3g}")


def _share_of_cost(replaced, limit, judge):
    """Is the cost of replacing one stage above or below ``limit`` times that of replacing both?"""

    def judged(case, distances):
        whole = distances.contrast(small_small=1, large_large=-1)
        if above(whole, 0.0) != HOLDS:
            note = f"whole cost {whole.value:+.3g}: not clear of zero, so it has no shares"
            return Finding(case, UNDECIDED, None, note)
        cost = distances.contrast(**{replaced: 1, "large_large": -1})
        note = f"{cost.value / whole.value:.0%} of the whole cost ({cost.value:+.3g} of {whole.value:+.3g})"
        # The sign of cost - limit * whole decides without dividing one noisy number by another.
        excess = distances.contrast(**{replaced: 1, "large_large": limit - 1, "small_small": -limit})
        return Finding(case, judge(excess, 0.0), cost, note)

    return judged


def _larger_better(case, distances):
    difference = distances.contrast(small_small=1, large_large=-1)
    means = np.mean(distances.values[[BOTH_LARGE, BOTH_SMALL]], axis=0)
    return Finding(case, above(difference, 0.0), difference, f"{means.iloc[0]:.4g} against {means.iloc[1]:.4g}")


SEEDS = "95% interval over the sampling seeds, paired by seed (Student's t); with one seed, by disjoint splits of it"

CLAIMS = [
    Claim(
        id="stage-1-matters-less",
        section="4.3",
        statement="Replacing the model of stage 1 by a smaller one costs less than replacing that of stage 2.",
        paper="+0.77 against +8.32 gFID (split 0.1), +1.87 against +6.64 (split 0.2)",
        figure="tab1",
        quantity="distance with stage 2 replaced minus with stage 1 replaced",
        rule=f"holds if the whole interval is above zero; {SEEDS}",
        needs=("tab1",),
        check=_swaps(_stage_1_matters_less),
    ),
    Claim(
        id="stage-1-costs-little",
        section="4.3",
        statement="Replacing the model of stage 1 costs little.",
        paper="8% (split 0.1) and 20% (split 0.2) of the cost of replacing both",
        figure="tab1",
        quantity="cost in distance of replacing stage 1",
        rule=f"holds if it is at most a quarter of the cost of replacing both; {SEEDS}",
        needs=("tab1",),
        check=_swaps(_share_of_cost("small_large", 0.25, below)),
    ),
    Claim(
        id="stage-2-costs-most",
        section="4.3",
        statement="Replacing the model of stage 2 accounts for most of the cost of the smaller model.",
        paper="87% (split 0.1) and 71% (split 0.2) of the cost of replacing both",
        figure="tab1",
        quantity="cost in distance of replacing stage 2",
        rule=f"holds if it is above half the cost of replacing both; {SEEDS}",
        needs=("tab1",),
        check=_swaps(_share_of_cost("large_small", 0.5, above)),
    ),
    Claim(
        id="larger-model-is-better",
        section="4.3",
        statement="The larger model throughout gives the better samples.",
        paper="2.94 against 12.45, 2.60 against 12.01 gFID",
        figure="tab1",
        quantity="distance of the smaller model minus that of the larger",
        rule=f"holds if the whole interval is above zero; {SEEDS}",
        needs=("tab1",),
        check=_swaps(_larger_better),
    ),
]
