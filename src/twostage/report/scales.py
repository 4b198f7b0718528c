"""Every claim at every scale, as a page: what the paper says beside the verdicts of all published runs.

    python -m twostage.report.scales docs/results docs/claims.md

It reads the claims.csv and config.yaml of each folder of runs that ``twostage.report.publish`` wrote, nothing else. A
claim has a case per latent space, model or features. Its verdict is that over all cases that were tested: it fails if
one case fails, and holds if all hold.
"""

import argparse
import html
import re
import sys
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
import yaml

from twostage.provenance import atomic_write
from twostage.report import template
from twostage.report.claims.claim import FAILS, GROUPS, HOLDS, NOT_TESTED, OTHERS, UNDECIDED, VERDICTS, together
from twostage.report.claims.verdicts import CLAIMS
from twostage.report.pages.claims import written
from twostage.report.results.inputs import read_table

TEXTS = ("id", "group", "arxiv", "section", "statement", "quantity", "case", "verdict", "note", "paper")
COLUMNS = (*TEXTS, "value", "low", "high")
SHOWN = 4  # cases with the same verdict whose numbers stand in a cell; of more, the lowest and the highest
HEAD = """# Every claim, at every scale

What each claim says, what the paper says, and what the published runs found, those with the smallest images first. A
verdict is on all cases that were tested (latent spaces, models, features): *fails* if one case fails, *holds* if all
hold. The cases stand after it, each with the number on which it was judged and the 95% interval; italics say which
number that is. The rules are in the runs' `claims.csv`. [Read the report](report.md#a-verdict) explains verdicts and
intervals. `make claims` writes this page.
"""


@dataclass
class Run:
    """A published run: the name of its folder, the side of its images in pixels, the name of its data, and its
    claims.csv by id ({id: DataFrame})."""

    name: str
    side: int
    data: str
    claims: dict

    @cached_property
    def verdicts(self):
        """{id: verdict over the cases that were tested}"""
        return {name: together(set(rows["verdict"]) - {NOT_TESTED}) for name, rows in self.claims.items()}

    def verdict(self, name):
        """The verdict on a claim; "not tested" for one that the run lacks."""
        return self.verdicts.get(name, NOT_TESTED)


def read(folder):
    """The runs published below a folder, those with the smallest images first: list of Run.

    Raises ValueError where there is none, or one cannot be read.
    """
    paths = sorted(Path(folder).glob("*/claims.csv"))
    if not paths:
        raise ValueError(
            f"{folder} holds no */claims.csv; expected a folder per run: python -m twostage.report.publish writes it"
        )
    return sorted(map(_run, paths), key=lambda run: (run.side, run.name))


def _run(path):
    settings = path.with_name("config.yaml")
    try:
        config = yaml.safe_load(settings.read_text(encoding="utf-8"))
        side, data = config["data"]["image_size"], config["data"]["name"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise ValueError(f"{settings} cannot be read ({error!r}); publish its run again") from None
    table = read_table(path, COLUMNS, dtype=dict.fromkeys(TEXTS, str))
    table = table.fillna(dict.fromkeys(TEXTS, ""))
    if not table["verdict"].isin(VERDICTS).all():
        raise ValueError(f"{path}: expected verdicts among {', '.join(VERDICTS)}; publish its run again")
    return Run(path.parent.name, side, data, dict(list(table.groupby("id", sort=False))))


def page(runs):
    """The page (Markdown) of some runs, the smallest scale first."""
    known = [claim.id for claim in CLAIMS]
    ids = dict.fromkeys(name for run in runs for name in run.claims)
    ids = [*(name for name in known if name in ids), *(name for name in ids if name not in known)]
    # the latest text, if a claim was worded anew between runs
    texts = {name: run.claims[name].iloc[0] for run in runs for name in run.claims}
    parts = [HEAD, _counts(runs, ids)]
    for title, chosen in _lists(runs, ids):
        found = [f"- {_text(texts[name]['statement'])} `{name}`" for name in chosen] or ["None."]
        parts.append("\n".join([f"## {title}", "", *found, ""]))
    for group in GROUPS:
        chosen = [name for name in ids if texts[name]["group"] == group]
        if chosen:
            parts.append(f"## {group}\n\n{_table(runs, chosen, texts, group)}")
    return "\n".join(parts)


def _lists(runs, ids):
    """[(title, ids)] at the head: of one run, what does not hold; of several, how each compares with the first."""
    of = lambda run, verdict: {name for name in ids if run.verdict(name) == verdict}  # noqa: E731
    first, *others = runs
    if not others:
        kinds = [(f"Fails on {first.name}", of(first, FAILS)), (f"Undecided on {first.name}", of(first, UNDECIDED))]
    else:
        kinds = []
        for run in others:
            kinds += [
                (f"Holds on {run.name}, failed on {first.name}", of(run, HOLDS) & of(first, FAILS)),
                (f"Fails on {run.name}, held on {first.name}", of(run, FAILS) & of(first, HOLDS)),
                (f"Undecided on {run.name} and on {first.name}", of(run, UNDECIDED) & of(first, UNDECIDED)),
            ]
    return [(title, [name for name in ids if name in chosen]) for title, chosen in kinds]


def _counts(runs, ids):
    lines = [["run", "data", "side of the images", *VERDICTS]]
    for run in runs:
        found = Counter(run.verdict(name) for name in ids)
        lines.append([f"`{run.name}`", run.data, f"{run.side} px", *(str(found[verdict]) for verdict in VERDICTS)])
    return template.markdown_table(*lines) + "\n"


def _table(runs, ids, texts, group):
    theirs = "its authors say" if group == OTHERS else "the paper says"
    lines = [["claim", theirs, *(run.name for run in runs)]]
    for name in ids:
        text = texts[name]
        place = f"Sec. {text['section']}" if text["section"][:1].isdigit() else text["section"]
        place = ", ".join(filter(None, [f"arXiv {text['arxiv']}" if group == OTHERS else "", place]))
        claim = f"{_text(text['statement'])} `{name}`{f' ({place})' if place else ''}"
        number = f" *Number: {_text(text['quantity'])}*" if text["quantity"] else ""
        lines.append([claim + number, _text(text["paper"]), *(_cell(run, name) for run in runs)])
    return template.markdown_table(*lines) + "\n"


def _cell(run, name):
    """The verdict of a run on a claim, and its cases with their numbers, those with that verdict first."""
    if name not in run.claims:
        return "–"
    verdict, note = run.verdict(name), run.claims[name]["note"].iloc[0]
    if verdict == NOT_TESTED:
        return f"not tested: {_text(note)}"
    form = next((claim.form for claim in CLAIMS if claim.id == name), "number")
    rows = [row for row in run.claims[name].itertuples(index=False) if row.verdict != NOT_TESTED]
    parts = []
    for kind in dict.fromkeys([verdict, *VERDICTS]):
        if own := [row for row in rows if row.verdict == kind]:
            count = f" in {len(own)} of {len(rows)} cases" if len(rows) > 1 else ""
            parts.append(f"{kind}{count}: {_numbers(own, form)}")
    return "; ".join(parts)


def _numbers(rows, form):
    """Numbers with their cases; of many, the lowest and the highest."""
    known = [row.value for row in rows if pd.notna(row.value)]
    if len(rows) > SHOWN and known:
        return f"{written(min(known), form)} to {written(max(known), form)}"
    return ", ".join(_number(row, form) for row in rows)


def _number(row, form):
    number = "no number" if pd.isna(row.value) else written(row.value, form)
    if pd.notna(row.low) and pd.notna(row.high) and row.low != row.high:
        number += f" [{written(row.low, form)}, {written(row.high, form)}]"
    return f"{number} ({_text(row.case)})" if row.case else number


def _text(value):
    """Text for a cell of a table: no sign in it is Markdown's."""
    return " ".join(html.escape(re.sub(r"([|*`])", r"\\\1", value), quote=False).split())


def main(arguments=None):
    """Write the page; a ValueError or OSError becomes one line on stderr and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m twostage.report.scales", description=__doc__.split("\n")[0])
    parser.add_argument("results", help="folder with a folder per published run, e.g. docs/results")
    parser.add_argument("output", help="page to write, e.g. docs/claims.md")
    options = parser.parse_args(arguments)
    try:
        text = page(read(options.results))
        with atomic_write(options.output) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
