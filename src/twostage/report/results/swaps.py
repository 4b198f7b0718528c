"""Stage-swap results (Tab. 1)."""

import numpy as np

from twostage.report.results import paper
from twostage.report.results.contrast import known_columns, with_changes
from twostage.report.results.inputs import read_spaces

SWAPS = ("plan", "seed", "features", "distance")
STAGES = ("stage_1", "stage_2", "split_at", "split_source", "split_low", "split_high")


def stage_swaps(evaluation):
    """Stage-swap results: one row per (space, features, split, stage 1, stage 2, seed), DataFrame.

    evaluation: {space: tab1.csv}, which gives for each plan the models of its stages and the split between them.
    ``split``: "measured" or "fixed" for the stage split, or a time of the configuration; ``split_time``, ``split_low``,
    ``split_high``: that time, and its interval if it has one. ``mean``, ``change`` and their intervals are those of
    ``contrast.with_changes``, with the change against the split's first plan. ``paper_0.1`` and ``paper_0.2`` are the
    paper's gFID at its two splits for the same models.
    """
    table = read_spaces(evaluation, (*SWAPS, *STAGES))
    table = table[["space", *SWAPS, *STAGES, *known_columns(table)]].copy()
    table["split"] = table["split_source"].where(table["split_source"].notna(), table["split_at"].map("{:g}".format))
    table["split_time"] = table.pop("split_at")
    table = with_changes(table, table.groupby(["space", "features", "split"], sort=False)["plan"].transform("first"))
    for split in (0.1, 0.2):
        values = [paper.TABLE1.get(pair, {}).get(split, np.nan) for pair in zip(table["stage_1"], table["stage_2"])]
        table[f"paper_{split}"] = values
    return table
