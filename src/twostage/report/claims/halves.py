"""Who does which half: is a network needed for navigation, do navigators differ, which half makes the distance?"""

import itertools
import math

import numpy as np
import pandas as pd

from twostage.report.claims.claim import (
    CHOSEN,
    HOLDS,
    NAVIGATION,
    NOT_TESTED,
    PROJECT,
    REFINEMENT,
    SEEDS,
    Claim,
    Finding,
    above,
    below,
    case_of,
    unclear,
)
from twostage.report.results import curves
from twostage.report.results.halves import GAUSSIAN, IDEAL, ORACLE, distances_of, models_of, navigators_of, parts_of

ALIKE = 0.1  # of the spread of refiners
MOST = 0.5  # of the excess


def _halves(judge):
    """A check that calls ``judge(case, Distances, rows)``, which gives findings, for every space and features."""

    def check(run):
        findings = []
        for (space, features), rows in run.halves.groupby(["space", "features"], sort=False):
            distances, case = distances_of(rows), case_of(space, features)
            needed = {f"{before} > {after}" for before in navigators_of(rows) for after in (*models_of(rows), ORACLE)}
            if (needed | {IDEAL}) - set(distances.values.columns) or distances.values.empty:
                findings.append(Finding(case, NOT_TESTED, note="a plan or a seed is missing"))
            else:
                findings += judge(case, distances, rows)
        return findings

    return check


def _no_network(case, distances, rows):
    models, means = models_of(rows), distances.values.mean()
    excess = [distances.contrast({f"{GAUSSIAN} > {name}": 1, f"{name} > {name}": -1}) for name in models]
    told = [f"then {name} {means[f'{GAUSSIAN} > {name}']:.4g}, not {means[f'{name} > {name}']:.4g}" for name in models]
    worst = curves.greatest(excess)
    return [Finding(case, below(worst, 0.0), worst, "; ".join(told))]


NAVIGATION_NEEDS_NO_NETWORK = Claim(
    section="",
    group=PROJECT,
    stage=NAVIGATION,
    id="navigation-needs-no-network",
    statement="Navigation needs no network: the exact flow of the classes' Gaussians up to the split is at least as "
    "good as the model that acts after it.",
    paper="not stated",
    figure="tab_halves",
    quantity="distance with the Gaussian up to the split, minus that of the model throughout, for the model with the "
    "greatest difference",
    rule=f"holds if the whole interval is at most zero; {CHOSEN}; {SEEDS}",
    needs=("halves", "split"),
    check=_halves(_no_network),
)


def _alike(case, distances, rows):
    fields = [name for name in navigators_of(rows) if name in (GAUSSIAN, *models_of(rows), ORACLE)]
    others = [name for name in navigators_of(rows) if name not in fields]
    means = distances.values.mean()
    spread = lambda kinds: means[kinds].max() - means[kinds].min()  # noqa: E731
    navigators = [f"{name} > {ORACLE}" for name in fields]
    refiners = [f"{ORACLE} > {name}" for name in fields if name != GAUSSIAN]
    # The spread of navigators is the greatest difference of two; that of refiners, the greatest too, is subtracted.
    rows, columns = (_differences(distances, kinds) for kinds in (navigators, refiners))
    excess = rows[:, None] - ALIKE * columns  # (pairs of navigators, pairs of refiners, parts)
    errors = excess.std(-1, ddof=1) / math.sqrt(excess.shape[-1])
    excess = curves.lead(excess.mean(-1), errors, excess.shape[-1] - 1)
    note = f"navigators {spread(navigators):.3g} apart, refiners {spread(refiners):.3g}"
    note += "".join(f"; {name} {means[f'{name} > {ORACLE}'] - means[IDEAL]:+.3g} from the oracle" for name in others)
    return [Finding(case, below(excess, 0.0), excess, note)]


def _differences(distances, kinds):
    """One kind minus another, of every ordered pair, part by part of the samples: float (pairs, parts)."""
    return np.array([distances.parts[one] - distances.parts[other] for one, other in itertools.permutations(kinds, 2)])


NAVIGATORS_ARE_ALIKE = Claim(
    section="",
    group=PROJECT,
    stage=NAVIGATION,
    id="navigators-are-alike",
    statement="Once the oracle refines, navigators are alike: Gaussian, models of every size and the oracle itself.",
    paper="not stated",
    figure="tab_halves",
    quantity=f"spread of the distances of navigators with the oracle after the split, minus {ALIKE} times that of "
    "refiners with the oracle before it",
    rule="spread: highest minus lowest, without an early snapshot. Holds if the whole interval is at most zero; "
    f"{CHOSEN}; {SEEDS}",
    needs=("halves", "split"),
    check=_halves(_alike),
)


def _most(case, distances, rows):
    findings = []
    for name in models_of(rows):
        parts, where = parts_of(name, name), f"{case}, {name}"
        whole = distances.contrast(parts["whole"])
        if (exceeds := above(whole, 0.0)) != HOLDS:
            note = f"{whole.value:+.3g} in excess of the oracle's: not clear of zero, so it has no shares"
            findings.append(Finding(where, unclear(exceeds), None, note))
            continue
        made = distances.contrast(parts["refinement"])
        note = f"{made.value / whole.value:.0%} of the excess ({made.value:+.3g} of {whole.value:+.3g})"
        # The sign of refinement - MOST * whole decides without dividing one noisy number by another.
        weights = pd.concat([pd.Series(parts["refinement"]), -MOST * pd.Series(parts["whole"])])
        excess = distances.contrast(weights.groupby(level=0).sum().to_dict())
        findings.append(Finding(where, above(excess, 0.0), excess, note))
    return findings


REFINEMENT_MAKES_MOST = Claim(
    section="",
    group=PROJECT,
    stage=REFINEMENT,
    id="refinement-makes-most-of-the-distance",
    statement="Refinement makes most of a model's distance in excess of the oracle's own.",
    paper="not stated",
    figure="tab_halves",
    quantity=f"refinement's share of the excess distance, minus {MOST} times the whole excess",
    rule="share: mean over both orders of replacing the oracle (Shapley). Holds if the whole interval is above zero; "
    f"{SEEDS}",
    needs=("halves", "split"),
    check=_halves(_most),
)
