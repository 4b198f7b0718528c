"""The stages of the workflow as a picture: which stage reads from which, the number of jobs, and their time."""

import csv
from pathlib import Path

from twostage.report.figures import style

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

    stage_of_rule: {rule: stage}. A rule's files lie in the folder, or are the file, that has the rule's name or the
    first word of it (for train_B: train).
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


def drawing(edges, done):
    """The content of the picture for its template (dict): boxes with their words, arrows as SVG paths, sizes.

    edges: set of (stage, stage that reads it); done: {stage: (jobs, seconds)}.
    """
    stages = [stage for stage in _PLACES if stage in done or any(stage in edge for edge in edges)]
    return {
        "boxes": [_box(stage, done.get(stage)) for stage in stages],
        "arrows": [_arrow(*edge) for edge in sorted(edges) if set(edge) <= set(stages)],
        "box": (_WIDTH, _HEIGHT),
        "size": (4 * _ACROSS + _WIDTH + 4, 2 * _DOWN + _HEIGHT + 4),
        "text": style.TEXT,
        "quiet": style.QUIET,
    }


def _corner(stage):
    column, row = _PLACES[stage]
    return column * _ACROSS, row * _DOWN


def _box(stage, done):
    """The corner of a stage's box, the stage, what it makes, its jobs and time."""
    note = f"{done[0]} job{'s' if done[0] > 1 else ''}, {_time(done[1])}" if done else ""
    return *_corner(stage), stage, NAMES[stage], note


def _arrow(first, second):
    (x1, y1), (x2, y2) = _corner(first), _corner(second)
    columns, rows = _PLACES[second][0] - _PLACES[first][0], _PLACES[second][1] - _PLACES[first][1]
    if columns == 0:
        y1, y2 = (y1 + _HEIGHT, y2) if rows > 0 else (y1, y2 + _HEIGHT)
        return f"M{x1 + _WIDTH / 2} {y1}V{y2}"
    if columns == 1 or rows:
        end = y2 + _HEIGHT * (0.5 if columns == 1 else 0.25 if rows > 0 else 0.75)
        return f"M{x1 + _WIDTH} {y1 + _HEIGHT / 2}H{x2 - 19}V{end}H{x2}"
    # Past the boxes between: under their row.
    below = y1 + _HEIGHT + 6 + 4 * columns
    return f"M{x1 + _WIDTH - 24} {y1 + _HEIGHT}V{below}H{x2 + 24}V{y2 + _HEIGHT}"


def _time(seconds):
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
