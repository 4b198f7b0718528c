"""The transition, measured and predicted by the law: by class, over all data, of unit Gaussians, by sample size."""

import pandas as pd

from twostage.report.results.gaussians import SYNTHETIC
from twostage.report.results.inputs import number, read_spaces, read_table, read_transition

SYNTHETIC_TRANSITION = ("dim", "size", "measured", "lo", "hi", "predicted", "curve_error")
LAW = ("conditioning", "label", "n", "dim", "t", "measured", "measured_sem", "predicted")
SYNTHETIC_LAW = ("dim", "size", "t", "measured", "measured_sem", "predicted")
NSWEEP = ("pool", "label", "n", "dim", "measured", "lo", "hi", "predicted")


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


def size_sweep(nsweep):
    """Measured and predicted transition against N on real data, {space: nsweep.csv}: DataFrame with ``space``."""
    table = _named(read_spaces(nsweep, NSWEEP))[["space", *NSWEEP, "class"]]
    table["label"] = table["label"].astype(str)
    return table.assign(error=table["predicted"] / table["measured"] - 1)


def _named(table):
    """The table with a column ``class``, the class's name: its number in results of earlier versions."""
    numbers = table["label"].astype(str)
    return table.assign(**{"class": table["class"].astype(object).fillna(numbers) if "class" in table else numbers})
