"""Replicates as a page, and as the table of docs/results.md:

    python -m twostage.report.pages.replicates docs/results/digits/replicates.csv

prints Markdown: by what an interval covers, how many verdicts change with the seed and by which factor the interval
would have to be wider; then every case whose verdict changes.
"""

import sys

from twostage.provenance import write_provenance
from twostage.report import template
from twostage.report.claims import record, replicates
from twostage.report.figures.style import write_csv
from twostage.report.figures.table import Cell
from twostage.report.pages.claims import written

SUMMARY = ["interval of one run covers", "cases", "verdict changes", "holds and fails", "compared", "widen by",
           "ratio beyond chance"]  # fmt: skip
CASES = ["statement", "case", "verdicts", "first run", "lowest to highest", "spread / interval"]


def summed(rows):
    """The lines of the summary, [[Cell]] in the order of ``SUMMARY``."""
    return [
        [
            Cell(row.covers or "nothing random"),
            *(Cell(str(n), value=n, number=True) for n in (row.cases, row.changed, row.opposed, row.compared)),
            _number(row.widen),
            Cell(f"{row.beyond} (by chance {replicates.RARE * row.compared:.0f})", value=row.beyond, number=True),
        ]
        for row in replicates.summary(rows).itertuples()
    ]  # fmt: skip


def cases(rows):
    """A line per case, those whose verdict changes first, then by the ratio: [[Cell]] in the order of ``CASES``."""
    return [
        [
            Cell(row.statement),
            Cell(row.case),
            Cell(
                replicates.counted(row.verdicts), strong=row.changed, quiet=f"({row.verdicts})" if row.changed else ""
            ),
            Cell(_with_interval(row), value=row.value),
            Cell(f"{written(row.lowest, row.form)} to {written(row.highest, row.form)}", value=row.mean),
            _number(row.ratio),
        ]
        for row in rows.sort_values(["changed", "ratio"], ascending=False).itertuples()
        if row.known or row.changed
    ]


def _with_interval(row):
    ends = [written(end, row.form) for end in (row.low, row.high)]
    return written(row.value, row.form) + (f" [{', '.join(ends)}]" if row.low < row.high else "")


def _number(value):
    return Cell("–" if value != value else f"{value:.2f}", value=value, number=True)


def page(rows, run):
    """The page (str) of the rows of ``replicates.table``; run: name of the first run."""
    told = {"words": replicates.in_words(rows), "summary": (SUMMARY, summed(rows)), "cases": (CASES, cases(rows))}
    return template.render("pages/replicates.html", run=run, **told)


def markdown(rows):
    """The summary, and the cases whose verdict changes, as Markdown (str)."""
    return "\n\n".join([_table(SUMMARY, summed(rows)), _table(CASES, cases(rows[rows["changed"]]))])


def _table(headings, rows):
    return template.markdown_table(headings, *([cell.text.replace("|", r"\|") for cell in row] for row in rows))


def write(output_csv, output_html, claims, *, config):
    """Write replicates.csv and its page from the claims.json of each run, atomically, with provenance.

    claims: two or more paths, that of the first run first; config: the first run's configuration (dict).
    """
    rows = replicates.table([record.read(path) for path in claims])
    write_csv(rows, output_csv)
    write_provenance(output_csv, config=config, inputs=claims)
    template.write(output_html, page(rows, config["run"]), inputs=[output_csv])


if __name__ == "__main__":
    try:
        print(markdown(replicates.read(sys.argv[1])))
    except ValueError as error:
        sys.exit(f"error: {error}")
