"""Training on the oracle velocity beside training on the CFM target (App. B), for its figure and its claims."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from twostage.report.results import curves
from twostage.report.results.contrast import known_columns, with_changes
from twostage.report.results.inputs import read_spaces
from twostage.report.results.losses import loss_curves

DISTANCE = ("plan", "seed", "features", "distance", "model", "step")
CFM, ORACLE = "cfm", "oracle"


def losses_of_twins(oracle_loss, split, pairs):
    """Oracle loss by t of oracle-supervised models and their CFM twins: one row per (space, pair, model, step, t).

    oracle_loss: {space: oracle_loss.csv}; split: {space: split.json}; pairs: {oracle-supervised model: its CFM twin}.
    Columns: space, pair (the twin's name), model, target (on which it was trained, "cfm" or "oracle"), step, t, oracle,
    oracle_sem, the stage split, and ``snapshot``: among the snapshots that both have, "last", "middle" or "other".
    Raises ValueError for a model without results and for twins without a common snapshot.
    """
    keep = ["space", "model", "step", "t", "oracle", "oracle_sem", "split", "split_low", "split_high"]
    parts = []
    for supervised, twin in _checked(pairs).items():
        table = loss_curves(oracle_loss, split, models=[twin, supervised])[keep]
        for space, rows in table.groupby("space", sort=False):
            common = common_steps(rows)
            if not common:
                raise ValueError(f"{oracle_loss[space]}: {supervised} and {twin} have no snapshot in common")
            rows = rows[rows["step"].isin(common)].copy()
            rows["snapshot"] = np.where(rows["step"] == common[-1], "last", "other")
            if len(common) > 1:
                rows.loc[rows["step"] == common[(len(common) - 1) // 2], "snapshot"] = "middle"
            rows.insert(1, "pair", twin)
            rows.insert(3, "target", np.where(rows["model"] == twin, CFM, ORACLE))
            parts.append(rows)
    return pd.concat(parts, ignore_index=True)


def oracle_seconds(path):
    """Seconds that each line of a training log covers, and the part of them that the oracle target took: (lines, 2).

    path: stats.jsonl. Lines in which the trainer did not time the oracle are left out. Raises ValueError for a file
    that is no training log.
    """
    try:
        lines = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
        taken = np.diff([0.0, *(float(line["seconds"]) for line in lines)])
        timed = [
            (spent, float(line["oracle_seconds"])) for spent, line in zip(taken, lines) if "oracle_seconds" in line
        ]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is no training log ({error!r}); expected lines of JSON: train it again") from None
    return np.array(timed).reshape(-1, 2)


def common_steps(rows):
    """Training steps at which every model of the rows has a snapshot, in order."""
    steps = [set(own["step"]) for _, own in rows.groupby("model")]
    return sorted(int(step) for step in set.intersection(*steps))


def distances_of_twins(evaluation, pairs):
    """Fréchet distance of the twins' samples: one row per (space, pair, model, step, features, seed).

    evaluation: {space: CSV}, whose columns ``model`` and ``step`` name a plan's snapshot; pairs as above. ``mean`` and
    its interval are those of ``contrast.with_changes``. Models that are in no pair are left out.
    Raises ValueError for a plan without a snapshot and for a model without samples.
    """
    table = read_spaces(evaluation, DISTANCE)
    table = table[["space", *DISTANCE, *known_columns(table)]]
    if (unknown := table["step"].isna()).any():
        raise ValueError(f"plan {table.loc[unknown, 'plan'].iloc[0]!r} is of no snapshot; expected a field model@step")
    table = with_changes(table.astype({"step": int}), [None] * len(table))
    parts = []
    for supervised, twin in _checked(pairs).items():
        for space in evaluation:
            for model, target in ((twin, CFM), (supervised, ORACLE)):
                rows = table[(table["space"] == space) & (table["model"] == model)]
                if rows.empty:
                    raise ValueError(f"{evaluation[space]} has no plan of model {model!r}; run its stage again")
                parts.append(rows.assign(pair=twin, target=target))
    return pd.concat(parts, ignore_index=True)


def mean_loss(rows):
    """Mean oracle loss of one curve over all t, an Estimate."""
    rows = rows.sort_values("t")
    return curves.mean_over(rows["t"], rows["oracle"], rows["oracle_sem"], 0.0, 1.0)


def _checked(pairs):
    if not pairs:
        raise ValueError("no pair was given; expected {oracle-supervised model: its CFM twin}")
    return pairs
