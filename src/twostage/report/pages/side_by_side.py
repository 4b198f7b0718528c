"""The side-by-side comparison as a page: one picture, then one table per item with a remark if its scale differs."""

import base64
import io
import math

from twostage.provenance import write_provenance
from twostage.report import template
from twostage.report.figures import side_by_side, style
from twostage.report.figures.side_by_side import ITEMS, MATCHED, OURS, PAPER, SAME_SCALE
from twostage.report.figures.table import Cell
from twostage.report.results import paper
from twostage.report.results.run import Results


def png(picture):
    """A figure as a data URI (str), 120 dpi."""
    with style.look(), io.BytesIO() as stream:
        style.as_written(picture)
        picture.savefig(stream, format="png", dpi=120, metadata={"Software": None})
        return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def page(table):
    """The page (str) from the table of ``side_by_side.drawn``."""
    found = [(item, words, table[table["item"] == item]) for item, words in ITEMS.items()]
    return template.render(
        "pages/side_by_side.html",
        setting=paper.SETTING,
        same_place=MATCHED,
        picture=png(side_by_side.figure(table)) if len(table) else None,
        items=[(item, words, item in SAME_SCALE, *_cells(rows)) for item, words, rows in found if len(rows)],
    )


def _cells(rows):
    """Headings and rows of Cell of one item: one row per place, one column per source and case, the paper's first."""
    cases = list(rows[["source", "case"]].drop_duplicates().itertuples(index=False, name=None))
    cases.sort(key=lambda case: case[0] != PAPER)
    values = {(row.at, row.source, row.case): row for row in rows.itertuples(index=False)}
    headings = ["at", *(f"{source}: {case}" for source, case in cases)]
    lines = [
        [Cell(at), *(_cell(values.get((at, *case)), case[0] == OURS) for case in cases)]
        for at in dict.fromkeys(rows["at"])
    ]
    return headings, lines


def _cell(row, ours):
    if row is None or not math.isfinite(row.value):
        return Cell("–", value="", number=True)
    known = ours and math.isfinite(row.low) and row.high > row.low
    interval = f"[{row.low:.3g}, {row.high:.3g}]" if known else ""
    return Cell(f"{row.value:.3g}", value=row.value, number=True, quiet=interval)


def write(output_html, output_csv, *, config=None, **sources):
    """Write the comparison as a page and as CSV, with provenance; sources: the keywords of ``Results``."""
    run = Results(**sources)
    table = side_by_side.drawn(run)
    style.write_csv(table, output_csv)
    write_provenance(output_csv, config=config, inputs=run.paths)
    template.write(output_html, page(table), config=config, inputs=run.paths)
