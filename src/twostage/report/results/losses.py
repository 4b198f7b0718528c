"""Models' errors against the two targets by time and snapshot (Figs. 7 and 9)."""

import numpy as np
import pandas as pd

from twostage.report.results import curves
from twostage.report.results.inputs import read_spaces, splits

LOSSES = (
    "model", "step", "t", "pairs", "cfm", "cfm_sem", "oracle", "oracle_sem", "oracle_variance", "explained",
)  # fmt: skip


def loss_curves(oracle_loss, split, *, models=None):
    """Every model's error by t at every snapshot: one row per (space, model, step, t), DataFrame.

    oracle_loss: {space: oracle_loss.csv}; split: {space: split.json}; models: names, smallest first (in the file's
    order if not given). ``length`` says how long a snapshot was trained: "shared" is the longest training length that
    every model of the space reached, "longer" is a model's last snapshot beyond it, "shorter" is any other snapshot.
    ``largest`` marks the last model. ``gap_sem`` is the standard error of cfm - oracle, pair by pair; NaN where the
    files do not have it. Raises ValueError for a model without results.
    """
    table = read_spaces(oracle_loss, LOSSES)
    if "gap_sem" not in table.columns:
        table["gap_sem"] = np.nan
    table = table[["space", *LOSSES, "gap_sem"]]
    parts = []
    for space in oracle_loss:
        rows = table[table["space"] == space]
        order = _ordered(rows["model"], models, oracle_loss[space])
        last = rows.groupby("model")["step"].max()
        shared = last[order][last[order] > 0].min()  # a model of another code has 0, where its steps are not known
        for model in order:
            own = rows[rows["model"] == model].sort_values(["step", "t"])
            reached = own["step"].where(own["step"] <= shared, 0).max()  # 0: imported, all of its training beyond
            length = np.where(own["step"] == reached, "shared", "shorter")
            length[(own["step"] == last[model]) & (own["step"] > reached)] = "longer"
            parts.append(own.assign(length=length, largest=model == order[-1]))
    return pd.concat(parts, ignore_index=True).merge(splits(split), on="space", how="left")


def trained_for(step):
    """How long a snapshot was trained, in words; 0 steps is a model of another code, of which that is not known."""
    return f"{step:,} steps" if step else "trained elsewhere"


def loss_of(table, space, model, length="longer"):
    """One model's curve in a space, in order of t. length: "longer" (the shared one if there is none), or "shared"."""
    rows = table[(table["space"] == space) & (table["model"] == model)]
    if length == "longer" and not (rows["length"] == "longer").any():
        length = "shared"
    return rows[rows["length"] == length].sort_values("t")


def relative_gap(rows, low, high):
    """Mean difference of the errors against the two targets over [low, high], as a share of the CFM error: Estimate."""
    cfm = curves.mean_over(rows["t"], rows["cfm"], rows["cfm_sem"], low, high)
    return curves.ratio(error_gap(rows, low, high), curves.Estimate(cfm.value, cfm.value, cfm.value))


def error_gap(rows, low, high):
    """Mean difference of the errors against the two targets over [low, high], an Estimate.

    Its interval uses the standard errors of the differences per pair, where they are known. Otherwise it takes the two
    errors as independent, which makes it far too wide where they nearly coincide.
    """
    if rows["gap_sem"].notna().all():
        return curves.mean_over(rows["t"], rows["cfm"] - rows["oracle"], rows["gap_sem"], low, high)
    cfm, oracle = (
        curves.mean_over(rows["t"], rows[name], rows[f"{name}_sem"], low, high) for name in ("cfm", "oracle")
    )
    return curves.difference(cfm, oracle)


def _ordered(found, models, path):
    found = list(dict.fromkeys(found))
    if missing := [model for model in models or found if model not in found]:
        raise ValueError(f"{path} has no rows of model {missing[0]!r}; it has {', '.join(found)}")
    return list(models or found)
