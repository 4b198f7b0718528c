"""The tables that figures draw and claims check, made from the results of the earlier stages.

Figures and claims read the same tables, so a claim is about what its figure shows; neither reads the other's output,
so a change in a figure leaves the claims alone.
"""

import numpy as np
import pandas as pd

from twostage.report import curves, paper
from twostage.report.contrast import known_columns, with_changes
from twostage.report.inputs import measured_transitions, number, read_spaces, read_table, read_transition, splits

POSTERIOR = (
    "conditioning", "label", "n", "dim", "t", "pairs", "top1", "top1_sem", "mse", "mse_sem", "mse_offset",
    "mse_offset_sem",
)  # fmt: skip
TOP1 = ("panel", "dim", "size", "t", "trials", "top1", "top1_sem", "precision")
LOSSES = (
    "model", "step", "t", "pairs", "cfm", "cfm_sem", "oracle", "oracle_sem", "oracle_variance", "explained",
)  # fmt: skip
SWAPS = ("plan", "seed", "features", "distance")
STAGES = ("stage_1", "stage_2", "split_at", "split_source", "split_low", "split_high")
SYNTHETIC_TRANSITION = ("dim", "size", "measured", "lo", "hi", "predicted", "curve_error")
LAW = ("conditioning", "label", "n", "dim", "t", "measured", "measured_sem", "predicted")
SYNTHETIC_LAW = ("dim", "size", "t", "measured", "measured_sem", "predicted")
NSWEEP = ("pool", "label", "n", "dim", "measured", "lo", "hi", "predicted")

SATURATED = 0.95  # top-1 weight from which on the posterior counts as collapsed to one sample
SYNTHETIC = "unit Gaussians"


# --------------------------------------------------------------------------------------------- posterior (Figs. 2, 3)


def posterior_curves(posterior, transition, split=None):
    """Posterior curves: one row per (space, conditioning, t), DataFrame.

    posterior: {space: posterior.csv}; transition: {space: transition.json}, whose transition is ``measured``, whatever
    the stage split of the run, which is that of split: {space: split.json}. Class-conditional rows ("class") are those
    pooled over all classes, unconditional ones ("all") those over all data.
    """
    table = read_spaces(posterior, POSTERIOR)
    keep = (table["conditioning"] == "all") | (table["label"].astype(str) == "pooled")
    table = table.loc[keep, ["space", *(name for name in POSTERIOR if name != "label")]]
    for space, path in posterior.items():
        if not ((table["space"] == space) & (table["conditioning"] == "class")).any():
            raise ValueError(f"{path} has no row with conditioning 'class' and label 'pooled'")
    table = table.merge(measured_transitions(transition), on="space", how="left")
    return table.merge(splits(split), on="space", how="left")


def posterior_of(table, space, conditioning="class"):
    """The rows of one posterior curve, in order of t."""
    return table[(table["space"] == space) & (table["conditioning"] == conditioning)].sort_values("t")


def saturation(table, space):
    """Time from which on the class-conditional top-1 weight of a space stays at 0.95 or above, an Estimate."""
    rows = posterior_of(table, space)
    return curves.crossing(rows["t"], rows["top1"], rows["top1_sem"], SATURATED)


def gaussian_curves(top1):
    """The rows of synthetic/top1.csv, with the paper's read-off weight in ``paper`` where it is known."""
    table = read_table(top1, TOP1)[list(TOP1)]
    known = {
        (panel, dim, size, round(t, 6)): weight
        for panel, points in (("dimension", paper.FIG3_DIMENSION), ("size", paper.FIG3_SIZE))
        for (dim, size), values in points.items()
        for t, weight in values
    }
    keys = zip(table["panel"], table["dim"], table["size"], table["t"].round(6))
    table["paper"] = [known.get(key, np.nan) for key in keys]
    return table


def gaussian_curve(table, panel, dim, size, precision="exact"):
    """The rows of one curve over unit Gaussians, in order of t."""
    chosen = (table["panel"] == panel) & (table["dim"] == dim) & (table["size"] == size)
    return table[chosen & (table["precision"] == precision)].sort_values("t")


def gaussian_pairs(table, panel):
    """The (D, N) pairs of a panel, in order of what it varies."""
    varied = {"dimension": "dim", "size": "size"}[panel]
    found = table.loc[table["panel"] == panel, ["dim", "size"]].drop_duplicates().sort_values(varied)
    return [(int(dim), int(size)) for dim, size in found.itertuples(index=False)]


def distance_to_paper(table, panel, dim, size, precision="exact"):
    """Mean absolute difference between a curve over unit Gaussians and the paper's read-off points, an Estimate."""
    exact = gaussian_curve(table, panel, dim, size)
    points = exact.dropna(subset="paper")
    rows = gaussian_curve(table, panel, dim, size, precision)
    if points.empty or rows.empty:
        return curves.Estimate(np.nan, np.nan, np.nan)
    off = [
        curves.at(rows["t"], rows["top1"], rows["top1_sem"], t).value - y for t, y in zip(points["t"], points["paper"])
    ]
    error = curves.CONFIDENCE * np.mean([np.interp(t, rows["t"], rows["top1_sem"]) for t in points["t"]])
    value = float(np.mean(np.abs(off)))
    return curves.Estimate(value, max(value - error, 0.0), value + error)


# ------------------------------------------------------------------------------------------------- losses (Figs. 7, 9)


def loss_curves(oracle_loss, split, *, models=None):
    """Every model's error by t at every snapshot: one row per (space, model, step, t), DataFrame.

    oracle_loss: {space: oracle_loss.csv}; split: {space: split.json}; models: names, smallest first (the file's order
    when not given). ``length`` says how long a snapshot was trained: "shared" is the longest
    training that every model of the space reached, "longer" a model's last snapshot beyond it, "shorter" any other.
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
        shared = last[order].min()
        for model in order:
            own = rows[rows["model"] == model].sort_values(["step", "t"])
            reached = own["step"].where(own["step"] <= shared, 0).max()  # 0: imported, all of its training beyond
            length = np.where(own["step"] == reached, "shared", "shorter")
            length[(own["step"] == last[model]) & (own["step"] > reached)] = "longer"
            parts.append(own.assign(length=length, largest=model == order[-1]))
    return pd.concat(parts, ignore_index=True).merge(splits(split), on="space", how="left")


def loss_of(table, space, model, length="longer"):
    """One model's curve in a space, in order of t: its "longer" snapshot (else the shared one), or the "shared" one."""
    rows = table[(table["space"] == space) & (table["model"] == model)]
    if length == "longer" and not (rows["length"] == "longer").any():
        length = "shared"
    return rows[rows["length"] == length].sort_values("t")


def relative_gap(rows, low, high):
    """How far the errors against the two targets are apart over [low, high], as a share of the CFM one: an Estimate."""
    cfm = curves.mean_over(rows["t"], rows["cfm"], rows["cfm_sem"], low, high)
    return curves.ratio(error_gap(rows, low, high), curves.Estimate(cfm.value, cfm.value, cfm.value))


def error_gap(rows, low, high):
    """Mean difference of the errors against the two targets over [low, high], an Estimate.

    With the standard errors of the pairs' own differences where they are known; otherwise as if the two errors were
    independent, which is far too wide where they nearly coincide.
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


# ------------------------------------------------------------------------------------------------ stage swap (Tab. 1)


def stage_swaps(evaluation):
    """Stage-swap results: one row per (space, features, split, stage 1, stage 2, seed), DataFrame.

    evaluation: {space: tab1.csv}, which says of each plan the models of its stages and the split between them.
    ``split``: "measured" or "fixed", the stage split, or a time of the configuration's; ``split_time``, ``split_low``,
    ``split_high``: that time, and its interval where there is one. ``mean``, ``change`` and their intervals are those
    of ``contrast.with_changes``, the change against the split's first plan; ``paper_0.1`` and ``paper_0.2`` the paper's
    gFID at its two splits for the same models.
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


# ------------------------------------------------------------------------------------------------------ transition law


def transition_points(transition, synthetic_transition=None):
    """Measured and predicted transition of every class, of all data and of the synthetic grid: DataFrame.

    Columns: space ("unit Gaussians" for the synthetic grid), conditioning, label, class (name), n, dim,
    measured, low, high (95%), predicted, curve_error (largest difference of the whole curves), error
    (predicted / measured - 1).
    """
    rows = []
    for space, path in transition.items():
        content = read_transition(path)
        entries = [("class", entry) for entry in content.get("classes", [])]
        if content.get("unconditional"):
            entries.append(("all", {"label": -1, **content["unconditional"]}))
        for conditioning, entry in entries:
            measured = entry.get("measured", entry.get("split"))
            low, high = entry.get("interval") or entry.get("split_interval") or (None, None)
            predicted = entry.get("predicted", entry.get("split_predicted"))
            numbers = [number(value) for value in (measured, low, high, predicted, entry.get("curve_error"))]
            dim = number(entry.get("dim", content.get("dim")))
            name = (str(entry["label"]), entry.get("class", str(entry["label"])))
            rows.append((space, conditioning, *name, number(entry.get("n")), dim, *numbers))
    columns = ["space", "conditioning", "label", "class", "n", "dim"]
    columns += ["measured", "low", "high", "predicted", "curve_error"]
    table = pd.DataFrame(rows, columns=columns)
    if synthetic_transition is not None:
        grid = read_table(synthetic_transition, SYNTHETIC_TRANSITION)
        label = [f"D={dim} N={size}" for dim, size in zip(grid["dim"], grid["size"])]
        grid = grid.rename(columns={"size": "n", "lo": "low", "hi": "high"})
        grid = grid.assign(**{"space": SYNTHETIC, "conditioning": "synthetic", "label": label, "class": ""})[columns]
        table = pd.concat([table, grid], ignore_index=True)
    return table.assign(error=table["predicted"] / table["measured"] - 1)


def law_curves(law, synthetic_law=None):
    """Measured and predicted weight of the true sample by t, for each class, all data and unit Gaussians: DataFrame."""
    table = _named(read_spaces(law, LAW))[["space", *LAW, "class"]]
    table["label"] = table["label"].astype(str)
    if synthetic_law is not None:
        grid = read_table(synthetic_law, SYNTHETIC_LAW)
        label = [f"D={dim} N={size}" for dim, size in zip(grid["dim"], grid["size"])]
        grid = grid.rename(columns={"size": "n"}).assign(space=SYNTHETIC, conditioning="synthetic", label=label)
        table = pd.concat([table, grid[["space", *LAW]]], ignore_index=True)
    return table


def _named(table):
    """The table with a column ``class``, the class's name: its number in results of earlier versions."""
    numbers = table["label"].astype(str)
    return table.assign(**{"class": table["class"].astype(object).fillna(numbers) if "class" in table else numbers})


def size_sweep(nsweep):
    """Measured and predicted transition against N on real data, {space: nsweep.csv}: DataFrame with ``space``."""
    table = _named(read_spaces(nsweep, NSWEEP))[["space", *NSWEEP, "class"]]
    table["label"] = table["label"].astype(str)
    return table.assign(error=table["predicted"] / table["measured"] - 1)
