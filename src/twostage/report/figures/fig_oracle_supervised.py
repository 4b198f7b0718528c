"""App. B: a model that regresses on the oracle velocity beside its twin that regresses on x_1 - x_0.

For each latent space: (a) the oracle loss by t of the oracle-supervised model and its CFM twin, at the last snapshot
that both have and, paler, at a middle one; (b, ...) the Fréchet distance of their samples by training step, one panel
per kind of features.
"""

import string

import numpy as np
import pandas as pd

from twostage.report.figures import layout, style
from twostage.report.figures.distances import DISTANCES
from twostage.report.results import convergence

LINES = {convergence.CFM: "-", convergence.ORACLE: "--"}
TARGETS = {convergence.CFM: "CFM target", convergence.ORACLE: "oracle target"}


def drawn(oracle_loss, evaluation, split, *, pairs):
    """The table of App. B's figure, DataFrame; ``kind`` is "loss" (one row per time) or "distance" (one row per seed).

    Arguments and columns as in ``convergence.losses_of_twins`` (last and middle snapshots) and ``distances_of_twins``.
    """
    losses = convergence.losses_of_twins(oracle_loss, split, pairs)
    losses = losses[losses["snapshot"] != "other"].assign(kind="loss")
    return pd.concat(
        [losses, convergence.distances_of_twins(evaluation, pairs).assign(kind="distance")], ignore_index=True
    )


def figure(table):
    """App. B's figure from its table (``drawn``)."""
    losses, distances = (table[table["kind"] == kind] for kind in ("loss", "distance"))
    spaces, features = (list(dict.fromkeys(part)) for part in (losses["space"], distances["features"]))
    colours = style.colours_of(losses, "model")
    with style.look():
        picture, panels = style.new_figure(len(spaces), 1 + len(features), width=5.0, height=3.9)
        for space, axes in zip(spaces, panels):
            _losses(axes[0], losses[losses["space"] == space], space, colours)
            for letter, panel, kind in zip(string.ascii_lowercase[1:], axes[1:], features):
                own = distances[(distances["space"] == space) & (distances["features"] == kind)]
                _distances(panel, own, f"{space} ({letter})", DISTANCES.get(kind, kind), colours)
                panel.set_xlabel("training step")
        return layout.fitted(picture, panels)


def _losses(axes, rows, space, colours):
    for (snapshot, model), own in rows.groupby(["snapshot", "model"], sort=False):
        own, target = own.sort_values("t"), own["target"].iloc[0]
        look = {"colour": colours[model], "linestyle": LINES[target]}
        name = f"{model} ({TARGETS[target]}), {own['step'].iloc[0]:,} steps"
        if snapshot == "last":
            style.curve(axes, own["t"], own["oracle"], own["oracle_sem"], **look, linewidth=1.8, label=name)
        else:
            axes.plot(
                own["t"], own["oracle"], color=colours[model], linestyle=LINES[target], linewidth=1.2, alpha=0.45,
                label=name,
            )  # fmt: skip
    first = rows.iloc[0]
    style.mark_split(axes, first, label="stage split")
    style.time_axis(axes)
    axes.set_ylabel("MSE(model, oracle target)")
    axes.set_ylim(bottom=0)
    layout.legend(axes)
    parts = []
    for _, own in rows[rows["snapshot"] == "last"].groupby("pair", sort=False):
        means = {model: convergence.mean_loss(part).value for model, part in own.groupby("model", sort=False)}
        parts += [(mean, f"{mean:.3g} ({model})") for model, mean in means.items()]
    layout.title(axes, f"{space} (a) Oracle loss, mean over t at the last snapshot {layout.few(parts)}")


def _distances(axes, rows, place, metric, colours):
    ends = []
    for (_, model), own in rows.groupby(["pair", "model"], sort=False):
        points = own.drop_duplicates("step").sort_values("step")
        target = own["target"].iloc[0]
        axes.errorbar(
            points["step"], points["mean"], style.half_width(points, "mean"), color=colours[model],
            linestyle=LINES[target], marker="o" if target == convergence.CFM else "s", markersize=4.5, linewidth=1.6,
            capsize=3, label=f"{model} ({TARGETS[target]})",
        )  # fmt: skip
        end = points["mean"].iloc[-1]
        ends.append((end, f"{end:.3g} ({model}, step {points['step'].iloc[-1]:,.0f})"))
    axes.set_ylabel(metric)
    axes.set_xscale("log")
    steps = np.unique(rows["step"]).astype(int)
    axes.set_xticks(steps, [f"{step:,}" for step in steps])
    axes.set_xticks([], minor=True)
    axes.set_ylim(bottom=0)
    layout.legend(axes)
    layout.title(axes, f"{place} {metric} of samples: {layout.few(ends)}")


def draw(
    oracle_loss, evaluation, split, output_pdf, output_png, output_csv, *, pairs, config=None
):  # fmt: skip
    """Read {space: oracle_loss.csv}, {space: fig_oracle_supervised.csv} and {space: split.json}; write the figure.

    pairs: {oracle-supervised model: its CFM twin}.
    """
    table = drawn(oracle_loss, evaluation, split, pairs=pairs)
    inputs = [*oracle_loss.values(), *evaluation.values(), *split.values()]
    style.save(figure(table), table, output_pdf, output_png, output_csv, inputs=inputs, config=config)
