"""claims.json as a page: claims first, verdicts as sign, word and colour, sortable, readable on a phone."""

import json
import math
from collections import Counter
from pathlib import Path

from twostage.report import paper, template
from twostage.report.claim import PAPER, PROJECT, VERDICTS

FIGURE_NAMES = {"law": "law", "nsweep": "N sweep"}
GROUPS = (PAPER, PROJECT)


def read(path):
    """The content of claims.json (dict). Raises ValueError where it cannot be read."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as JSON ({error}); delete it and run `claims` again") from None


def page(content):
    """claims.html (str) from the content of claims.json (dict)."""
    return template.render("pages/claims.html", **told(content))


def told(content):
    """What the page says, as its templates take it (dict): claims in groups, and what their intervals mean."""
    claims = [shown(claim) for claim in content["claims"]]
    groups = [(group, [claim for claim in claims if claim["group"] == group]) for group in GROUPS]
    return {
        "groups": [(group, counts(chosen), chosen) for group, chosen in groups],
        "ruled": [claim for claim in claims if claim["rule"]],
        "decided": content["decided"],
        "wrong_by_chance": f"{content['wrong_by_chance']:.0f}",
        "setting": paper.SETTING,
    }


def counts(claims):
    """[(verdict, how many of the claims have it)], every verdict once."""
    found = Counter(claim["verdict"] for claim in claims)
    return [(verdict, found[verdict]) for verdict in VERDICTS]


def shown(claim):
    """A claim of claims.json (dict) with its numbers as text.

    Further keys: ``place`` in the paper; ``name`` of its figure and whether it is ``seen`` there; ``order`` of its
    verdict; ``same``, the number of cases whose verdict is the claim's.
    """
    findings = [
        finding
        | {
            "value": None if finding["value"] is None else written(finding["value"], claim["form"]),
            "interval": ", ".join(written(end, claim["form"]) for end in finding["interval"] or ()),
        }
        for finding in claim["findings"]
    ]
    section = claim["section"]
    return claim | {
        "findings": findings,
        "place": f"Sec. {section}" if section[:1].isdigit() else section,
        "name": figure_name(claim["figure"]),
        "seen": any(finding["case"] for finding in findings),
        "order": VERDICTS.index(claim["verdict"]),
        "same": sum(finding["verdict"] == claim["verdict"] for finding in findings),
    }


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


def write(output, claims, *, config=None):
    """Write the page of ``claims``, the path of claims.json, with its provenance."""
    template.write(output, page(read(claims)), config=config, inputs=[claims])
