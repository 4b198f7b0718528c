"""The synthetic stage: top-1 weights on unit Gaussians (Fig. 3), the law and the information on a grid of (D, N)."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from twostage.flow import sample_noise
from twostage.oracle.information import information, resolved
from twostage.oracle.information_table import information_table
from twostage.oracle.law import (
    channel_information,
    corrected_self_weight,
    crossing_time,
    predicted_self_weight,
    resolved_times,
    transition_grid,
    transition_interval,
    transition_time,
)
from twostage.oracle.pairs import sweep
from twostage.oracle.synthetic import gaussian_curves
from twostage.oracle.tables import mean_and_error, write_table

# Times at which the paper's Fig. 3 was read off.
READ_OFF = (0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.14, 0.16, 0.18, 0.2)
RESOLUTION = 0.1  # step of t / (1 - t) about a transition, over its value there
LARGEST = (1024, 1000)  # largest D and N of the data sets on which the information is measured
BUDGET_MB = 64  # working memory for the information


def measure_synthetic(
    output_dir,
    *,
    times,
    trials,
    seed,
    dimension_panel,
    size_panel,
    law_grid,
    law_trials=None,
    bootstrap=1000,
    workers=1,
    state_dir=None,
):
    """Write top1.csv, law.csv, transition.csv and information.csv into ``output_dir``; returns the top-1 table.

    dimension_panel: one size, several dims; size_panel: one dim, several sizes (Figs. 3a, 3b); times: (T,) of Fig. 3;
    times that resolve the predicted transition, and those at which the paper's points were read off, are added; trials:
    number per (D, N), exact and with distances and logits in bfloat16; law_grid: (D, N) to compare with the law, each
    on its own times about the predicted transition, with ``law_trials`` trials; workers: threads; state_dir: folder for
    finished trials until all is written, so that the same call continues where a killed one stopped.

    information.csv is measured on one data set per (D, N) of the law's grid, cut to ``LARGEST``, with ``law_trials``
    pairs. ``corrected`` in law.csv and transition.csv is ``corrected_self_weight``, the prediction for Gaussian data.
    """
    draw = _Draw(seed, workers, state_dir)
    asked = np.union1d(np.asarray(times, dtype=float), READ_OFF)
    panels = [("dimension", dim, dimension_panel["size"]) for dim in dimension_panel["dims"]]
    panels += [("size", size_panel["dim"], size) for size in size_panel["sizes"]]
    tables = []
    for panel, dim, size in panels:
        times = resolved_times(asked, [transition_time(np.ones(dim), size)], step=RESOLUTION)
        for precision in ("exact", "bfloat16"):
            mean, error = mean_and_error(draw(dim, size, times, trials, precision)[0])
            columns = {"panel": panel, "dim": dim, "size": size, "t": times, "trials": trials}
            tables.append(pd.DataFrame({**columns, "top1": mean, "top1_sem": error, "precision": precision}))
    laws, transitions = [], []
    for dim, size in law_grid:
        law, transition = _law(draw, dim, size, law_trials or trials, bootstrap)
        laws.append(law)
        transitions.append(transition)
    small = dict.fromkeys((min(dim, LARGEST[0]), min(size, LARGEST[1])) for dim, size in law_grid)
    informations = [_information(dim, size, asked, law_trials or trials, seed) for dim, size in small]

    settings = {
        "dimension_panel": dimension_panel,
        "size_panel": size_panel,
        "times": asked.tolist(),
        "trials": trials,
        "law_grid": [list(pair) for pair in law_grid],
        "law_trials": law_trials or trials,
        "bootstrap": bootstrap,
    }
    table = pd.concat(tables, ignore_index=True)
    written = {"top1.csv": table, "law.csv": pd.concat(laws), "transition.csv": pd.DataFrame(transitions)}
    written["information.csv"] = pd.concat(informations)
    for name, content in written.items():
        write_table(Path(output_dir) / name, content, config=settings, seed=seed)
    draw.forget()
    return table


def _law(draw, dim, size, trials, bootstrap):
    """Rows of law.csv and of transition.csv for one (D, N)."""
    ones = np.ones(dim)
    times = transition_grid(ones, size, points=41)
    weights = draw(dim, size, times, trials)[1]
    mean, error = mean_and_error(weights)
    predicted = predicted_self_weight(ones, size, times)
    corrected = corrected_self_weight(ones, size, times)
    low, high = transition_interval(weights, times, resamples=bootstrap, seed=draw.seed) or (None, None)
    law = {"dim": dim, "size": size, "t": times, "measured": mean, "measured_sem": error, "predicted": predicted}
    transition = {
        "dim": dim,
        "size": size,
        "measured": crossing_time(mean, times),
        "lo": low,
        "hi": high,
        "predicted": transition_time(ones, size),
        "curve_error": np.abs(mean - predicted).max(),
        "corrected": crossing_time(corrected, times),
        "corrected_curve_error": np.abs(mean - corrected).max(),
    }
    return pd.DataFrame({**law, "corrected": corrected}), transition


def _information(dim, size, times, pairs, seed):
    """Rows of information.csv for one (D, N)."""
    data, noise = (sample_noise(seed, first + np.arange(count), (dim,)) for first, count in ((0, size), (size, pairs)))
    index = torch.arange(pairs) % size

    def run(times):
        return [sweep(data, index, noise, times, budget_mb=BUDGET_MB)]

    (found,) = resolved(run, run(resolved_times(times, [transition_time(np.ones(dim), size)], step=RESOLUTION)))
    nats = channel_information(np.ones(dim), found.times)[0]
    return information_table("synthetic", information(found), n=size, dim=dim, pairs=pairs, gaussian=nats)


class _Draw:
    """Draws curves, and keeps the finished trials of each curve in a file of its own until ``forget``."""

    def __init__(self, seed, workers, state_dir):
        self.seed, self.workers, self.state_dir, self.states = seed, workers, state_dir, []

    def __call__(self, dim, size, times, trials, precision="exact"):
        state = None
        if self.state_dir is not None:
            recipe = json.dumps([dim, size, self.seed, precision, times.tolist()])
            state = Path(self.state_dir) / f"{hashlib.sha256(recipe.encode()).hexdigest()[:16]}.npz"
            self.states.append(state)
        return gaussian_curves(
            dim, size, times, trials, self.seed, precision=precision, workers=self.workers, state=state
        )

    def forget(self):
        for state in self.states:
            state.unlink(missing_ok=True)
