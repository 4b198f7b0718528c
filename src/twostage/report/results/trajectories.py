"""Trajectories of samples: norms, and the share of the distance to the end that is left (Figs. 4 and 8, App. H)."""

import pandas as pd

from twostage.report.results import curves
from twostage.report.results.inputs import read_spaces, read_table, splits

MEASURES = ("norm", "to_end", "layout_to_end", "to_class_mean")
TRAJECTORY = ("field", "t", "samples", *(name for measure in MEASURES for name in (measure, f"{measure}_sem")))
FLUX = ("shift", "t", "prompts", *(name for measure in MEASURES[:3] for name in (measure, f"{measure}_sem")))


def sample_trajectories(trajectories, split=None):
    """Figs. 4 and 8: one row per (space, field, t), DataFrame.

    trajectories: {space: fig8.csv}; split: {space: split.json}. ``field`` is the model or "oracle". ``to_end_left`` and
    ``layout_to_end_left``: the distance to the end, as a share of that at the field's first step. Every measure has its
    standard error, ``_sem``.
    """
    table = read_spaces(trajectories, TRAJECTORY)[["space", *TRAJECTORY]]
    table = table.sort_values(["space", "field", "t"], key=_in_order_of_appearance, kind="stable", ignore_index=True)
    for measure in ("to_end", "layout_to_end"):
        first = table.groupby(["space", "field"], sort=False)[measure].transform("first")
        table[f"{measure}_left"] = curves.divided(table[measure], first)
        table[f"{measure}_left_sem"] = curves.divided(table[f"{measure}_sem"], first)
    return table.merge(splits(split), on="space", how="left")


def flux_trajectories(trajectories):
    """App. H: one row per (shift, t) of flux.csv, DataFrame, with ``to_end_left`` and ``layout_to_end_left``.

    These are the distances to the end, as shares of those at the first step, with standard errors (``_sem``).
    """
    table = read_table(trajectories, FLUX)
    for measure in ("to_end", "layout_to_end"):
        first = table.groupby("shift", sort=False)[measure].transform("first")
        table[f"{measure}_left"] = curves.divided(table[measure], first)
        table[f"{measure}_left_sem"] = curves.divided(table[f"{measure}_sem"], first)
    return table


def _in_order_of_appearance(column):
    return column if column.name == "t" else pd.Series(pd.factorize(column)[0], index=column.index)
