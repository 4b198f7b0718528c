"""What a claim is, and the rules by which a number becomes a verdict.

A verdict compares a 95% interval with a threshold: "holds" when the whole interval lies on the right side, "fails"
when it lies on the wrong side, "undecided" when the threshold lies inside it or the interval is not known, "not tested"
when the run has no results for the claim, its scale is not that of the statement, or the two quantities that are
compared are exactly alike: samples of a constant model, or two models that are one.
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from twostage.report.results.curves import Estimate
from twostage.report.results.run import Results
from twostage.report.results.sources import SOURCES

HOLDS, FAILS, UNDECIDED, NOT_TESTED = "holds", "fails", "undecided", "not tested"
VERDICTS = (HOLDS, FAILS, UNDECIDED, NOT_TESTED)

PAPER = "Statements of the paper"
PROJECT = "Statements of this project"
OTHERS = "Statements of others"
GROUPS = (PAPER, PROJECT, OTHERS)
THE_PAPER = "2512.02826"  # arXiv id
NAVIGATION, REFINEMENT, BOTH, DATA = "navigation", "refinement", "both stages", "the data alone"
STAGES = (NAVIGATION, REFINEMENT, BOTH, DATA)
WHOLE_RUN = "whole run"
ARXIV = re.compile(r"\d{4}\.\d{4,5}")

CHOSEN = "the interval accounts for the choice (Bonferroni)"  # in rules on the smallest, largest or best of several
SEEDS = "95% interval of the difference by the jackknife: the same tenth of the samples is left out of every plan"
APART = "the lowest are chosen on one half of the samples and compared on the other half"
BANDS = (
    "intervals of two means are combined as if independent, although they share their samples, so they are wider than "
    "needed"
)
SIDE = 0.025  # how often a 95% interval lies wholly on one given side of the true number


@dataclass(frozen=True)
class Finding:
    """The result of a run for a claim in one case (a latent space, unit Gaussians, ...).

    estimate: the number judged, with its 95% interval, or None; ``note``: further numbers that help to judge it.

    >>> share = Estimate(0.9, low=0.85, high=0.95)
    >>> Finding("pixel", above(share, 0.8), share).verdict
    'holds'
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
    the sources in ``Results`` without which it is not tested; check: Results -> list of Finding; arxiv: the id of the
    paper that states it, by default this project's paper, "" for statements of the project; group: by default that of
    ``arxiv``; stage: one of ``STAGES``, what the statement is about; of_classes: whether it is about classes, and not
    tested where the data have none. Raises ValueError for an id or stage that is none.

    >>> check = lambda run: [Finding("pixel", HOLDS)]
    >>> claim = Claim("top1", "Sec. 2", "One image outweighs all others", "0.95", "fig2", check=check)
    >>> claim.group, claim.arxiv
    ('Statements of the paper', '2512.02826')
    >>> Claim("skips-steps", "Sec. 4", "A Gaussian does", "0.99", "fig2", check=check, arxiv="2412.09726").group
    'Statements of others'
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
    check: Callable[[Results], list[Finding]] = field(kw_only=True)
    group: str = ""
    arxiv: str = ""
    stage: str = BOTH
    of_classes: bool = False

    def __post_init__(self) -> None:
        arxiv = self.arxiv or ("" if self.group == PROJECT else THE_PAPER)
        group = {"": PROJECT, THE_PAPER: PAPER}.get(arxiv, OTHERS)
        if arxiv and not ARXIV.fullmatch(arxiv):
            raise ValueError(f"claim {self.id}: arxiv is {arxiv!r}; expected an id such as {THE_PAPER!r}")
        if self.group not in ("", group):
            raise ValueError(f"claim {self.id}: its group is {self.group!r}; expected {group!r}, for arxiv {arxiv!r}")
        if self.stage not in STAGES:
            raise ValueError(f"claim {self.id}: stage is {self.stage!r}; expected one of {', '.join(STAGES)}")
        object.__setattr__(self, "arxiv", arxiv)
        object.__setattr__(self, "group", group)

    @property
    def covers(self) -> str:
        """The randomness that the claim's intervals cover, in words; "" for a claim on the paper's numbers alone."""
        return next((source.covers for name, source in SOURCES.items() if name in self.needs and source.covers), "")


def is_alike(estimate: Estimate, threshold: float) -> bool:
    """Whether an estimate lies on the threshold, without any width: what is compared does not differ at all."""
    return bool(estimate.low == estimate.value == estimate.high == threshold)


def above(estimate: Estimate, threshold: float) -> str:
    """The verdict on "the number is above the threshold"; "not tested" where it ``is_alike``."""
    if is_alike(estimate, threshold):
        return NOT_TESTED
    if not (math.isfinite(estimate.value) and not math.isnan(estimate.low) and not math.isnan(estimate.high)):
        return UNDECIDED
    if estimate.low > threshold:
        return HOLDS
    return FAILS if estimate.high <= threshold else UNDECIDED


def below(estimate: Estimate, threshold: float) -> str:
    """The verdict on "the number is at most the threshold"; "not tested" where it ``is_alike``."""
    verdict = above(estimate, threshold)
    return {HOLDS: FAILS, FAILS: HOLDS}.get(verdict, verdict)


def within(estimate: Estimate, low: float, high: float) -> str:
    """The verdict on "the number lies between low and high"."""
    return together([above(estimate, low), below(estimate, high)])


def together(verdicts: Iterable[str]) -> str:
    """The verdict on all of several statements: fails if one fails, holds if all hold."""
    verdicts = list(verdicts)
    if FAILS in verdicts:
        return FAILS
    if not verdicts or NOT_TESTED in verdicts:
        return NOT_TESTED
    return UNDECIDED if UNDECIDED in verdicts else HOLDS


def unclear(verdict: str) -> str:
    """The verdict on a share of a whole of which "it is above zero" has this verdict, but does not hold."""
    return NOT_TESTED if verdict == NOT_TESTED else UNDECIDED


def deciding(judged: Iterable[tuple[Estimate, str]]) -> tuple[Estimate, str]:
    """From several (Estimate, verdict), the estimate that decides and the verdict on all of them.

    For a claim that several numbers must fulfil: the number that is shown is then the one that decided.
    """
    judged = list(judged)
    verdict = together(verdict for _, verdict in judged)
    return next(estimate for estimate, own in judged if own == verdict), verdict


def exactly(value: float) -> Estimate:
    """A number without an interval, as an Estimate."""
    return Estimate(float(value), float(value), float(value))


def case_of(space: str, features: str, usual: str = "classifier") -> str:
    """The name of a case: the latent space, and the features of its distances unless they are the ``usual`` ones."""
    return space if features == usual else f"{space}, {features}"
