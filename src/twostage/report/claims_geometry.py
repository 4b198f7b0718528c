"""The paper's Sec. 3, 4.2 and App. D: what dimension, sample size, geometry and schedule alone decide."""

import math
from itertools import pairwise

from twostage.report import curves, results
from twostage.report.claim import NOT_TESTED, Claim, Finding, below, exactly, together, within
from twostage.report.claims_sampling import SHARE, share_of
from twostage.report.results_sampling import of_plans

STEPS = 50  # of the paper's schedule
RISE = (0.1, 0.9)  # weights between which a transition is measured


def _sharper(run):
    widths = []
    pairs = results.gaussian_pairs(run.gaussians, "dimension")
    for dim, size in pairs:
        rows = results.gaussian_curve(run.gaussians, "dimension", dim, size)
        first, last = (curves.crossing(rows["t"], rows["top1"], rows["top1_sem"], level) for level in RISE)
        widths.append(curves.difference(last, first))
    changes = [curves.difference(after, before) for before, after in pairwise(widths)]
    note = ", ".join(f"D = {dim:,}: {width.value:.3f}" for (dim, _), width in zip(pairs, widths))
    verdict = together(below(change, 0.0) for change in changes)
    return [Finding(results.SYNTHETIC, verdict, curves.difference(widths[-1], widths[0]), note)]


def gaussian_split(dim, size):
    """The split that the law gives for ``size`` unit Gaussians of dimension ``dim`` (docs/theory.md, Sec. 3)."""
    r = math.sqrt(size ** (2 / dim) - 1)
    return r / (1 + r)


def _like_gaussians(run):
    findings = []
    for space in dict.fromkeys(run.posteriors["space"]):
        first = results.posterior_of(run.posteriors, space).iloc[0]
        split = curves.Estimate(first["split"], first["split_low"], first["split_high"])
        gaussian = gaussian_split(first["dim"], first["n"])
        share = curves.ratio(split, exactly(gaussian))
        note = (
            f"split {split.value:.3f}; unit Gaussians of D = {first['dim']:,.0f}, N = {first['n']:,.0f}: {gaussian:.3f}"
        )
        findings.append(Finding(space, within(share, 0.8, 1.25), share, note))
    return findings


def _not_from_scratch(run):
    findings = []
    for space, features in run.switched[["space", "features"]].drop_duplicates().itertuples(index=False):
        rows = of_plans(run.switched, space, features)
        rows = rows[rows["t"] == 0]
        case = space if features == "pixel" else f"{space}, {features}"
        if rows.empty:
            findings.append(Finding(case, NOT_TESTED, note="no samples of the model alone"))
            continue
        share = share_of(rows.iloc[0]["copied"], rows.iloc[0]["samples"])
        findings.append(Finding(case, below(share, 0.05), share, f"{rows.iloc[0]['samples']:,} samples"))
    return findings


def _shares(run):
    known = run.shifts.dropna(subset="paper_share")
    known = known[known["steps"] == STEPS]
    if known.empty:
        return [Finding("", NOT_TESTED, note=f"no shift of the paper with {STEPS} steps")]
    off = exactly((known["share_before_0.2"] - known["paper_share"]).abs().max())
    shares = known.drop_duplicates("shift")
    note = ", ".join(f"s = {s:g}: {share:.0%}" for s, share in zip(shares["shift"], shares["share_before_0.2"]))
    return [Finding(f"{STEPS} steps", below(off, 0.005), off, note)]


CLAIMS = [
    Claim(
        id="larger-dimension-sharper",
        section="3",
        statement="The larger the dimension D, the faster the posterior saturates once it begins to (unit Gaussians, N "
        "fixed).",
        paper="weight 0.1 to 0.9 within about 0.09, 0.07, 0.04 for D = 512, 2,048, 8,192",
        figure="fig3",
        quantity="time from top-1 weight 0.1 to 0.9, largest D minus smallest",
        rule="holds if it falls from each D to the next, each fall clear of zero",
        form="time",
        needs=("top1",),
        check=_sharper,
    ),
    Claim(
        id="data-like-unit-gaussians",
        section="3",
        statement="Normalised real data split like unit Gaussians of the same D and N.",
        paper="real data deviate slightly, their behaviour remains similar",
        figure="fig2",
        quantity="measured split over that of unit Gaussians",
        rule="holds if the whole interval lies between 0.8 and 1.25",
        needs=("posterior", "transition"),
        check=_like_gaussians,
    ),
    Claim(
        id="from-scratch-is-novel",
        section="4.2",
        statement="Sampled from the prior, the model reproduces no training images.",
        paper="highly unlikely where the data set exceeds the model's capacity to memorise",
        figure="fig5",
        quantity="share of samples of the model alone that are copies (d1/d2 < 1/3)",
        rule=f"holds if the whole interval is at most 5%; {SHARE}",
        form="share",
        needs=("memorization_switch",),
        check=_not_from_scratch,
    ),
    Claim(
        id="shares-of-the-shifted-steps",
        section="App. D",
        statement="Of 50 steps shifted by s, these shares start at t′ ≤ 0.2.",
        paper="6, 12, 22, 28, 34, 46, 72% for s = 4, 2, 1, 0.7, 0.5, 0.3, 0.1",
        figure="tab2",
        quantity="largest difference from the paper's share",
        rule="holds if it is at most half a percentage point at every shift of the paper that was run",
        form="share",
        needs=("tab2",),
        check=_shares,
    ),
]
