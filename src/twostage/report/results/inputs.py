"""Reads the results that earlier stages wrote, and names what is missing."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd

from twostage.split import measured_split, read_split

# Columns that have a measured value in every row. A NaN there is a fault of the stage that wrote it; a minimum, a mean
# or an interpolation would hide it. Errors and settings, in other columns, may be unknown.
MEASURED = (
    "t", "top1", "mse", "cfm", "oracle", "distance", "norm", "to_end", "layout_to_end", "to_class_mean", "predicted",
)  # fmt: skip


def read_table(path, columns, dtype=None):
    """A CSV as a DataFrame with at least ``columns``, in the file's order; dtype: as in pandas.

    Raises ValueError, with the file's name, for a missing file, an empty one, one without a needed column, or one with
    a value of ``MEASURED`` among them that is not finite.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path} is not there; expected the CSV of an earlier stage: run that stage first")
    try:
        table = pd.read_csv(path, dtype=dtype)
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read as CSV ({error}); delete it and run its stage again") from None
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise ValueError(f"{path} lacks the column(s) {', '.join(missing)}; it has {', '.join(table.columns)}")
    if table.empty:
        raise ValueError(f"{path} has no rows; delete it and run its stage again")
    for column in (name for name in MEASURED if name in columns):
        bad = np.flatnonzero(~np.isfinite(pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=float)))
        if len(bad):
            raise ValueError(
                f"{path}: {column} is not a finite number in {len(bad)} of {len(table)} rows, the first in line "
                f"{bad[0] + 2}; delete the file and run its stage again"
            )
    return table


def read_spaces(paths, columns):
    """CSVs of several latent spaces, {space: path}, as one DataFrame with ``space`` as its first column."""
    if not paths:
        raise ValueError("no latent space was given; expected a mapping from its name to its CSV")
    tables = []
    for space, path in paths.items():
        table = read_table(path, columns)
        if "space" in table.columns:
            table = table.drop(columns="space")
        table.insert(0, "space", space)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def read_transition(path):
    """A ``transition.json`` as a dict. Raises ValueError when it is not there, not JSON, or has no ``split``."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as JSON ({error}); run the oracle stage again") from None
    if "split" not in content:
        raise ValueError(f"{path} has no key 'split'; it has {', '.join(content)}")
    return content


def number(value):
    """``value`` as a float; None, which stands for NaN in JSON, as NaN."""
    return math.nan if value is None else float(value)


def splits(paths):
    """The stage splits in {space: split.json}: DataFrame space, split, split_source, split_low, split_high."""
    rows = [{"space": space, **read_split(path).attributes()} for space, path in (paths or {}).items()]
    return pd.DataFrame(rows, columns=["space", "split", "split_source", "split_low", "split_high"])


def measured_transitions(paths):
    """The transitions in {space: transition.json}: DataFrame space, measured, measured_low, measured_high."""
    rows = []
    for space, path in paths.items():
        found = measured_split(path)
        rows.append((space, found.value, found.low, found.high))
    return pd.DataFrame(rows, columns=["space", "measured", "measured_low", "measured_high"])
