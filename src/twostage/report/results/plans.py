"""Distances of sampling plans: shifts (Tab. 2), guidance intervals (Tab. 3), the user's own."""

import json

import numpy as np
import pandas as pd

from twostage.report.results import paper
from twostage.report.results.contrast import ROUNDING, known_columns, with_changes
from twostage.report.results.inputs import (
    read_spaces,
    splits,
)

DISTANCE = ("plan", "seed", "features", "distance")
SHIFTED = (*DISTANCE, "shift", "steps", "step_starts", "share_before_0.2")
GUIDED = (*DISTANCE, "kind", "interval_low", "interval_high")
TIMES = "times"
OF_WHAT = ("model", "interval")  # of files of earlier versions, which guide one model, not all have them
GAINED = (*DISTANCE, "kind", "gain_alpha", "gain_beta")
SHAPE = ("precision", "recall", "prdc_neighbours", "prdc_samples", "prdc_reference")
PEERS = ("sfid", "sfid_sem", "inception_score", "inception_score_sem")
TIME_TOLERANCE = 1e-9


def timestep_shifts(evaluation, split=None):
    """Tab. 2: one row per (space, features, shift, seed), DataFrame, in the order of the file.

    evaluation: {space: tab2.csv}; split: {space: split.json}. ``share_before_0.2`` and ``share_before_split`` are
    shares of the step starts. Mean, change and their intervals are those of ``contrast.with_changes``, with the change
    against s = 1; ``best`` marks the lowest mean. ``paper_share`` and ``paper`` are the paper's share and gFID of the
    same shift; ``paper_share_before_split`` is the share of its step starts up to its own split, 0.1.
    """
    table = _read_distances(evaluation, SHIFTED)
    table = table.merge(splits(split), on="space", how="left")
    table["share_before_split"] = [
        np.nan if np.isnan(end) else np.mean(np.array(json.loads(starts)) <= end + TIME_TOLERANCE)
        for starts, end in zip(table.pop("step_starts"), table["split"].astype(float))
    ]
    table = _with_best(with_changes(table, _plan_where(table, table["shift"] == 1)), ["space", "features"])
    known = [paper.TABLE2.get(shift, (np.nan, np.nan)) for shift in table["shift"]]
    table["paper_share"], table["paper"] = np.array(known).T
    table["paper_share_before_split"] = table["shift"].map(paper.TABLE2_BEFORE_SPLIT)
    return table


def guidance_intervals(evaluation, split=None):
    """Tab. 3: one row per (space, features, interval, seed), DataFrame, in the order of the file.

    evaluation: {space: tab3.csv}; split: {space: split.json}. ``low``, ``high``: the interval, NaN without guidance;
    ``kind``: "none", or "short" or "wide", the list of the configuration in which it stands; "data", an interval that
    the data name; "beside", of another ``model`` or scale (``guidance``). ``named``: the interval's name, or
    "times"; the rest as in ``timestep_shifts``, the change against no guidance of the same model, ``best`` of the short
    ones and of the wide ones. ``paper`` is the paper's gFID of the same interval, of no guidance and the short ones;
    which of its numbers belongs to which wide one is not known.
    """
    table = _read_distances(evaluation, GUIDED, OF_WHAT).merge(splits(split), on="space", how="left")
    table = table.rename(columns={"interval_low": "low", "interval_high": "high"})
    for name in OF_WHAT:
        column = table[name] if name in table else pd.Series("", index=table.index)
        table[name] = column.astype(object).fillna("")
    table["named"] = table["interval"].where(table.pop("interval").str.isalpha(), TIMES)
    unguided = table[table["low"].isna()].drop_duplicates(["space", "model"]).set_index(["space", "model"])["plan"]
    base = [unguided.get(key) for key in zip(table["space"], table["model"])]
    table = _with_best(with_changes(table, base), ["space", "features", "kind"])
    table["best"] &= table["kind"].isin(["short", "wide"])
    table["paper"] = [
        paper.TABLE3_NONE if kind == "none" else paper.TABLE3_SHORT.get((round(low, 6), round(high, 6)), np.nan)
        for kind, low, high in zip(table["kind"], table["low"], table["high"])
    ]
    return table


def velocity_gains(evaluation, split=None):
    """tab_gain: one row per (space, features, gain, seed), DataFrame, in the order of the file.

    evaluation: {space: tab_gain.csv}; split: {space: split.json}. ``alpha``, ``beta``: of the gain 1 + alpha (1 -
    t)^beta, NaN without one; ``at_split``: its value at the split; the rest as in ``timestep_shifts``, the change
    against no gain.
    """
    table = _read_distances(evaluation, GAINED).merge(splits(split), on="space", how="left")
    table = table.rename(columns={"gain_alpha": "alpha", "gain_beta": "beta"})
    table["at_split"] = 1 + table["alpha"] * (1 - table["split"].astype(float)) ** table["beta"]
    base = _plan_where(table, table["kind"] == "none")
    return _with_best(with_changes(table, base), ["space", "features"])


def own_plans(evaluation, split=None):
    """The user's own plans: one row per (space, features, plan, seed), DataFrame, in the order of the file.

    evaluation: {space: tab_plans.csv}; split: {space: split.json}. ``name``: as in the configuration; ``fields``,
    ``solver``, ``guidance`` and ``interval`` (as written: "split" stands for each space's own split) describe the plan.
    The other columns are as in ``timestep_shifts``, with the change against the first plan; and precision and recall,
    with k (prdc_neighbours) and the features per side (prdc_samples, prdc_reference), NaN where they were not computed;
    and sFID and the Inception score with their standard errors, where the table has them.
    """
    table = _read_distances(evaluation, (*DISTANCE, "fields", "solver", "interval"), (*SHAPE, *PEERS, "gain"))
    table["name"] = table["plan"].str.removeprefix("tab_plans-")
    table["interval"] = table["interval"].fillna("")
    table = with_changes(table, [table["plan"].iloc[0]] * len(table))
    table = _with_best(table, ["space", "features"])
    return table.merge(splits(split), on="space", how="left")


def _read_distances(evaluation, columns, wanted=()):
    """The required columns, the optional ones that comparisons use, and those of ``wanted`` that the table has."""
    table = read_spaces(evaluation, columns)
    more = [name for name in (*known_columns(table), *wanted) if name in table.columns and name not in columns]
    return table[["space", *columns, *dict.fromkeys(more)]].copy()


def _plan_where(table, chosen):
    """For each row, the plan of the rows ``chosen`` (bool) in its space, or None."""
    first = table[chosen].drop_duplicates("space").set_index("space")["plan"]
    return [first.get(space) for space in table["space"]]


def _with_best(table, groups):
    """Marks the plan with the lowest mean in each group of rows, if the group's numbers of samples agree.

    None is the lowest of several that are alike up to rounding, as of a model that gives one image.
    """
    cells = table.groupby(groups)
    least, most = (cells["mean"].transform(end) for end in ("min", "max"))
    alike = (most - least <= ROUNDING * most.abs()) & (cells["plan"].transform("nunique") > 1)
    table["best"] = (table["mean"] == least) & ~alike
    if "samples" in table.columns:
        table["best"] &= cells["samples"].transform("nunique") == 1
    return table
