"""Tables as one self-contained HTML page (sortable, readable on a phone, no request) and as a picture."""

import math
from html import escape

from matplotlib.figure import Figure

from twostage.report import style

_CSS = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 76rem; background: #fff; color: #222;
  font: 16px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.2; margin: .2rem 0 .6rem; }
h2 { font-size: 1.15rem; margin: 1.8rem 0 .4rem; }
p, li { max-width: 46rem; }
a { color: #00558c; }
.quiet { color: #595959; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: .4rem 0 1rem; }
th, td { text-align: left; vertical-align: top; padding: .45rem .6rem; border-bottom: 1px solid #e3e3e3; }
th { border-bottom: 2px solid #8a8a8a; cursor: pointer; vertical-align: bottom; }
th[aria-sort=ascending]::after { content: " \\25B2"; } th[aria-sort=descending]::after { content: " \\25BC"; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th.number { text-align: right; }
.verdict { display: inline-block; padding: .1rem .55rem; border-radius: 1rem; font-weight: 600; white-space: nowrap; }
.sign { display: inline-block; width: 1.35rem; border-radius: .7rem; text-align: center; font-weight: 600; }
.quantity { font-size: .88rem; margin-bottom: .25rem; }
code { overflow-wrap: anywhere; }
.case + .case { margin-top: .35rem; }
.holds { color: #0b5d1e; background: #e3f4e6; } .fails { color: #8b1a1a; background: #fbe6e4; }
.undecided { color: #5f4700; background: #fff3d1; } .not-tested { color: #444; background: #eee; }
@media (max-width: 640px) {
  table.cards, table.cards tbody { display: block; } table.cards col { display: none; }
  table.cards thead { position: absolute; left: -9999px; }
  table.cards tr { display: block; border: 1px solid #d0d0d0; border-radius: .5rem; margin: .6rem 0; padding: .3rem; }
  table.cards td { display: block; border: 0; padding: .2rem .6rem; text-align: left; white-space: normal; }
  table.cards td::before { content: attr(data-label); display: block; color: #595959; font-size: .8rem; }
}
"""

# Click (or Enter) on a heading sorts by it; data-value is what is compared.
_SCRIPT = """
for (const head of document.querySelectorAll("th")) {
  head.tabIndex = 0;
  const sort = () => {
    const body = head.closest("table").tBodies[0], column = head.cellIndex;
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = row => { const text = row.cells[column].dataset.value, number = parseFloat(text);
      return isNaN(number) ? text : number; };
    [...body.rows].sort((a, b) => { const x = value(a), y = value(b);
      return (x < y ? -1 : x > y ? 1 : 0) * (up ? 1 : -1); }).forEach(row => body.append(row));
  };
  head.addEventListener("click", sort);
  head.addEventListener("keydown", event => { if (event.key === "Enter") sort(); });
}
// Inside another page (a report that embeds this one) a file beside it cannot be reached: leave the words only.
if (!["file:", "http:", "https:"].includes(location.protocol))
  for (const link of document.querySelectorAll("a.beside")) link.replaceWith(...link.childNodes);
"""


BEST = "▸ "  # stands before the best number of a column


class Cell:
    """One cell: text, its HTML when that is more than the text, and the value by which its column is sorted."""

    def __init__(self, text, *, html=None, value=None, number=False):
        self.text, self.number = text, number
        self.html = escape(text) if html is None else html
        self.value = text if value is None else value


def number(value, places, *, spread=math.nan, sign="", mark=""):
    """A number's Cell, "mean ± spread" where the spread is finite, a dash for NaN; mark: stands before it (BEST)."""
    if not math.isfinite(value):
        return Cell("–", value=value, number=True)
    text = f"{value:{sign}.{places}f}" + (f" ± {spread:.{places}f}" if math.isfinite(spread) else "")
    html = f"<strong>{escape(mark + text)}</strong>" if mark else None
    return Cell(mark + text, html=html, value=value, number=True)


def decimals(mean, sd):
    """Decimals that show two digits of the usual spread, or three of the mean where there is no spread (Series)."""
    spread = sd.median()
    scale = spread if spread > 0 else mean.abs().median() / 10
    return int(min(max(1 - math.floor(math.log10(scale)), 0), 6)) if scale > 0 else 2


def html_page(title, body, *, styles="", script=_SCRIPT):
    """A whole HTML document (str) around ``body``; styles (added to those of all pages) and script inside it.

    Nothing is fetched, whoever opens it.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_CSS}{styles}</style>\n</head>\n<body>\n{body}\n"
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def html_table(headings, rows, *, widths=()):
    """A sortable table (str) whose rows (lists of Cell) become cards on a narrow screen; widths: percent a column."""
    numeric = [any(row[i].number for row in rows) for i in range(len(headings))]
    kind = lambda number: ' class="number"' if number else ""  # noqa: E731
    head = "".join(f'<th scope="col"{kind(number)}>{escape(text)}</th>' for text, number in zip(headings, numeric))
    lines = [
        "<tr>"
        + "".join(
            f'<td{kind(cell.number)} data-label="{escape(name)}" data-value="{escape(str(cell.value))}">'
            f"{cell.html}</td>"
            for name, cell in zip(headings, row)
        )
        + "</tr>"
        for row in rows
    ]
    columns = "".join(f'<col style="width: {width}%">' for width in widths)
    return (
        f'<div class="scroll"><table class="cards">{columns}<thead><tr>{head}</tr></thead>\n<tbody>\n'
        + "\n".join(lines)
        + "\n</tbody></table></div>"
    )


def picture(title, headings, rows, notes=(), *, quiet=()):
    """The same table (rows of Cell) as a Figure; columns whose index is in ``quiet`` are set in grey."""
    wide = [max(len(line) for text in column for line in text.split("\n")) + 2 for column in _columns(headings, rows)]
    edges = [sum(wide[:i]) for i in range(len(wide) + 1)]
    above = 1.2 + 0.65 * max(text.count("\n") for text in headings)
    below = 1.2 + 0.85 * len(notes)
    total = max(edges[-1], 0.8 * max(map(len, notes), default=0))  # notes are set smaller than the rows
    height = 0.29 * (len(rows) + 1 + above + below)
    with style.look():
        figure = Figure(figsize=(max(6.5, 0.085 * total + 0.4), height))
        axes = figure.add_axes((0.02, 0.02, 0.96, 0.96))
        axes.set_axis_off()
        axes.set_xlim(0, total)
        axes.set_ylim(len(rows) + 1 + below, -above)
        axes.text(0, -above + 0.5, title, fontsize=12, fontweight="bold", va="center")
        place = lambda i, number: (edges[i + 1] - 1 if number else edges[i], "right" if number else "left")  # noqa: E731
        for i, text in enumerate(headings):
            x, side = place(i, any(row[i].number for row in rows))
            axes.text(x, 0.65, text, ha=side, va="bottom", fontweight="bold", fontsize=9.5)
        for y, row in enumerate(rows, 1):
            for i, cell in enumerate(row):
                x, side = place(i, cell.number)
                axes.text(x, y + 0.55, cell.text, ha=side, va="center", color=style.QUIET if i in quiet else style.TEXT)
        for y, width in ((0.85, 1.4), (len(rows) + 1.15, 0.8)):
            axes.plot([0, total], [y, y], color=style.QUIET, linewidth=width)
        for i, note in enumerate(notes):
            axes.text(0, len(rows) + 1.75 + 0.85 * i, note, color=style.QUIET, fontsize=8.5, va="center")
        return figure


def _columns(headings, rows):
    return [[heading, *(row[i].text for row in rows)] for i, heading in enumerate(headings)]
