"""The information about the image in the gap between the targets: the sum rule of Fig. 2a (docs/theory.md, Sec. 3)."""

import math

from twostage.report.claims.claim import DATA, PROJECT, Claim, Finding, above, within
from twostage.report.results import curves, paper
from twostage.report.results.information import carried, cases, paper_information, whole_by_gap

SAME = 0.1  # of the entropy
READ_WITHIN = 2  # factor to which the paper's rise can be read off
TAIL = paper.FIG2A_TAIL[:3]
KINDS = {"class": "within classes", "all": "all data", "synthetic": ""}


def _whole(*conditionings):
    """A check that the information from the gap is the whole entropy, in every case of these kinds."""

    def check(run):
        findings = []
        for space, kind, rows in cases(run.information, *conditionings):
            share, last = whole_by_gap(rows), rows.iloc[-1]
            name = f"D = {last['dim']:,.0f}, N = {last['n']:,.0f}" if kind == "synthetic" else KINDS.get(kind)
            note = f"{last['by_gap']:.3f} ± {last['by_gap_sem']:.3f} nats of {last['total']:.3f}"
            findings.append(
                Finding(f"{space}, {name}" if name else space, within(share, 1 - SAME, 1 + SAME), share, note)
            )
        return findings

    return check


SUM_RULE = Claim(
    section="",
    group=PROJECT,
    id="information-sum-rule",
    stage=DATA,
    statement="The gap between the targets carries the whole information about the image: its area, weighted by "
    "t / (1 - t), times D is the entropy of the training set (log N without copies).",
    paper="not stated",
    figure="fig_information",
    quantity="D times the weighted area under the gap, divided by the entropy",
    rule=f"holds if the whole interval lies within {SAME:.0%} of 1",
    form="share",
    needs=("information",),
    check=_whole("class", "all", "synthetic"),
)


CLASS_IS_TOLD = Claim(
    section="",
    group=PROJECT,
    id="information-of-the-class",
    stage=DATA,
    statement="The gap over all data minus the gap within the classes carries the information about the class: D times "
    "its weighted area is the entropy of the labels.",
    paper="not stated",
    figure="fig_information",
    quantity="D times the weighted area between the two gaps, divided by the entropy of the labels",
    rule=f"holds if the whole interval lies within {SAME:.0%} of 1",
    form="share",
    needs=("information",),
    check=_whole("label"),
    of_classes=True,
)


def _paper_obeys(run):
    findings = []
    for space, _, rows in cases(paper_information(), "paper"):
        share, last = whole_by_gap(rows), rows.iloc[-1]
        note = f"{last['by_gap']:.2f} nats up to t = {last['t']}; log {paper.IMAGES:,} = {last['total']:.2f}"
        findings.append(Finding(space, within(share, 1 - SAME, 1 + SAME), share, note))
    return findings


PAPER_OBEYS = Claim(
    section="",
    group=PROJECT,
    id="paper-obeys-the-sum-rule",
    stage=DATA,
    statement="The paper's Fig. 2a obeys the sum rule up to t = 0.1 in both of its latent spaces (decided on the "
    "figure's own points, without a run).",
    paper=f"not stated; about {paper.IMAGES:,} images per class",
    figure="fig_information",
    quantity="D times the weighted area under the points read off, divided by the logarithm of the number of images",
    rule=f"holds if the whole interval lies within {SAME:.0%} of 1; the interval is for points read off to "
    f"{paper.READING}",
    form="share",
    check=_paper_obeys,
)


def _paper_rise(run):
    findings, known = [], math.log(paper.IMAGES)
    for name, dim in paper.DIMENSION.items():
        nats = carried(TAIL, dim)[-1]
        share = curves.Estimate(*(nats * factor / known for factor in (1, 1 / READ_WITHIN, READ_WITHIN)))
        findings.append(Finding(f"paper, {name}", above(share, 1.0), share, f"{nats:.0f} nats of {known:.2f}"))
    return findings


PAPER_RISE_IS_TOO_MUCH = Claim(
    section="",
    group=PROJECT,
    id="paper-rise-is-not-the-oracles",
    stage=DATA,
    statement="The rise of the paper's Fig. 2a as t → 1 cannot come from the exact oracle: the rise alone would carry "
    "more than the whole information (decided on the figure's own points, without a run).",
    paper=", ".join(f"{mse} at {t}" for t, mse in TAIL),
    figure="fig_information",
    quantity=f"D times the weighted area from t = {TAIL[0][0]} to {TAIL[-1][0]}, divided by the logarithm of the "
    "number of images",
    rule=f"holds if the whole interval is above 1; the interval is for points read off to a factor of {READ_WITHIN}",
    check=_paper_rise,
)
