"""The tables of sampled images that figures draw and claims check: shifts, guidance, trajectories, memorisation.

As in ``results``: one function a table, from the files that evaluation and sampling wrote.
"""

import json
import math

import numpy as np
import pandas as pd

from twostage.report import paper
from twostage.report.contrast import known_columns, with_changes
from twostage.report.inputs import read_spaces, read_table, splits

DISTANCE = ("plan", "seed", "features", "distance")
SHIFTED = (*DISTANCE, "shift", "steps", "step_starts", "share_before_0.2")
GUIDED = (*DISTANCE, "kind", "interval_low", "interval_high")
SHAPE = ("precision", "recall", "prdc_neighbours", "prdc_samples", "prdc_reference")
MEASURES = ("norm", "to_end", "layout_to_end", "to_class_mean")
TRAJECTORY = ("field", "t", "samples", *(name for measure in MEASURES for name in (measure, f"{measure}_sem")))
FLUX = ("shift", "t", "prompts", *(name for measure in MEASURES[:3] for name in (measure, f"{measure}_sem")))
MEMORISED = (
    "followed_distance", "nearest_distance", "ratio", "copied", "retrieved", "within_one_grey_level",
)  # fmt: skip
MEMORISATION = ("plan", "seed", "space", "t_switch", "t_resume", "samples", *MEMORISED)

CONTROL = "held-out images"
TIME_TOLERANCE = 1e-9


# ----------------------------------------------------------------------------------------- shift, guidance (Tabs. 2, 3)


def timestep_shifts(evaluation, split=None):
    """Tab. 2: one row per (space, features, shift, seed), DataFrame, in the order of the file.

    evaluation: {space: tab2.csv}; split: {space: split.json}. ``share_before_0.2`` and ``share_before_split`` are
    shares of the step starts; mean, change and their intervals as ``contrast.with_changes`` has them, the change
    against s = 1; ``best`` the lowest mean; ``paper_share`` and ``paper`` the paper's share and gFID of the same shift,
    and ``paper_share_before_split`` the share of its step starts up to its own split, 0.1.
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
    ``kind``: "none", or "short" or "wide", the list of the configuration in which it stands; the rest as in
    ``timestep_shifts``, the change against no guidance, ``best`` within a kind. ``paper`` is the paper's gFID of the
    same interval, of no guidance and the short ones; which of its numbers belongs to which wide one is not known.
    """
    table = _read_distances(evaluation, GUIDED).merge(splits(split), on="space", how="left")
    table = table.rename(columns={"interval_low": "low", "interval_high": "high"})
    base = _plan_where(table, table["kind"] == "none")
    table = _with_best(with_changes(table, base), ["space", "features", "kind"])
    table["best"] &= table["kind"] != "none"
    table["paper"] = [
        paper.TABLE3_NONE if kind == "none" else paper.TABLE3_SHORT.get((round(low, 6), round(high, 6)), np.nan)
        for kind, low, high in zip(table["kind"], table["low"], table["high"])
    ]
    return table


def own_plans(evaluation, split=None):
    """The user's own plans: one row per (space, features, plan, seed), DataFrame, in the order of the file.

    evaluation: {space: tab_plans.csv}; split: {space: split.json}. ``name``: as the configuration has it; ``fields``,
    ``solver``, ``guidance`` and ``interval`` (as written: "split" is each space's own) say what a plan does; the rest
    as in ``timestep_shifts``, the change against the first plan. precision and recall, and what they depend on, k
    (prdc_neighbours) and the features per side (prdc_samples, prdc_reference): NaN where they were not taken.
    """
    table = _read_distances(evaluation, (*DISTANCE, "fields", "solver", "interval"), SHAPE)
    table["name"] = table["plan"].str.removeprefix("tab_plans-")
    table["interval"] = table["interval"].fillna("")
    table = with_changes(table, [table["plan"].iloc[0]] * len(table))
    table = _with_best(table, ["space", "features"])
    return table.merge(splits(split), on="space", how="left")


def _read_distances(evaluation, columns, wanted=()):
    """The columns that must be there, those that comparisons know, and of ``wanted`` those that are there."""
    table = read_spaces(evaluation, columns)
    more = [name for name in (*known_columns(table), *wanted) if name in table.columns and name not in columns]
    return table[["space", *columns, *dict.fromkeys(more)]].copy()


def _plan_where(table, chosen):
    """The plan of the rows ``chosen`` (bool) in each row's space, or None where there is none."""
    first = table[chosen].drop_duplicates("space").set_index("space")["plan"]
    return [first.get(space) for space in table["space"]]


def _with_best(table, groups):
    """Marks the plan with the lowest mean among the rows alike in ``groups``, where their numbers of samples agree."""
    cells = table.groupby(groups)
    table["best"] = table["mean"] == cells["mean"].transform("min")
    if "samples" in table.columns:
        table["best"] &= cells["samples"].transform("nunique") == 1
    return table


# ------------------------------------------------------------------------------------------------ trajectories (Fig. 8)


def trajectories(trajectories, split=None):
    """Figs. 4 and 8: one row per (space, field, t), DataFrame.

    trajectories: {space: fig8.csv}; split: {space: split.json}. ``field`` is the model or "oracle". ``to_end_left`` and
    ``layout_to_end_left``: the distance to the end as a share of the field's own at its first step. Every measure has
    its standard error, ``_sem``.
    """
    table = read_spaces(trajectories, TRAJECTORY)[["space", *TRAJECTORY]]
    table = table.sort_values(["space", "field", "t"], key=_in_order_of_appearance, kind="stable", ignore_index=True)
    for measure in ("to_end", "layout_to_end"):
        first = table.groupby(["space", "field"], sort=False)[measure].transform("first")
        table[f"{measure}_left"] = table[measure] / first
        table[f"{measure}_left_sem"] = table[f"{measure}_sem"] / first
    return table.merge(splits(split), on="space", how="left")


def flux_trajectories(trajectories):
    """App. H: one row per (shift, t) of flux.csv, DataFrame, with ``to_end_left`` and ``layout_to_end_left``.

    These are the distances to the end as shares of those at the first step, with standard errors, ``_sem``.
    """
    table = read_table(trajectories, FLUX)
    for measure in ("to_end", "layout_to_end"):
        first = table.groupby("shift", sort=False)[measure].transform("first")
        table[f"{measure}_left"], table[f"{measure}_left_sem"] = table[measure] / first, table[f"{measure}_sem"] / first
    return table


def _in_order_of_appearance(column):
    return column if column.name == "t" else pd.Series(pd.factorize(column)[0], index=column.index)


# ------------------------------------------------------------------------------------ memorisation (Figs. 5, 6, App. F)


def memorisation(memorization, time=None, split=None):
    """Distances of samples to training images, seeds pooled: one row per (space, features, plan), DataFrame.

    memorization: {space: {experiment}-memorization.csv}; time: the column that tells its plans apart, "t_switch" or
    "t_resume", which becomes ``t``; None where neither does; split: {space: split.json}. ``features`` is the space of
    the distances ("pixel", root mean square in grey levels, or what the features are called). ``control`` marks the
    held-out images measured as if they were samples. Means over samples and their standard errors (``_sem``):
    followed_distance, nearest_distance, ratio (d1 / d2), copied (share with ratio below 1/3), retrieved (the nearest is
    the followed one or a copy of it), and within_one_grey_level (no pixel further than that from the followed one).
    """
    parts = []
    for space, path in memorization.items():
        rows = read_table(path, MEMORISATION).rename(columns={"space": "features"})
        rows["control"] = rows["plan"] == CONTROL
        rows["t"] = rows[time] if time else np.nan
        if time and rows.loc[~rows["control"], "t"].isna().any():
            raise ValueError(f"{path} has plans without {time}; expected the plans of one experiment")
        groups = rows.groupby(["features", "plan", "control", "t"], sort=False, dropna=False)
        parts.append(pd.DataFrame([{**dict(zip(groups.keys, key)), **_pooled(own)} for key, own in groups]))
        parts[-1].insert(0, "space", space)
    if not parts:
        raise ValueError("no latent space was given; expected a mapping from its name to its CSV")
    return pd.concat(parts, ignore_index=True).merge(splits(split), on="space", how="left")


def _pooled(rows):
    """Means over the samples of all seeds, each seed's mean weighted by its samples, with standard errors."""
    share = rows["samples"] / rows["samples"].sum()
    pooled = {"samples": int(rows["samples"].sum())}
    for name in MEMORISED:
        pooled[name] = (share * rows[name]).sum(min_count=1)
        error = rows.get(f"{name}_sem", pd.Series(np.nan, index=rows.index))
        pooled[f"{name}_sem"] = math.sqrt(((share * error) ** 2).sum()) if error.notna().all() else math.nan
    return pooled


def of_plans(table, space, features):
    """The samples' rows of ``memorisation``, without the control, in order of t."""
    chosen = (table["space"] == space) & (table["features"] == features) & ~table["control"]
    return table[chosen].sort_values("t", kind="stable")


def control_of(table, space, features):
    """The control's row of ``memorisation`` as a Series, or None where it was not measured."""
    rows = table[(table["space"] == space) & (table["features"] == features) & table["control"]]
    return rows.iloc[0] if len(rows) else None
