"""Every statement that a run can check, checked on its own numbers: JSON and CSV.

A rule (``twostage.report.claims.claim``) decides each verdict from the results; no verdict is typed in. Each part of
the paper has a module, in which each claim stands below its check; ``project`` holds this project's own claims.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

import pandas as pd

from twostage.provenance import PathLike, write_provenance
from twostage.report.claims import (
    capacity,
    flux,
    geometry,
    guidance,
    halves,
    information,
    jump,
    latent_spaces,
    learning,
    memorization,
    norms,
    others,
    project,
    record,
    references,
    replicates,
    settling,
    shift,
    supervision,
    swap,
    target,
    trajectories,
)
from twostage.report.claims.claim import NOT_TESTED, Claim, Finding, is_alike
from twostage.report.figures import style
from twostage.report.results.run import Results
from twostage.report.results.words import plain

# In the order of the paper; within a part, in the order in which they stand there.
PARTS = (
    target, geometry, trajectories, memorization, learning, swap, capacity, halves, jump, shift, guidance, supervision,
    flux, latent_spaces, project, information, references, norms, settling, others,
)  # fmt: skip


EXACTLY_ALIKE = "what is compared is exactly alike"
GUIDANCE = "tab3"  # the source of the claims on guidance, which is towards a class


def claims_of(part: ModuleType) -> list[Claim]:
    """The claims of a module, in the order in which they stand there."""
    return [claim for claim in vars(part).values() if isinstance(claim, Claim)]


CLAIMS = [claim for part in PARTS for claim in claims_of(part)]


def evaluate(run: Results, claims: Iterable[Claim] = CLAIMS) -> list[tuple[Claim, list[Finding]]]:
    """Check every claim on a run (``Results``): list of (Claim, [Finding, ...]), in the claims' order."""
    return [(claim, _findings(claim, run)) for claim in claims]


def _findings(claim, run):
    if (claim.of_classes or GUIDANCE in claim.needs) and run.unlabelled:
        return [Finding("", NOT_TESTED, note="this data has no classes")]
    missing = [name for name in claim.needs if not run.has(name)]
    if missing:
        return [Finding("", NOT_TESTED, note=f"this run has no {', '.join(missing)}")]
    return [_reasoned(finding) for finding in claim.check(run)] or [Finding("", NOT_TESTED, note="no case to check")]


def _reasoned(finding):
    """The finding, its note in plain words; one whose two quantities do not differ at all says why it is not tested."""
    alike = finding.estimate is not None and any(is_alike(finding.estimate, same) for same in (0, 1))
    reason = EXACTLY_ALIKE if alike and finding.verdict == NOT_TESTED else ""
    return replace(finding, note=plain(": ".join(filter(None, [reason, finding.note]))))


def table(evaluated: Iterable[tuple[Claim, Sequence[Finding]]]) -> pd.DataFrame:
    """One row per (claim, case): DataFrame with the columns of claims.csv."""
    rows = []
    for claim, findings in evaluated:
        for finding in findings:
            estimate = finding.estimate
            low, high = (estimate.low, estimate.high) if estimate else (math.nan, math.nan)
            rows.append(
                {
                    "id": claim.id, "group": claim.group, "arxiv": claim.arxiv, "stage": claim.stage,
                    "section": claim.section, "statement": claim.statement,
                    "case": finding.case, "verdict": finding.verdict, "quantity": claim.quantity,
                    "value": estimate.value if estimate else math.nan, "low": low, "high": high,
                    "note": finding.note, "paper": claim.paper, "rule": claim.rule, "covers": claim.covers,
                    "figure": claim.figure,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def write(
    output_json: PathLike,
    output_csv: PathLike,
    *,
    config: Any = None,
    models: Any = None,
    pairs: Any = None,
    aligned: Any = None,
    known: PathLike | None = None,
    **sources: Any,
) -> None:
    """Check every claim and write claims.json and claims.csv, atomically, with their provenance.

    known: the replicates.csv of this configuration; cases whose verdict changed in it say so. Other arguments as for
    ``twostage.report.results.run.Results``. A claim whose sources are not given is not tested.
    """
    run = Results(models=models, pairs=pairs, aligned=aligned, **sources)
    evaluated, told = evaluate(run), ""
    if known is not None:
        rows = replicates.read(known)
        evaluated, told = replicates.remarked(evaluated, rows), replicates.in_words(rows)
    record.write(output_json, record.checked(evaluated, run, told))
    style.write_csv(table(evaluated), output_csv)
    for path in (output_json, output_csv):
        write_provenance(path, config=config, inputs=run.paths + ([] if known is None else [known]))
