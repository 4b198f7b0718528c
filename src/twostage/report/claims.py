"""Every statement that a run can check, checked on its own numbers: JSON and CSV.

The verdict is the outcome of a rule (``twostage.report.claim``) on the results, never typed in. The paper's statements
live in ``claims_target``, ``claims_geometry``, ``claims_learning``, ``claims_swap``, ``claims_sampling`` and
``claims_untested``, this
project's own in ``claims_project``.
"""

import math
from collections import Counter

import pandas as pd

from twostage.provenance import write_json, write_provenance
from twostage.report import (
    claims_geometry,
    claims_learning,
    claims_project,
    claims_sampling,
    claims_swap,
    claims_target,
    claims_untested,
    style,
)
from twostage.report.claim import FAILS, HOLDS, NOT_TESTED, SIDE, VERDICTS, Finding, Results, together

CLAIMS = [
    *claims_target.CLAIMS,
    *claims_geometry.CLAIMS,
    *claims_learning.CLAIMS,
    *claims_swap.CLAIMS,
    *claims_sampling.CLAIMS,
    *claims_untested.CLAIMS,
    *claims_project.CLAIMS,
]
AS_BOOLEAN = {HOLDS: True, FAILS: False}


def evaluate(run, claims=CLAIMS):
    """Check every claim on a run (``Results``): list of (Claim, [Finding, ...]), in the claims' order."""
    return [(claim, _findings(claim, run)) for claim in claims]


def _findings(claim, run):
    if claim.check is None:
        return [Finding("", NOT_TESTED, note="no figure or table of this run covers it")]
    missing = [name for name in claim.needs if not run.has(name)]
    if missing:
        return [Finding("", NOT_TESTED, note=f"this run has no {', '.join(missing)}")]
    return claim.check(run) or [Finding("", NOT_TESTED, note="no case to check")]


def table(evaluated):
    """One row per (claim, case): DataFrame with the columns of claims.csv."""
    rows = []
    for claim, findings in evaluated:
        for finding in findings:
            estimate = finding.estimate
            low, high = (estimate.low, estimate.high) if estimate else (math.nan, math.nan)
            rows.append(
                {
                    "id": claim.id, "group": claim.group, "section": claim.section, "statement": claim.statement,
                    "case": finding.case, "verdict": finding.verdict, "quantity": claim.quantity,
                    "value": estimate.value if estimate else math.nan, "low": low, "high": high,
                    "note": finding.note, "paper": claim.paper, "rule": claim.rule, "covers": claim.covers,
                    "figure": claim.figure,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def as_json(evaluated, run):
    """The content of claims.json: counts of the verdicts, ``chance``, every claim with its findings; null for unknown
    numbers.

    ``sources`` of a claim are the files of ``run`` (``Results``) that it was checked on.
    """
    claims = [_claim_as_json(claim, findings, run.paths_of(claim.needs)) for claim, findings in evaluated]
    counts = Counter(claim["verdict"] for claim in claims)
    return {"counts": {verdict: counts[verdict] for verdict in VERDICTS}, **chance(claims), "claims": claims}


def chance(claims):
    """How many of the cases' verdicts may be wrong by chance, from the claims of claims.json.

    ``decided``: the cases that hold or fail on an interval; ``wrong_by_chance``: at most as many are expected to.
    """
    found = [finding for claim in claims for finding in claim["findings"]]
    decided = sum(finding["interval"] is not None and finding["verdict"] in AS_BOOLEAN for finding in found)
    return {"decided": decided, "wrong_by_chance": round(SIDE * decided, 2)}


def _claim_as_json(claim, findings, sources):
    verdict = overall(findings)
    return {
        "id": claim.id,
        "group": claim.group,
        "section": claim.section,
        "statement": claim.statement,
        "verdict": verdict,
        "holds": AS_BOOLEAN.get(verdict),
        "paper": claim.paper,
        "quantity": claim.quantity,
        "rule": claim.rule,
        "covers": claim.covers,
        "form": claim.form,
        "figure": claim.figure,
        "sources": [str(path) for path in sources],
        "findings": [
            {
                "case": finding.case,
                "verdict": finding.verdict,
                "holds": AS_BOOLEAN.get(finding.verdict),
                "value": _finite(finding.estimate and finding.estimate.value),
                "interval": _interval(finding),
                "note": finding.note,
            }
            for finding in findings
        ],
    }


def overall(findings):
    """The verdict on a claim over its cases: of those tested, fails if one fails, holds if all hold."""
    return together([f.verdict for f in findings if f.verdict != NOT_TESTED])


def _finite(value):
    return float(value) if value is not None and math.isfinite(value) else None


def _interval(finding):
    if finding.estimate is None:
        return None
    ends = [_finite(end) for end in finding.estimate[1:]]
    return None if None in ends or ends[0] == ends[1] else ends


def write(output_json, output_csv, *, config=None, **sources):
    """Check every claim and write claims.json and claims.csv, atomically, with their provenance.

    sources: the keywords of ``twostage.report.claim.Results``: ``posterior``, ``transition``, ``oracle_loss``,
    ``split``, ``tab1``, ``tab2``, ``tab3``, ``curves``, ``nsweep``, ``trajectories``, ``memorization_switch``,
    ``memorization_resume``, ``oracle_supervised``, ``supervised_log`` ({space: path}), ``flux``, ``top1``,
    ``synthetic_transition``, ``synthetic_curves`` (paths), ``models`` (names, smallest first), ``pairs``
    ({oracle-supervised model: its CFM twin}). What is not given is not tested.
    """
    run = Results(**sources)
    evaluated = evaluate(run)
    write_json(output_json, as_json(evaluated, run))
    style.write_csv(table(evaluated), output_csv)
    for path in (output_json, output_csv):
        write_provenance(path, config=config, inputs=run.paths)
