"""claims.json as a page: claims first, verdicts as sign, word and colour, sortable, readable on a phone."""

import math
from collections import Counter
from html import escape

from twostage.report import paper
from twostage.report.claim import FAILS, HOLDS, NOT_TESTED, PAPER, PROJECT, UNDECIDED, VERDICTS
from twostage.report.table import Cell, html_page, html_table

SYMBOLS = {HOLDS: "✓", FAILS: "✗", UNDECIDED: "?", NOT_TESTED: "–"}
FIGURE_NAMES = {"law": "law", "nsweep": "N sweep"}
GROUPS = (PAPER, PROJECT)


def page(content):
    """claims.html (str) from the content of claims.json (dict)."""
    parts = ["<h1>Does this run bear out the paper?</h1>", lead(content)]
    for group in GROUPS:
        chosen = of_group(content, group)
        parts += [f"<h2>{escape(group)}</h2>", f"<p>{counts_of(chosen)}</p>", claims_table(chosen, beside)]
    parts += ["<h2>How each verdict is reached</h2>", rules_table(content["claims"])]
    return html_page("Claims", "\n".join(parts))


def of_group(content, group):
    """The claims of a group, a list of dicts."""
    return [claim for claim in content["claims"] if claim["group"] == group]


def lead(content):
    """What the verdicts mean and how many may be wrong by chance, as HTML."""
    return (
        "<p>A rule in the code decides every statement on this run's results. The interval beside a number is 95%. "
        f"{badge(HOLDS)} the whole interval is on the statement's side; {badge(FAILS)} it is on the other; "
        f"{badge(UNDECIDED)} it straddles the limit or is not known; {badge(NOT_TESTED)} this run cannot tell.</p>"
        "<p>An interval covers the sampling, or the pairs on which a loss is measured: what another draw of noise "
        "would change. It does not cover a second training: models trained again from another seed may differ by more. "
        f"{content['decided']} cases were decided on an interval; one in forty of such verdicts, here at most about "
        f"{content['wrong_by_chance']:.0f}, would be wrong by chance.</p>"
        f'<p class="quiet">The paper\'s values: {escape(paper.SETTING)}. Numbers compare only where the scale does.</p>'
    )


def counts_of(claims):
    """How many of the claims have which verdict, as HTML."""
    counts = Counter(claim["verdict"] for claim in claims)
    return " ".join(f"{badge(verdict)} {counts[verdict]}" for verdict in VERDICTS)


def badge(verdict):
    """A verdict as sign, word and colour."""
    return f'<span class="verdict {_class(verdict)}">{SYMBOLS[verdict]} {verdict}</span>'


def _class(verdict):
    return verdict.replace(" ", "-")


def claims_table(claims, link):
    """The claims (dicts of claims.json) as an HTML table; link: (figure, its name as HTML) -> HTML."""
    headings = ["statement", "verdict", "this run", "paper", "shown in"]
    rows = []
    for claim in claims:
        section = f"Sec. {claim['section']}" if claim["section"][:1].isdigit() else claim["section"]
        section = f' <span class="quiet">({escape(section)})</span>' if section else ""
        verdict = Cell(
            claim["verdict"], html=badge(claim["verdict"]) + _in_part(claim), value=VERDICTS.index(claim["verdict"])
        )
        seen = any(finding["case"] for finding in claim["findings"])
        name = escape(figure_name(claim["figure"]))
        rows.append(
            [
                Cell(claim["statement"], html=escape(claim["statement"]) + section),
                verdict,
                Cell("", html=numbers_of(claim)),
                Cell(claim["paper"]),
                Cell(claim["figure"], html=link(claim["figure"], name) if seen else name),
            ]
        )
    return html_table(headings, rows, widths=(27, 11, 37, 17, 8))


def beside(figure, words):
    """A link to the figure's picture, for a page that lies beside it."""
    return f'<a class="beside" href="{escape(figure)}.png">{words}</a>'


def _in_part(claim):
    """Of how many cases the verdict is true, where not of all."""
    findings = claim["findings"]
    same = sum(finding["verdict"] == claim["verdict"] for finding in findings)
    return "" if same == len(findings) else f'<br><span class="quiet">{same} of {len(findings)} cases</span>'


def numbers_of(claim):
    """What the numbers of a claim are, and each of its cases on a line of its own, as HTML."""
    quantity = f'<div class="quantity">{escape(claim["quantity"])}:</div>' if claim["quantity"] else ""
    return quantity + "".join(_case(finding, claim["form"]) for finding in claim["findings"])


def _case(finding, form):
    """Sign of the verdict, case, number with interval, note."""
    verdict = finding["verdict"]
    mark = f'<span class="sign {_class(verdict)}" title="{verdict}">{SYMBOLS[verdict]}</span>'
    words = [mark, escape(finding["case"])] if finding["case"] else []
    if finding["value"] is not None:
        words.append(f"<strong>{escape(written(finding['value'], form))}</strong>")
        if finding["interval"] is not None:
            words.append(f"[{', '.join(escape(written(end, form)) for end in finding['interval'])}]")
    note = f'<span class="quiet">{escape(finding["note"])}</span>' if finding["note"] else ""
    return f'<div class="case">{" ".join(words)}{"<br>" if words and note else ""}{note}</div>'


def rules_table(claims):
    """Statement, quantity and rule of every claim that is checked, what its intervals cover, and the files it is
    checked on: an HTML table."""
    rows = [
        [
            Cell(claim["statement"]),
            Cell(claim["quantity"]),
            Cell(claim["rule"]),
            Cell(claim["covers"]),
            Cell(", ".join(claim["sources"])),
        ]
        for claim in claims
        if claim["rule"]
    ]
    return html_table(
        ["statement", "quantity", "rule", "interval covers", "checked on"], rows, widths=(24, 20, 22, 14, 20)
    )


def written(value, form):
    """A number as text: shares in percent, times to three decimals, others to three digits."""
    if value is None or math.isnan(value):
        return "–"
    if form == "share":
        return f"{100 * value:.3g}%"
    return f"{value:.3f}" if form == "time" else f"{value:.3g}"


def figure_name(figure):
    """A figure's name as a reader knows it: "Fig. 2" for fig2."""
    if figure in FIGURE_NAMES:
        return FIGURE_NAMES[figure]
    for prefix, word in (("fig_", "Fig. "), ("fig", "Fig. "), ("tab", "Tab. ")):
        if figure.startswith(prefix):
            return word + figure.removeprefix(prefix).replace("_", " ")
    return figure
