"""claims.json as a page: claims first; verdicts as sign, word and colour; sortable; readable on a phone."""

import math
from collections import Counter
from dataclasses import dataclass

from twostage.report import template
from twostage.report.claims import record
from twostage.report.claims.claim import GROUPS, OTHERS, STAGES, THE_PAPER, VERDICTS
from twostage.report.claims.record import CheckedClaim
from twostage.report.results import paper
from twostage.report.results.words import plain

FIGURE_NAMES = {"law": "law", "nsweep": "N sweep"}


@dataclass(frozen=True)
class ShownFinding:
    """A finding with its numbers as text."""

    case: str
    verdict: str
    value: str | None
    interval: str
    note: str


@dataclass(frozen=True)
class ShownClaim(CheckedClaim):
    """A claim as the page shows it; its findings are ``ShownFinding``.

    place: in the paper; theirs: whose number ``paper`` is; name: of its figure; seen: whether it is seen there; order:
    of its verdict; same: the number of cases whose verdict is the claim's.
    """

    place: str
    theirs: str
    name: str
    seen: bool
    order: int
    same: int


def page(content):
    """claims.html (str) from the content of claims.json (``record.Checked``)."""
    return template.render("pages/claims.html", **told(content))


def told(content):
    """The content of the page for its templates (dict): claims in groups, and what their intervals mean."""
    claims = [shown(claim) for claim in content.claims]
    groups = [(group, [claim for claim in claims if claim.group == group]) for group in GROUPS]
    return {
        "groups": [(group, counts(chosen), chosen) for group, chosen in groups if chosen],
        "choices": choices(claims),
        "ruled": [claim for claim in claims if claim.rule],
        "decided": content.decided,
        "wrong_by_chance": f"{content.wrong_by_chance:.0f}",
        "replicates": content.replicates,
        "setting": paper.SETTING,
    }


def choices(claims):
    """[(name, [(value, words)])]: the papers, verdicts and stages of claims, as their rows are marked."""
    papers = {"": ("project", "this project"), THE_PAPER: (THE_PAPER, f"{THE_PAPER}, the paper")}
    found = sorted({claim.arxiv for claim in claims}, key=lambda arxiv: (arxiv != THE_PAPER, arxiv != "", arxiv))
    verdicts, stages = ({getattr(claim, name) for claim in claims} for name in ("verdict", "stage"))
    return [
        ("paper", [papers.get(arxiv, (arxiv, f"arXiv {arxiv}")) for arxiv in found]),
        ("verdict", [(verdict, verdict) for verdict in VERDICTS if verdict in verdicts]),
        ("stage", [(stage, stage) for stage in STAGES if stage in stages]),
    ]


def counts(claims):
    """[(verdict, number of claims)], every verdict once."""
    found = Counter(claim.verdict for claim in claims)
    return [(verdict, found[verdict]) for verdict in VERDICTS]


def shown(claim):
    """A ``CheckedClaim`` as a ``ShownClaim``."""
    findings = [
        ShownFinding(
            finding.case,
            finding.verdict,
            None if finding.value is None else written(finding.value, claim.form),
            ", ".join(written(end, claim.form) for end in finding.interval or ()),
            finding.note,
        )
        for finding in claim.findings
    ]
    place = f"Sec. {claim.section}" if claim.section[:1].isdigit() else claim.section
    return ShownClaim(
        **(vars(claim) | {"findings": findings}),
        place=", ".join(filter(None, [f"arXiv {claim.arxiv}" if claim.group == OTHERS else "", place])),
        theirs="its authors" if claim.group == OTHERS else "paper",
        name=figure_name(claim.figure),
        # a claim decided on the paper's numbers alone has a verdict even if no figure was drawn
        seen=bool(claim.sources) and any(finding.case for finding in findings),
        order=VERDICTS.index(claim.verdict),
        same=sum(finding.verdict == claim.verdict for finding in findings),
    )


def written(value, form):
    """A number as text: shares in percent, times to three decimals, others to three digits."""
    if value is None or not math.isfinite(value):
        return "–"
    if form == "share":
        return plain(f"{100 * value:.3g}%")
    return plain(f"{value:.3f}" if form == "time" else f"{value:.3g}")


def figure_name(figure):
    """A figure's name as a reader knows it: "Fig. 2" for fig2."""
    if figure in FIGURE_NAMES:
        return FIGURE_NAMES[figure]
    for prefix, word in (("fig_", "Fig. "), ("fig", "Fig. "), ("tab", "Tab. ")):
        if figure.startswith(prefix):
            return word + figure.removeprefix(prefix).replace("_", " ")
    return figure


def write(output, claims, *, config=None):
    """Write the page of ``claims``, the path of claims.json, with its provenance."""
    template.write(output, page(record.read(claims)), config=config, inputs=[claims])
