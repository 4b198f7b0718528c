"""Every statement that a run can check, checked on its own numbers: JSON, CSV and a page.

The verdict is the outcome of a rule (``twostage.report.claim``) on the results, never typed in. The paper's statements
live in ``claims_target``, ``claims_learning``, ``claims_swap``, ``claims_sampling`` and ``claims_untested``, this
project's own in ``claims_project``.
"""

import math
from collections import Counter
from html import escape

import pandas as pd

from twostage.provenance import atomic_write, write_json, write_provenance
from twostage.report import (
    claims_learning,
    claims_project,
    claims_sampling,
    claims_swap,
    claims_target,
    claims_untested,
    paper,
    style,
)
from twostage.report.claim import (
    FAILS,
    HOLDS,
    NOT_TESTED,
    PAPER,
    PROJECT,
    UNDECIDED,
    VERDICTS,
    Finding,
    Results,
    together,
)
from twostage.report.table import Cell, html_page, html_table

CLAIMS = [
    *claims_target.CLAIMS,
    *claims_learning.CLAIMS,
    *claims_swap.CLAIMS,
    *claims_sampling.CLAIMS,
    *claims_untested.CLAIMS,
    *claims_project.CLAIMS,
]
SYMBOLS = {HOLDS: "✓", FAILS: "✗", UNDECIDED: "?", NOT_TESTED: "–"}
AS_BOOLEAN = {HOLDS: True, FAILS: False}
FIGURE_NAMES = {"law": "law", "nsweep": "N sweep"}


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
                    "note": finding.note, "paper": claim.paper, "rule": claim.rule, "figure": claim.figure,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def as_json(evaluated):
    """The content of claims.json: counts of the verdicts, every claim with its findings; null for unknown numbers."""
    return {"counts": _counts(evaluated), "claims": [_claim_as_json(*item) for item in evaluated]}


def _claim_as_json(claim, findings):
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
        "figure": claim.figure,
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


def _counts(evaluated, group=None):
    counts = Counter(overall(found) for claim, found in evaluated if group in (None, claim.group))
    return {verdict: counts[verdict] for verdict in VERDICTS}


def _finite(value):
    return float(value) if value is not None and math.isfinite(value) else None


def _interval(finding):
    if finding.estimate is None:
        return None
    ends = [_finite(end) for end in finding.estimate[1:]]
    return None if None in ends or ends[0] == ends[1] else ends


def written(value, form):
    """A number as text: shares in percent, times to three decimals, others to three digits."""
    if value is None or math.isnan(value):
        return "–"
    if form == "share":
        return f"{100 * value:.3g}%"
    return f"{value:.3f}" if form == "time" else f"{value:.3g}"


def page(evaluated):
    """claims.html: a self-contained page, claims first, verdicts as colour and word, readable on a phone."""
    parts = ["<h1>Does this run bear out the paper?</h1>", _lead(evaluated)]
    for group in (PAPER, PROJECT):
        chosen = [(claim, found) for claim, found in evaluated if claim.group == group]
        parts += [f"<h2>{escape(group)}</h2>", _counts_line(evaluated, group), _table(chosen)]
    parts.append("<h2>How each verdict is reached</h2>")
    rules = [
        [Cell(claim.statement), Cell(claim.quantity), Cell(claim.rule)]
        for claim, _ in evaluated
        if claim.check is not None
    ]
    parts.append(html_table(["statement", "quantity", "rule"], rules))
    return html_page("Claims", "\n".join(parts))


def _lead(evaluated):
    return (
        "<p>A rule in the code decides every statement on this run's results. The interval beside a number is 95%. "
        f"{_badge(HOLDS)} the whole interval is on the statement's side; {_badge(FAILS)} it is on the other; "
        f"{_badge(UNDECIDED)} it straddles the limit or is not known; {_badge(NOT_TESTED)} this run cannot tell.</p>"
        f'<p class="quiet">The paper\'s values: {escape(paper.SETTING)}. Numbers compare only where the scale does.</p>'
    )


def _counts_line(evaluated, group):
    counts = _counts(evaluated, group)
    return "<p>" + " ".join(f"{_badge(verdict)} {counts[verdict]}" for verdict in VERDICTS) + "</p>"


def _badge(verdict):
    return f'<span class="verdict {_class(verdict)}">{SYMBOLS[verdict]} {verdict}</span>'


def _class(verdict):
    return verdict.replace(" ", "-")


def _table(evaluated):
    headings = ["statement", "verdict", "this run", "paper", "shown in"]
    rows = []
    for claim, findings in evaluated:
        verdict = overall(findings)
        section = f' <span class="quiet">(Sec. {claim.section})</span>' if claim.section[:1].isdigit() else ""
        section = section or (f' <span class="quiet">({claim.section})</span>' if claim.section else "")
        rows.append(
            [
                Cell(claim.statement, html=escape(claim.statement) + section),
                Cell(verdict, html=_badge(verdict) + _in_part(verdict, findings), value=VERDICTS.index(verdict)),
                Cell("", html=_quantity(claim) + "".join(_case(claim, finding) for finding in findings)),
                Cell(claim.paper),
                Cell(claim.figure, html=_link(claim, findings)),
            ]
        )
    return html_table(headings, rows, widths=(27, 11, 37, 17, 8))


def _in_part(verdict, findings):
    """Of how many cases the verdict is true, where not of all."""
    same = sum(finding.verdict == verdict for finding in findings)
    return "" if same == len(findings) else f'<br><span class="quiet">{same} of {len(findings)} cases</span>'


def _quantity(claim):
    """What the numbers of a claim are; nothing for a claim without any."""
    return f'<div class="quantity">{escape(claim.quantity)}:</div>' if claim.quantity else ""


def _case(claim, finding):
    """One case on a line of its own: sign of the verdict, case, number with interval, note."""
    mark = f'<span class="sign {_class(finding.verdict)}" title="{finding.verdict}">{SYMBOLS[finding.verdict]}</span>'
    words = [mark, escape(finding.case)] if finding.case else []
    if finding.estimate is not None:
        words.append(f"<strong>{escape(written(finding.estimate.value, claim.form))}</strong>")
        if (interval := _interval(finding)) is not None:
            words.append(f"[{', '.join(escape(written(end, claim.form)) for end in interval)}]")
    note = f'<span class="quiet">{escape(finding.note)}</span>' if finding.note else ""
    return f'<div class="case">{" ".join(words)}{"<br>" if words and note else ""}{note}</div>'


def _figure_name(figure):
    if figure in FIGURE_NAMES:
        return FIGURE_NAMES[figure]
    for prefix, word in (("fig_", "Fig. "), ("fig", "Fig. "), ("tab", "Tab. ")):
        if figure.startswith(prefix):
            return word + figure.removeprefix(prefix).replace("_", " ")
    return figure


def _link(claim, findings):
    """The figure's name, as a link where this run has looked at a case of it."""
    name = escape(_figure_name(claim.figure))
    seen = any(finding.case for finding in findings)
    return f'<a class="beside" href="{claim.figure}.png">{name}</a>' if seen else name


def write(output_json, output_csv, output_html, *, config=None, **sources):
    """Check every claim and write claims.json, claims.csv and claims.html, atomically, with their provenance.

    sources: the keywords of ``twostage.report.claim.Results``: ``posterior``, ``transition``, ``oracle_loss``,
    ``tab1``, ``tab2``, ``tab3``, ``curves``, ``nsweep``, ``trajectories``, ``memorization_switch``,
    ``memorization_resume``, ``oracle_supervised`` ({space: path}), ``top1``, ``synthetic_transition``,
    ``synthetic_curves`` (paths), ``models`` (names, smallest first), ``pairs`` ({oracle-supervised model: its CFM
    twin}), ``split`` (a fixed split). What is not given is not tested.
    """
    run = Results(**sources)
    evaluated = evaluate(run)
    write_json(output_json, as_json(evaluated))
    style.write_csv(table(evaluated), output_csv)
    with atomic_write(output_html) as temporary:
        temporary.write_text(page(evaluated))
    for path in (output_json, output_csv, output_html):
        write_provenance(path, config=config, inputs=run.paths)
