"""The paper's Sec. 3: the effect of dimension, sample size and the data's geometry (Figs. 2 and 3)."""

import math
from itertools import pairwise

from twostage.report.claims.claim import CHOSEN, DATA, Claim, Finding, below, exactly, within
from twostage.report.results import curves
from twostage.report.results.gaussians import SYNTHETIC, gaussian_curve, gaussian_pairs
from twostage.report.results.posterior import posterior_of

ALIKE = (0.8, 1.25)  # times the split of unit Gaussians
RISE = (0.1, 0.9)  # weights between which a transition is measured


def _sharper(run):
    widths = []
    pairs = gaussian_pairs(run.gaussians, "dimension")
    for dim, size in pairs:
        rows = gaussian_curve(run.gaussians, "dimension", dim, size)
        first, last = (curves.crossing(rows["t"], rows["top1"], rows["top1_sem"], level) for level in RISE)
        widths.append(curves.difference(last, first))
    changes = [curves.difference(after, before) for before, after in pairwise(widths)]
    change = curves.greatest(changes)
    note = ", ".join(f"D = {dim:,}: {width.value:.3f}" for (dim, _), width in zip(pairs, widths))
    return [Finding(SYNTHETIC, below(change, 0.0), change, note)]


LARGER_DIMENSION_SHARPER = Claim(
    id="larger-dimension-sharper",
    stage=DATA,
    section="3",
    statement="The larger the dimension D, the faster the posterior saturates once it begins to (unit Gaussians, N "
    "fixed).",
    paper="weight 0.1 to 0.9 within about 0.09, 0.07, 0.04 for D = 512, 2,048, 8,192",
    figure="fig3",
    quantity="change of the time from top-1 weight 0.1 to 0.9, from each D to the next: the smallest fall",
    rule=f"holds if the whole interval is at most zero; {CHOSEN}",
    form="time",
    needs=("top1",),
    check=_sharper,
)


def gaussian_split(dim, size):
    """The split that the law predicts for ``size`` unit Gaussians of dimension ``dim`` (docs/theory.md, Sec. 3)."""
    r = math.sqrt(size ** (2 / dim) - 1)
    return r / (1 + r)


def _like_gaussians(run):
    findings = []
    for space in dict.fromkeys(run.posteriors["space"]):
        first = posterior_of(run.posteriors, space).iloc[0]
        split = curves.Estimate(*first[["measured", "measured_low", "measured_high"]])
        gaussian = gaussian_split(first["dim"], first["n"])
        share = curves.ratio(split, exactly(gaussian))
        note = (
            f"split {split.value:.3f}; unit Gaussians of D = {first['dim']:,.0f}, N = {first['n']:,.0f}: {gaussian:.3f}"
        )
        findings.append(Finding(space, within(share, *ALIKE), share, note))
    return findings


DATA_LIKE_UNIT_GAUSSIANS = Claim(
    id="data-like-unit-gaussians",
    stage=DATA,
    section="3",
    statement="Normalised real data have about the same split as unit Gaussians of the same D and N.",
    paper="real data deviate slightly, their behaviour remains similar",
    figure="fig2",
    quantity="measured split divided by that of unit Gaussians",
    rule=f"holds if the whole interval lies between {ALIKE[0]} and {ALIKE[1]}",
    needs=("posterior", "transition"),
    check=_like_gaussians,
)
