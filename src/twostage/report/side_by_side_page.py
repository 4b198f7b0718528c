"""The side-by-side comparison as a page: one picture, then a table an item, saying where the scale differs."""

import base64
import io
import math
from html import escape

from twostage.provenance import atomic_write, write_provenance
from twostage.report import paper, side_by_side, style
from twostage.report.claim import Results
from twostage.report.side_by_side import ITEMS, MATCHED, OURS, PAPER, SAME_SCALE
from twostage.report.table import Cell, html_page, html_table

BY_EYE = (
    "Figs. 4, 5, 6, 8, 9 and Apps. B, F, G, H show pictures or curves without numbers that could be read off: what "
    "they say is checked as claims."
)
_STYLES = """
img { max-width: 100%; height: auto; } table { width: auto; min-width: 50%; }
td:first-child { white-space: nowrap; }
"""


def png(picture):
    """A figure as a data URI (str), 120 dpi."""
    with style.look(), io.BytesIO() as stream:
        style.as_written(picture)
        picture.savefig(stream, format="png", dpi=120, metadata={"Software": None})
        return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def page(table):
    """The page (str) from the table of ``side_by_side.drawn``."""
    parts = [
        "<h1>The paper's numbers beside this run's</h1>",
        f"<p>The paper: {escape(paper.SETTING)}. Tables are as printed, curves read off the published figures to about "
        f"0.01. Only Fig. 3 has the same setting here. For curves over t, a second column gives this run's value at "
        f"the <em>{MATCHED}</em>: as far from its own split as the paper's t is from the paper's, in t / (1 − t), the "
        "paper's being where its largest posterior weight is one half, ours the stage split.</p>"
        f"<p>{escape(BY_EYE)}</p>",
    ]
    if len(table):
        parts.append(f'<img alt="Six comparisons, scale divided out" src="{png(side_by_side.figure(table))}">')
    for item, words in ITEMS.items():
        rows = table[table["item"] == item]
        if len(rows):
            scale = "" if item in SAME_SCALE else " Another scale: compare shapes and order, not values."
            parts += [f"<h2>{escape(item)}</h2><p>{escape(words)}.{scale}</p>", _item_table(rows)]
    return html_page("Side by side", "\n".join(parts), styles=_STYLES)


def _item_table(rows):
    cases = list(rows[["source", "case"]].drop_duplicates().itertuples(index=False, name=None))
    cases.sort(key=lambda case: case[0] != PAPER)
    values = {(row.at, row.source, row.case): row for row in rows.itertuples(index=False)}
    headings = ["at", *(f"{source}: {case}" for source, case in cases)]
    lines = [
        [Cell(at), *(_cell(values.get((at, *case)), case[0] == OURS) for case in cases)]
        for at in dict.fromkeys(rows["at"])
    ]
    return html_table(headings, lines)


def _cell(row, ours):
    if row is None or not math.isfinite(row.value):
        return Cell("–", value="", number=True)
    text = f"{row.value:.3g}"
    html = escape(text)
    if ours and math.isfinite(row.low) and row.high > row.low:
        html += f' <span class="quiet">[{row.low:.3g}, {row.high:.3g}]</span>'
    return Cell(text, html=html, value=row.value, number=True)


def write(output_html, output_csv, *, config=None, **sources):
    """Write the comparison as a page and as CSV, with provenance; sources: the keywords of ``claim.Results``."""
    run = Results(**sources)
    table = side_by_side.drawn(run)
    style.write_csv(table, output_csv)
    with atomic_write(output_html) as temporary:
        temporary.write_text(page(table), encoding="utf-8")
    for path in (output_html, output_csv):
        write_provenance(path, config=config, inputs=run.paths)
