"""claims.json: every claim with its verdict and findings, as the pages read it."""

import json
import math
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from twostage.provenance import write_json
from twostage.report.claims.claim import (
    BOTH,
    FAILS,
    HOLDS,
    NOT_TESTED,
    PAPER,
    SIDE,
    THE_PAPER,
    VERDICTS,
    together,
)
from twostage.storage import name_of

AS_BOOLEAN = {HOLDS: True, FAILS: False}


@dataclass(frozen=True)
class CheckedFinding:
    """A finding as it is in the JSON: ``value`` and ``interval`` [low, high] are None where they are not known."""

    case: str
    verdict: str
    holds: bool | None
    value: float | None
    interval: list[float] | None
    note: str


@dataclass(frozen=True)
class CheckedClaim:
    """A claim with the verdict over its cases; sources: the files on which it was checked. The rest as in ``Claim``."""

    id: str
    group: str
    arxiv: str
    stage: str
    section: str
    statement: str
    verdict: str
    holds: bool | None
    paper: str
    quantity: str
    rule: str
    covers: str
    form: str
    figure: str
    sources: list[str]
    findings: list[CheckedFinding]


@dataclass(frozen=True)
class Checked:
    """The claims of a run; counts: {verdict: number of claims}.

    ``decided``: number of cases that hold or fail on an interval; ``wrong_by_chance``: at most this many of these
    verdicts are expected to be wrong; ``replicates``: what other seeds changed, a sentence, "" where it is not known.
    """

    counts: dict[str, int]
    decided: int
    wrong_by_chance: float
    claims: list[CheckedClaim]
    replicates: str = ""


def checked(evaluated, run, replicates=""):
    """The claims of ``verdicts.evaluate`` on a run (``Results``), a ``Checked``; replicates: as there."""
    claims = [_claim(claim, findings, run.paths_of(claim.needs)) for claim, findings in evaluated]
    counts = Counter(claim.verdict for claim in claims)
    found = [finding for claim in claims for finding in claim.findings]
    decided = sum(finding.interval is not None and finding.verdict in AS_BOOLEAN for finding in found)
    counts = {verdict: counts[verdict] for verdict in VERDICTS}
    return Checked(counts, decided, round(SIDE * decided, 2), claims, replicates)


def write(path, content):
    """Write a ``Checked`` as JSON, atomically."""
    write_json(path, asdict(content))


def read(path):
    """The ``Checked`` of a claims.json. Raises ValueError where it cannot be read or lacks a key."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        claims = []
        for claim in content["claims"]:
            findings = [CheckedFinding(**finding) for finding in claim["findings"]]
            # files of earlier versions know neither
            told = {"arxiv": THE_PAPER if claim["group"] == PAPER else "", "stage": BOTH}
            claims.append(CheckedClaim(**told | claim | {"findings": findings}))
        return Checked(**{**content, "claims": claims})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} cannot be read as claims ({error}); delete it and run `claims` again") from None


def overall(findings):
    """The verdict on a claim over its tested cases: fails if one fails, holds if all hold."""
    return together([finding.verdict for finding in findings if finding.verdict != NOT_TESTED])


def _claim(claim, findings, sources):
    verdict = overall(findings)
    return CheckedClaim(
        id=claim.id,
        group=claim.group,
        arxiv=claim.arxiv,
        stage=claim.stage,
        section=claim.section,
        statement=claim.statement,
        verdict=verdict,
        holds=AS_BOOLEAN.get(verdict),
        paper=claim.paper,
        quantity=claim.quantity,
        rule=claim.rule,
        covers=claim.covers,
        form=claim.form,
        figure=claim.figure,
        sources=[name_of(path) for path in sources],
        findings=[_finding(finding) for finding in findings],
    )


def _finding(finding):
    value, low, high = map(_finite, finding.estimate or (None, None, None))
    interval = None if None in (low, high) or low == high else [low, high]
    return CheckedFinding(finding.case, finding.verdict, AS_BOOLEAN.get(finding.verdict), value, interval, finding.note)


def _finite(value):
    return float(value) if value is not None and math.isfinite(value) else None
