"""A Gaussian's exact flow up to a time, then a model: distances, diversity, novelty, sameness."""

import json

import numpy as np
import pandas as pd

from twostage.report.results import curves
from twostage.report.results.contrast import Distances, known_columns, with_changes
from twostage.report.results.information import cases, information_curves
from twostage.report.results.inputs import number, read_spaces, read_table, read_transition, splits
from twostage.report.results.memorization import CONTROL

MODEL, JUMP, UNIFORM = "model", "jump", "uniform"  # kinds of plans
SHAPE = ("precision", "recall", "coverage")
JUMPS = ("plan", "seed", "features", "distance", "kind", "fields", "steps", "nfe", "samples", "step_starts", *SHAPE)
BESIDE = ("nearest_distance", "same_noise_distance", "other_noise_distance")
MEMORIZED = ("plan", "seed", "space", *(name for each in BESIDE for name in (each, f"{each}_sem")))
DECIDED = 0.95  # share of the final information of x_t about the class, at which the class counts as decided


def jumps(jump, memorization, split=None, transition=None, information=None):
    """One row per (space, features, plan, seed), DataFrame, in the order of the file.

    jump: {space: fig_jump.csv}; memorization: {space: fig_jump-memorization.csv}; split, transition, information:
    {space: that file}. ``fields``: the model; ``kind``: "model" (alone), "jump", or "uniform" (as many steps from the
    prior); ``t``: the time at which the plan starts, for a uniform plan the time of the jump with the same number of
    steps; ``saved``: share of the model's evaluations. mean, change and their intervals as in
    ``contrast.with_changes``, the change against "model"; ``against``, with its interval: the distance of a jump minus
    that of as many uniform steps, NaN without these. ``BESIDE``, with their errors: distances in these features to the
    nearest training image, to the model's sample of the same noise and to one of another noise; ``control``: distance
    of held-out images to their nearest training image, NaN without held-out images. ``law``: the split that the law
    predicts; ``decided``: the time at which the class is decided (``DECIDED``), NaN with a single class.
    """
    table = read_spaces(jump, JUMPS)
    table = table[["space", *dict.fromkeys([*JUMPS, *known_columns(table)])]].copy()
    table["t"] = [json.loads(starts)[0] for starts in table.pop("step_starts")]
    alone = table[table["kind"] == MODEL].drop_duplicates("space").set_index("space")
    table["saved"] = 1 - table["nfe"] / table["space"].map(alone["nfe"])
    left = {(row.space, row.nfe): row.t for row in table[table["kind"] == JUMP].itertuples()}
    uniform = table["kind"] == UNIFORM
    table.loc[uniform, "t"] = [left.get(key, np.nan) for key in zip(table[uniform]["space"], table[uniform]["nfe"])]
    table = with_changes(table, table["space"].map(alone["plan"]))
    table[["against", "against_low", "against_high"]] = _against(table)
    table = table.merge(_beside(memorization), on=["space", "features", "plan", "seed"], how="left")
    table = table.merge(splits(split), on="space", how="left")
    law = {space: number(read_transition(path).get("split_predicted")) for space, path in (transition or {}).items()}
    table["law"], table["decided"] = table["space"].map(law), table["space"].map(_decided(information))
    return table


def _against(table):
    """(rows, 3): for each jump, its distance minus that of as many uniform steps, paired, with the interval's ends."""
    found = {}
    for (space, features), rows in table.groupby(["space", "features"], sort=False):
        distances = Distances.of(rows, rows["plan"])
        plans = rows.drop_duplicates("plan")
        uniform = plans[plans["kind"] == UNIFORM].set_index("nfe")["plan"]
        for plan, nfe in plans[plans["kind"] == JUMP][["plan", "nfe"]].itertuples(index=False):
            if nfe in uniform.index and len(distances.values):
                found[space, features, plan] = distances.contrast({plan: 1, uniform[nfe]: -1})
    keys = zip(table["space"], table["features"], table["plan"])
    return np.array([found.get(key, curves.UNKNOWN) for key in keys])


def _beside(memorization):
    """``BESIDE`` with their errors by space, features, plan and seed, and the ``control``."""
    tables = []
    for space, path in memorization.items():
        rows = read_table(path, MEMORIZED)[list(MEMORIZED)].rename(columns={"space": "features"})
        control = rows[rows["plan"] == CONTROL].set_index("features")
        for name in ("nearest_distance", "nearest_distance_sem"):
            rows[name.replace("nearest_distance", "control")] = rows["features"].map(control[name])
        rows.insert(0, "space", space)
        tables.append(rows[rows["plan"] != CONTROL])
    return pd.concat(tables, ignore_index=True)


def _decided(information):
    """{space: time at which the information of x_t about the class reaches ``DECIDED`` of its end}."""
    if not information:
        return {}
    labels = cases(information_curves(information), "label")
    return {
        space: curves.first_crossing(rows["t"], rows["by_gap"] / rows["by_gap"].iloc[-1], DECIDED)
        for space, _, rows in labels
    }


def of_case(table):
    """(space, features, rows) of each case, plans in order of their kind and t."""
    for (space, features), rows in table.groupby(["space", "features"], sort=False):
        yield space, features, rows.sort_values(["kind", "t"], kind="stable")


def plans_of(rows, kind):
    """A case's plans of one kind, one row per plan (of its first seed), in order of t."""
    return rows[rows["kind"] == kind].drop_duplicates("plan").sort_values("t")
