"""Where capacity is needed: all eight assignments of a large and a small model to three parts of the trajectory."""

import itertools
import json

from twostage.report.results.contrast import Distances, known_columns, with_changes
from twostage.report.results.inputs import read_spaces, splits
from twostage.report.results.shapley import weights_of

ASSIGNED = ("plan", "seed", "features", "distance", "kind", "fields", "evaluations", "network_flops", "stops")
PARTS = ("navigation", "early refinement", "late refinement")
LARGE, SMALL = "large", "small"
KINDS = ["-".join(kinds) for kinds in itertools.product((LARGE, SMALL), repeat=len(PARTS))]
BOTH_LARGE, BOTH_SMALL = KINDS[0], KINDS[-1]  # throughout


def capacities(evaluation, split=None):
    """One row per (space, features, assignment, seed), DataFrame, in the order of the file.

    evaluation: {space: tab_capacity.csv}; split: {space: split.json}. ``kind``: "large" or "small" for each of
    ``PARTS``; the columns of that name: the models; ``late``: where late refinement begins; mean, change and their
    intervals as ``contrast.with_changes`` has them, the change against the large model throughout;
    ``large_evaluations``, ``small_evaluations``: of each model for one sample; ``network_flops``: operations of the
    models for one sample; ``flops_share``: of those of the large model throughout.
    """
    table = read_spaces(evaluation, ASSIGNED)
    table = table[["space", *ASSIGNED, *known_columns(table)]].copy()
    table["late"] = table.pop("stops").str.split("; ").str[1].astype(float)
    models = table.pop("fields").str.split(" > ", expand=True)
    table[list(PARTS)] = models.to_numpy()
    counts = table.pop("evaluations").map(json.loads)
    for size, kind in ((LARGE, BOTH_LARGE), (SMALL, BOTH_SMALL)):
        name = models[table["kind"] == kind].iloc[0, 0]
        table[f"{size}_evaluations"] = [count.get(name, 0) for count in counts]
    first = table[table["kind"] == BOTH_LARGE].drop_duplicates("space").set_index("space")
    table["flops_share"] = table["network_flops"] / table["space"].map(first["network_flops"])
    table = with_changes(table, table["space"].map(first["plan"]))
    return table.merge(splits(split), on="space", how="left")


def distances_of(rows):
    """``Distances`` of the rows of one space and features, by kind; None where an assignment or a seed is missing."""
    distances = Distances.of(rows, rows["kind"])
    return distances if set(KINDS) <= set(distances.values.columns) and len(distances.values) else None


def costs():
    """{part: {kind: weight}}: the small model's cost in each of ``PARTS``, mean over the orders of replacing them (a
    Shapley value); the three add up to the cost of the small model throughout."""
    names = {replaced: _kind(replaced) for replaced in itertools.product((False, True), repeat=len(PARTS))}
    return dict(zip(PARTS, weights_of(names)))


def alone(part):
    """The kind with the small model in one of ``PARTS`` alone."""
    return _kind([part == other for other in PARTS])


def _kind(replaced):
    return "-".join(SMALL if small else LARGE for small in replaced)
