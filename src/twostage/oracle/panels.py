"""The synthetic stage: top-1 weights on unit Gaussians (Fig. 3) and the law on a grid of dimensions and sizes."""

from pathlib import Path

import numpy as np
import pandas as pd

from twostage.oracle.law import (
    crossing_time,
    predicted_self_weight,
    transition_grid,
    transition_interval,
    transition_time,
)
from twostage.oracle.synthetic import gaussian_curves, top1_curve
from twostage.provenance import atomic_write, write_provenance

PAPER_DIMENSIONS = {"size": 1400, "dims": [512, 2048, 8192]}
PAPER_SIZES = {"dim": 1024, "sizes": [100, 1000, 10000]}
LAW_GRID = [(dim, size) for dim in (16, 64, 512, 4096) for size in (10, 100, 1000, 10000)]


def measure_synthetic(
    output_dir,
    *,
    times,
    trials,
    seed,
    dimension_panel=PAPER_DIMENSIONS,
    size_panel=PAPER_SIZES,
    brute_bfloat16=True,
    bfloat16_trials=None,
    law_grid=LAW_GRID,
    law_trials=None,
    bootstrap=1000,
    workers=1,
    state_dir=None,
):
    """Write top1.csv, law.csv and transition.csv into ``output_dir``; returns the top-1 table.

    dimension_panel: one size, several dims; size_panel: one dim, several sizes (Figs. 3a, 3b); times: (T,) of Fig. 3;
    trials: a (D, N); brute_bfloat16: also the curves whose squared distances are rounded to bfloat16, with
    ``bfloat16_trials`` trials (None: as many); law_grid: (D, N) to compare with the law, each on its own times about
    the predicted transition, with ``law_trials`` trials; state_dir: where finished trials are kept for a resumption.
    """
    output_dir = Path(output_dir)
    panels = [("dimension", dim, dimension_panel["size"]) for dim in dimension_panel["dims"]]
    panels += [("size", size_panel["dim"], size) for size in size_panel["sizes"]]
    precisions = {"exact": trials}
    if brute_bfloat16:
        precisions["bfloat16"] = bfloat16_trials or trials
    times = np.asarray(times, dtype=float)
    tables = []
    for panel, dim, size in panels:
        for precision, number in precisions.items():
            curves = top1_curve(
                dim, size, times, number, seed, precision=precision, workers=workers,
                state=_state(state_dir, dim, size, precision),
            )  # fmt: skip
            mean, error = _mean_and_error(curves)
            tables.append(
                pd.DataFrame(
                    {
                        "panel": panel,
                        "dim": dim,
                        "size": size,
                        "t": times,
                        "trials": number,
                        "top1": mean,
                        "top1_sem": error,
                        "precision": precision,
                    }
                )
            )
    laws, transitions = [], []
    for dim, size in law_grid:
        law, transition = _law(dim, size, law_trials or trials, seed, bootstrap, workers, state_dir)
        laws.append(law)
        transitions.append(transition)
    settings = {
        "dimension_panel": dimension_panel,
        "size_panel": size_panel,
        "times": times.tolist(),
        "trials": trials,
        "bfloat16_trials": precisions.get("bfloat16"),
        "law_grid": [list(pair) for pair in law_grid],
        "law_trials": law_trials or trials,
        "bootstrap": bootstrap,
    }
    table = pd.concat(tables, ignore_index=True)
    _write_csv(output_dir / "top1.csv", table, settings, seed)
    if laws:
        _write_csv(output_dir / "law.csv", pd.concat(laws, ignore_index=True), settings, seed)
        _write_csv(output_dir / "transition.csv", pd.DataFrame(transitions), settings, seed)
    return table


def _law(dim, size, trials, seed, bootstrap, workers, state_dir):
    ones = np.ones(dim)
    times = transition_grid(ones, size, points=41)
    state = _state(state_dir, dim, size, "law")
    weights = gaussian_curves(dim, size, times, trials, seed, workers=workers, state=state)[1]
    mean, error = _mean_and_error(weights)
    predicted = predicted_self_weight(ones, size, times)
    low, high = transition_interval(weights, times, resamples=bootstrap, seed=seed) or (None, None)
    law = pd.DataFrame(
        {"dim": dim, "size": size, "t": times, "measured": mean, "measured_sem": error, "predicted": predicted}
    )
    transition = {
        "dim": dim,
        "size": size,
        "measured": crossing_time(mean, times),
        "lo": low,
        "hi": high,
        "predicted": transition_time(ones, size),
        "curve_error": np.abs(mean - predicted).max(),
    }
    return law, transition


def _state(state_dir, dim, size, kind):
    return None if state_dir is None else Path(state_dir) / f"{kind}-{dim}-{size}.npz"


def _mean_and_error(curves):
    error = curves.std(0, ddof=1) / np.sqrt(len(curves)) if len(curves) > 1 else np.zeros(curves.shape[1])
    return curves.mean(0), error


def _write_csv(path, table, settings, seed):
    with atomic_write(path) as temporary:
        table.to_csv(temporary, index=False)
    write_provenance(path, config=settings, seed=seed)
