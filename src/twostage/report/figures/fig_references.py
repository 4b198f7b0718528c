"""Whom models follow, by t: the oracle, the Gaussian or the conditional target.

Two rows per latent space, one column per kind of path: of training images, of held-out images, the model's own. (a) the
largest model's squared error against each of the three; (b) the error of the predicted image against the oracle's, for
every size and for the largest model's snapshots.
"""

import math

from twostage.report.figures import layout, style
from twostage.report.results import curves
from twostage.report.results.losses import trained_for
from twostage.report.results.references import KINDS, OWN, reference_curves

drawn = reference_curves
TARGETS = {
    "oracle": ("the oracle", style.TEXT, "-"),
    "gaussian": ("the Gaussian", style.SPACE_COLOURS[1], "-"),
    "conditional": ("x₁ − x₀", style.QUIET, ":"),
}
FAINTEST = 0.25  # of the first snapshot's line


def figure(table):
    """The figure from its table (``drawn``)."""
    spaces = list(dict.fromkeys(table["space"]))
    with style.look():
        picture, panels = style.new_figure(2 * len(spaces), len(KINDS), width=4.4, height=3.9)
        for place, space in enumerate(spaces):
            rows = table[table["space"] == space]
            for column, (kind, name) in enumerate(KINDS.items()):
                own, pair = rows[rows["kind"] == kind], (panels[2 * place][column], panels[2 * place + 1][column])
                if own.empty:
                    for axes in pair:
                        axes.set_axis_off()
                    continue
                _targets(pair[0], own, f"{space} (a) On {name}", kind)
                _models(pair[1], own, f"{space} (b) On {name}")
                for axes in pair:
                    style.mark_split(axes, rows.iloc[0], label="stage split")
                    style.time_axis(axes)
                    layout.legend(axes)
        return layout.fitted(picture, panels)


def _targets(axes, rows, name, kind):
    largest = rows[rows["role"] == "largest"]
    told = []
    for target, (words, colour, line) in TARGETS.items():
        part = largest[largest["target"] == target].sort_values("t")
        label = "its own end minus its start" if (target, kind) == ("conditional", OWN) else words
        style.curve(axes, part["t"], part["error"], part["error_sem"], colour=colour, linestyle=line, label=label)
        if target != "conditional":
            told.append(f"{_mean(part, part['split'].iloc[0]):.2g} from {words}")
    axes.set_yscale("log")
    layout.title(axes, f"{name}, {largest['model'].iloc[0]}, to the split: {', '.join(told)}")
    axes.set_ylabel("MSE(model, …), log")


def _models(axes, rows, name):
    rows = rows[(rows["target"] == "image") & (rows["role"] != "other")]
    snapshots = sorted(rows.loc[rows["role"] != "size", "step"].unique())
    colours, told = style.colours_of(rows, "model"), []
    for (model, step), part in rows.groupby(["model", "step"], sort=False):
        part, earlier = part.sort_values("t"), part["role"].iloc[0] == "snapshot"
        alpha = FAINTEST + (1 - FAINTEST) * snapshots.index(step) / len(snapshots) if earlier else 1.0
        label = f"{model} ({trained_for(step)})"
        if earlier:
            axes.plot(
                part["t"], part["error"], color=colours[model], alpha=alpha, linewidth=1.2, linestyle="--", label=label
            )
        else:
            style.curve(
                axes, part["t"], part["error"], part["error_sem"], colour=colours[model], linewidth=1.6, label=label
            )
            told.append((mean := _mean(part, 1.0), f"{mean:.2g} ({model})"))
    axes.set_ylim(bottom=0)
    layout.title(axes, f"{name}, predicted image: {layout.few(told)}, mean over t")
    axes.set_ylabel("MSE(x̂₁, oracle's x̂₁)")


def _mean(part, end):
    found = curves.mean_over(part["t"], part["error"], 0 * part["t"], 0.0, end if math.isfinite(end) else 1.0)
    return found.value


def draw(references, split, output_pdf, output_png, output_csv, *, models=None, config=None):
    """Read {space: fig_references.h5} and {space: split.json}; write the figure as PDF, PNG and CSV.

    models: names, smallest first.
    """
    table = drawn(references, split, models=models)
    inputs = [*references.values(), *split.values()]
    style.save(figure(table), table, output_pdf, output_png, output_csv, inputs=inputs, config=config)
