"""The stages of the workflow as a picture: which reads what another wrote, its jobs and their time."""

import csv
from html import escape
from pathlib import Path

from twostage.report import style

NAMES = {
    "data": "images, latents", "oracle": "exact oracle", "synthetic": "unit Gaussians", "training": "models",
    "samples": "samples", "evaluation": "distances", "report": "figures, claims",
}  # fmt: skip
# Column and row of each stage's box.
_PLACES = {
    "data": (0, 1), "oracle": (1, 0), "training": (1, 1), "synthetic": (1, 2), "samples": (2, 1), "evaluation": (3, 1),
    "report": (4, 1),
}  # fmt: skip
_WIDTH, _HEIGHT, _ACROSS, _DOWN = 148, 66, 186, 96


def work(benchmarks, stage_of_rule):
    """{stage: (jobs, seconds of wall time in all)} from the benchmark files (TSV) under the folder ``benchmarks``.

    stage_of_rule: {rule: stage}; a rule's files lie in the folder, or the file, of its name or of its name's first
    word (train_B's in train).
    """
    stage_of_rule = {rule.split("_")[0]: stage for rule, stage in stage_of_rule.items()} | stage_of_rule
    found = {}
    for path in sorted(Path(benchmarks).rglob("*.tsv")):
        first = path.relative_to(benchmarks).parts[0].removesuffix(".tsv")
        stage = first if first in NAMES else stage_of_rule.get(first)
        with open(path, newline="", encoding="utf-8") as stream:
            seconds = [float(row["s"]) for row in csv.DictReader(stream, delimiter="\t")]
        if stage and seconds:
            jobs, total = found.get(stage, (0, 0.0))
            found[stage] = (jobs + 1, total + seconds[-1])
    return found


def picture(edges, done):
    """The stages as SVG (str). edges: set of (stage, stage that reads it); done: {stage: (jobs, seconds)}."""
    boxes = [stage for stage in _PLACES if stage in done or any(stage in edge for edge in edges)]
    arrows = "".join(_arrow(first, second) for first, second in sorted(edges) if first in boxes and second in boxes)
    body = "".join(_box(stage, done.get(stage)) for stage in boxes)
    width, height = 4 * _ACROSS + _WIDTH + 4, 2 * _DOWN + _HEIGHT + 34
    return (
        f'<svg class="stages" viewBox="-2 -2 {width} {height}" role="img" aria-label="The stages of the workflow">'
        f'<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0L8 4L0 8z" fill="{style.QUIET}"/></marker></defs>{arrows}{body}</svg>'
    )


def _corner(stage):
    column, row = _PLACES[stage]
    return column * _ACROSS, row * _DOWN


def _box(stage, done):
    x, y = _corner(stage)
    note = f"{done[0]} job{'s' if done[0] > 1 else ''}, {_time(done[1])}" if done else ""
    lines = (
        (stage, 22, "bold", style.TEXT),
        (NAMES[stage], 40, "normal", style.TEXT),
        (note, 57, "normal", style.QUIET),
    )
    words = "".join(
        f'<text x="{x + _WIDTH / 2}" y="{y + down}" text-anchor="middle" font-weight="{weight}" fill="{colour}">'
        f"{escape(text)}</text>"
        for text, down, weight, colour in lines
    )  # fmt: skip
    return (
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="8" fill="white" stroke="{style.QUIET}"/>{words}'
    )


def _arrow(first, second):
    (x1, y1), (x2, y2) = _corner(first), _corner(second)
    columns, rows = _PLACES[second][0] - _PLACES[first][0], _PLACES[second][1] - _PLACES[first][1]
    line = f'fill="none" stroke="{style.QUIET}" stroke-width="1.4" marker-end="url(#tip)"'
    if columns == 0:
        y1, y2 = (y1 + _HEIGHT, y2) if rows > 0 else (y1, y2 + _HEIGHT)
        return f'<path d="M{x1 + _WIDTH / 2} {y1}V{y2}" {line}/>'
    if columns == 1 or rows:
        end = y2 + _HEIGHT * (0.5 if columns == 1 else 0.25 if rows > 0 else 0.75)
        middle = x2 - 19
        return f'<path d="M{x1 + _WIDTH} {y1 + _HEIGHT / 2}H{middle}V{end}H{x2}" {line}/>'
    # Past the boxes between: under their row.
    below = y1 + _HEIGHT + 14 + 5 * columns
    return f'<path d="M{x1 + _WIDTH - 24} {y1 + _HEIGHT}V{below}H{x2 + 24}V{y2 + _HEIGHT}" {line}/>'


def _time(seconds):
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
