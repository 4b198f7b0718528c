"""What a claim is, the results it is checked on, and the rules by which a number becomes a verdict.

A verdict compares a 95% interval with a threshold: "holds" when the whole interval lies on the right side, "fails"
when it lies on the wrong side, "undecided" when it straddles the threshold or is not known, "not tested" when the run
has no results for it or its scale is not the statement's.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from twostage.report import convergence, results, results_sampling
from twostage.report.curves import Estimate
from twostage.report.paired import PairErrors

HOLDS, FAILS, UNDECIDED, NOT_TESTED = "holds", "fails", "undecided", "not tested"
VERDICTS = (HOLDS, FAILS, UNDECIDED, NOT_TESTED)

PAPER = "Statements of the paper"
PROJECT = "Statements of this project"
WHOLE_RUN = "whole run"

# What an interval covers, by the source that a claim is checked on; the first of its sources that is listed counts.
OF_SAMPLES = "the sampling: other noise and labels, the same trained models"
OF_PAIRS = "the pairs (x_0, x_1): other noise and images of the same data, the same trained models"
OF_STEPS = "the steps: other batches, the same machine and what else it did meanwhile"
OF_DATA = "the pairs (x_0, x_1): other noise and images of the same data"
COVERS = {
    **dict.fromkeys(("pair_errors", "oracle_loss"), OF_PAIRS),
    **dict.fromkeys(("tab1", "tab2", "tab3", "oracle_supervised", "trajectories", "flux"), OF_SAMPLES),
    **dict.fromkeys(("memorization_switch", "memorization_resume"), OF_SAMPLES),
    **dict.fromkeys(("top1", "synthetic_transition"), "the trials: other unit Gaussians"),
    "nsweep": "the subsets of the data",
    "supervised_log": OF_STEPS,
    "transition": OF_DATA,
    "posterior": OF_DATA,
}
CHOSEN = "the interval accounts for the choice (Bonferroni)"  # in rules on the least, greatest or best of several
SIDE = 0.025  # how often a 95% interval lies wholly on one side of its number


@dataclass(frozen=True)
class Finding:
    """What a run says about a claim in one case (a latent space, unit Gaussians, ...).

    estimate: the number judged, with its 95% interval; None where there is none. ``note`` adds what helps to judge it.
    """

    case: str
    verdict: str
    estimate: Estimate | None = None
    note: str = ""


@dataclass(frozen=True)
class Claim:
    """A statement with the rule that decides it.

    statement: in our words; section, paper: where the paper says it and with which value; quantity: what ``estimate``
    measures; rule: the decision in words; form: how the number is written ("share", "time", "number"); needs: names of
    the sources in ``Results`` without which it is not tested; check: Results -> list of Finding.
    """

    id: str
    section: str
    statement: str
    paper: str
    figure: str
    quantity: str = ""
    rule: str = ""
    form: str = "number"
    needs: tuple[str, ...] = ()
    check: Callable | None = None
    group: str = PAPER

    @property
    def covers(self):
        """What the claim's intervals cover, in words; "" for a claim that is not checked."""
        return next((words for source, words in COVERS.items() if source in self.needs), "")


@dataclass
class Results:
    """The tables of a run that claims are checked on; each is made when first asked for.

    posterior, transition, split (split.json), oracle_loss, tab1, tab2, tab3, curves, nsweep, trajectories (fig8.csv),
    memorization_switch, memorization_resume (fig5-, fig6-memorization.csv), oracle_supervised
    (fig_oracle_supervised.csv), supervised_log (stats.jsonl of the oracle-supervised model), pair_errors
    (oracle_loss.h5, the losses pair by pair): {space: path}; top1,
    synthetic_transition, synthetic_curves, flux (flux.csv): paths; any may be None. models: names, smallest first, of
    the models that differ in size alone; pairs: {oracle-supervised model: its CFM twin}.
    """

    posterior: dict | None = None
    transition: dict | None = None
    split: dict | None = None
    top1: str | None = None
    oracle_loss: dict | None = None
    pair_errors: dict | None = None
    tab1: dict | None = None
    curves: dict | None = None
    synthetic_transition: str | None = None
    synthetic_curves: str | None = None
    nsweep: dict | None = None
    tab2: dict | None = None
    tab3: dict | None = None
    trajectories: dict | None = None
    memorization_switch: dict | None = None
    memorization_resume: dict | None = None
    oracle_supervised: dict | None = None
    supervised_log: dict | None = None
    flux: str | None = None
    models: list | None = None
    pairs: dict | None = None
    sources: tuple = field(
        default=(
            "posterior", "transition", "split", "top1", "oracle_loss", "pair_errors", "tab1", "curves",
            "synthetic_transition", "synthetic_curves", "nsweep", "tab2", "tab3", "trajectories",
            "memorization_switch", "memorization_resume", "oracle_supervised", "supervised_log", "flux",
        ),
        repr=False,
    )  # fmt: skip

    def has(self, name):
        return bool(getattr(self, name))

    @property
    def paths(self):
        """Paths of everything given, for the provenance."""
        return self.paths_of(self.sources)

    def paths_of(self, names):
        """Paths of the sources of these names, of those that are given."""
        given = [getattr(self, name) for name in names if self.has(name)]
        return [path for source in given for path in (source.values() if isinstance(source, dict) else [source])]

    @cached_property
    def posteriors(self):
        return results.posterior_curves(self.posterior, self.transition, self.split)

    @cached_property
    def gaussians(self):
        return results.gaussian_curves(self.top1)

    @cached_property
    def losses(self):
        return results.loss_curves(self.oracle_loss, self.split, models=self.models)

    @cached_property
    def pairs_of(self):
        """{space: its PairErrors}"""
        return {space: PairErrors(path) for space, path in self.pair_errors.items()}

    @cached_property
    def swaps(self):
        return results.stage_swaps(self.tab1)

    @cached_property
    def transitions(self):
        return results.transition_points(self.transition or {}, self.synthetic_transition)

    @cached_property
    def sizes(self):
        return results.size_sweep(self.nsweep)

    @cached_property
    def shifts(self):
        return results_sampling.timestep_shifts(self.tab2, self.split)

    @cached_property
    def guidance(self):
        return results_sampling.guidance_intervals(self.tab3, self.split)

    @cached_property
    def paths_of_samples(self):
        return results_sampling.trajectories(self.trajectories, self.split)

    @cached_property
    def flux_trajectories(self):
        return results_sampling.flux_trajectories(self.flux)

    @cached_property
    def switched(self):
        return results_sampling.memorisation(self.memorization_switch, "t_switch", self.split)

    @cached_property
    def resumed(self):
        return results_sampling.memorisation(self.memorization_resume, "t_resume", self.split)

    @cached_property
    def twins(self):
        # Twins are trained where their experiment runs, which may not be every latent space.
        losses = {space: self.oracle_loss[space] for space in self.oracle_supervised or self.oracle_loss}
        return convergence.losses_of_twins(losses, self.split, self.pairs)

    @cached_property
    def twin_distances(self):
        return convergence.distances_of_twins(self.oracle_supervised, self.pairs)

    def stages(self, space):
        """(split, saturation): the times that bound navigation from above and refinement from below.

        Navigation is [0, split]; refinement [saturation, 1], where saturation is the time from which on the top-1
        weight stays at 0.95 (about 0.1 in the paper). What lies between belongs to neither.
        """
        saturation = results.saturation(self.posteriors, space).value
        split = self.posteriors.loc[self.posteriors["space"] == space, "split"].iloc[0]
        return float(split), saturation


def above(estimate, threshold):
    """The verdict on "the number is above the threshold"."""
    if not (math.isfinite(estimate.value) and not math.isnan(estimate.low) and not math.isnan(estimate.high)):
        return UNDECIDED
    if estimate.low > threshold:
        return HOLDS
    return FAILS if estimate.high <= threshold else UNDECIDED


def below(estimate, threshold):
    """The verdict on "the number is at most the threshold"."""
    return {HOLDS: FAILS, FAILS: HOLDS}.get(above(estimate, threshold), UNDECIDED)


def within(estimate, low, high):
    """The verdict on "the number lies between low and high"."""
    return together([above(estimate, low), below(estimate, high)])


def together(verdicts):
    """The verdict on all of several statements: fails if one fails, holds if all hold."""
    verdicts = list(verdicts)
    if not verdicts or NOT_TESTED in verdicts:
        return NOT_TESTED
    if FAILS in verdicts:
        return FAILS
    return UNDECIDED if UNDECIDED in verdicts else HOLDS


def deciding(judged):
    """Of several (Estimate, verdict), those that decide: the estimate with the worst verdict, and that verdict.

    For a claim that several numbers must fulfil: the number that is shown is then the one that was judged.
    """
    judged = list(judged)
    verdict = together(verdict for _, verdict in judged)
    return next(estimate for estimate, own in judged if own == verdict), verdict


def exactly(value):
    """A number without an interval of its own, as an Estimate."""
    return Estimate(float(value), float(value), float(value))
