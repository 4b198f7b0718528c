"""Functions with which the stages of the oracle write their tables."""

import numpy as np

from twostage.provenance import atomic_write, write_provenance


def mean_and_error(values):
    """Mean over the first axis and its standard error (0 for a single value): two arrays (T,)."""
    error = values.std(0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.zeros(values.shape[1])
    return values.mean(0), error


def write_table(path, table, *, config, seed, inputs=()):
    """Write a DataFrame as CSV, atomically, with its provenance beside it."""
    with atomic_write(path) as temporary:
        table.to_csv(temporary, index=False)
    write_provenance(path, config=config, seed=seed, inputs=inputs)
