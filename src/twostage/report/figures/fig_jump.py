"""The first part of the path without a network: a Gaussian's exact flow to a time t, then a model, by t.

One row per latent space and kind of features. The distance, with that of the same number of uniform steps from the
prior and the evaluations saved; its paired change; precision, recall and coverage; and the distances of samples to the
training images and to the model's own samples of the same noise.
"""

import numpy as np
from matplotlib.lines import Line2D

from twostage.report.figures import layout, style
from twostage.report.figures.distances import DISTANCES
from twostage.report.results import curves
from twostage.report.results.jump import JUMP, MODEL, SHAPE, UNIFORM, jumps, of_case, plans_of

drawn = jumps
WIDTH, HEIGHT = 4.4, 3.9
COLOURS = {JUMP: style.MODEL_COLOURS["XL"], UNIFORM: style.MODEL_COLOURS["B"], MODEL: style.QUIET}
SHAPES = dict(zip(SHAPE, (style.MODEL_COLOURS["L"], style.MODEL_COLOURS["S"], style.OTHER_MODELS[3])))
MARKS = {"split": (":", "stage split"), "law": ("--", "the law's split"), "decided": ("-.", "class decided")}


def figure(table):
    """The figure from its table (``drawn``)."""
    found = list(of_case(table))
    with style.look():
        picture, panels = style.new_figure(len(found), 4, width=WIDTH, height=HEIGHT)
        for row, (space, features, rows) in zip(panels, found):
            jumped = _mean_over_seeds(rows[rows["kind"] != UNIFORM])
            _distances(row[0], rows, f"{space}: ", features)
            _changes(row[1], rows)
            _shapes(row[2], jumped)
            _beside(row[3], jumped)
            for axes in row:
                for name, (line, _) in MARKS.items():
                    if np.isfinite(rows[name].iloc[0]):
                        axes.axvline(rows[name].iloc[0], color=style.QUIET, linewidth=1.2, linestyle=line)
                style.time_axis(axes, label="t to which the Gaussian's flow goes")
                layout.legend(axes)
        known = [(line, label) for name, (line, label) in MARKS.items() if table[name].notna().any()]
        lines = [Line2D([], [], color=style.QUIET, linestyle=line, linewidth=1.2, label=label) for line, label in known]
        return layout.legend_above(layout.fitted(picture, panels), lines) if lines else layout.fitted(picture, panels)


def _mean_over_seeds(rows):
    """One row per time, with the model alone at 0: means of columns that hold one value per seed."""
    columns = [*SHAPE, "nearest_distance", "nearest_distance_sem", "same_noise_distance", "other_noise_distance"]
    return rows.groupby("t", as_index=False)[[*columns, "control"]].mean()


def _bars(axes, plans, name, kind, label, **look):
    """Points by t with their 95% intervals."""
    away = np.abs([plans[name] - plans[f"{name}_low"], plans[f"{name}_high"] - plans[name]])
    axes.errorbar(
        plans["t"], plans[name], yerr=away, color=COLOURS[kind], label=label, marker="o", markersize=4, capsize=2.5,
        linewidth=1.6, **look,
    )  # fmt: skip


def _distances(axes, rows, before, features):
    alone, jumped = plans_of(rows, MODEL).iloc[0], plans_of(rows, JUMP)
    best = jumped.loc[jumped["mean"].idxmin()]
    axes.axhline(
        alone["mean"], color=style.QUIET, linewidth=1, label=f"the model alone, {alone['nfe']:.0f} evaluations"
    )
    _bars(axes, jumped, "mean", JUMP, "the Gaussian's flow to t, then the model")
    _bars(axes, plans_of(rows, UNIFORM), "mean", UNIFORM, "as many uniform steps from the prior", linestyle="--")
    axes.set_ylabel(DISTANCES.get(features, features))
    axes.set_ylim(bottom=0)
    saved = axes.twinx()
    saved.plot([0, *jumped["t"]], [0, *(100 * jumped["saved"])], color=style.QUIET, linewidth=1, alpha=0.7)
    saved.set_ylim(0, 100)
    saved.set_ylabel("evaluations saved, % (thin line)", color=style.QUIET)
    saved.grid(visible=False)
    told = f"{best['mean']:.3g} at t = {best['t']:.2g} with {best['nfe']:.0f}"
    layout.title(axes, f"{before}{alone['mean']:.3g} with {alone['nfe']:.0f} evaluations; {told}")


def _changes(axes, rows):
    jumped = plans_of(rows, JUMP)
    axes.axhline(0, color=style.TEXT, linewidth=1)
    _bars(axes, jumped, "change", JUMP, "minus the model alone")
    compared = jumped.dropna(subset="against")
    _bars(axes, compared, "against", UNIFORM, "minus as many uniform steps", linestyle="--")
    axes.set_ylabel("change of the distance, paired")
    better = jumped[jumped["change_high"] < 0]["t"]
    ends = [f"{time:.2g}" for time in (better.min(), better.max())]
    told = f"at t = {' to '.join(dict.fromkeys(ends))}" if len(better) else "at no time"
    layout.title(axes, f"After the jump, samples are surely better than the model's alone {told}")


def _shapes(axes, jumped):
    told = []
    for name, colour in SHAPES.items():
        if jumped[name].notna().any():  # else the reference has no features of its own
            axes.plot(jumped["t"], jumped[name], color=colour, marker="o", markersize=4, linewidth=1.6, label=name)
            told.append(f"{name} {jumped[name].iloc[0]:.2f} to {jumped[name].iloc[-1]:.2f}")
    axes.set_ylim(-0.03, 1.03)
    axes.set_ylabel("share")
    layout.title(axes, f"From no jump to the latest: {', '.join(told) or 'precision and recall are not known'}")


def _beside(axes, jumped):
    """Distances in these features, divided by the distance between the model's samples of two noises."""
    scale = jumped["other_noise_distance"].iloc[0]
    if np.isnan(curves.divided(jumped["nearest_distance"].iloc[0], scale)):
        scale = np.nan  # one image, whatever the noise
    nearest, same = jumped["nearest_distance"] / scale, jumped["same_noise_distance"] / scale
    style.curve(
        axes, jumped["t"], nearest, jumped["nearest_distance_sem"] / scale, colour=COLOURS[JUMP], marker="o",
        markersize=4, linewidth=1.6, label="to the nearest training image",
    )  # fmt: skip
    axes.plot(
        jumped["t"], same, color=COLOURS[UNIFORM], marker="s", markersize=4, linewidth=1.6,
        label="to the model's sample of the same noise",
    )  # fmt: skip
    axes.axhline(1, color=style.QUIET, linewidth=1, label="between the model's samples of two noises, one class")
    control = jumped["control"].iloc[0] / scale
    if np.isfinite(control):
        look = {"color": COLOURS[JUMP], "linewidth": 1, "linestyle": (0, (1, 1))}
        axes.axhline(control, **look, label="held-out images to the nearest training image")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("distance, in units of the grey line")
    said = f"From the same noise: {same.iloc[-1]:.2f} apart at the latest, to {nearest.iloc[-1]:.2f} from training"
    if np.isnan(scale):
        said = "The model's samples of two noises are the same image: there is no distance to compare with"
    layout.title(axes, said)


def draw(
    jump, memorization_jump, output_pdf, output_png, output_csv, *, split=None, transition=None, information=None,
    config=None,
):  # fmt: skip
    """Read {space: its CSV} of the experiment and of its memorization; write the figure as PDF, PNG and CSV.

    split, transition, information: {space: that file}, for the marked times.
    """
    table = drawn(jump, memorization_jump, split, transition, information)
    groups = (jump, memorization_jump, split, transition, information)
    inputs = [path for paths in groups for path in (paths or {}).values()]
    style.save(figure(table), table, output_pdf, output_png, output_csv, inputs=inputs, config=config)
