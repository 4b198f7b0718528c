"""Norms of velocities by t: is a model shorter than it should be?

One row per latent space. (a) root mean squares of the models and of the oracle, divided by that of the conditional
target; (b) those of the models divided by the oracle's; (c) the difference of the mean squares of target and oracle,
and the mean squared gap between the two.
"""

from twostage.report.figures import layout, style
from twostage.report.results import curves
from twostage.report.results.losses import trained_for
from twostage.report.results.norms import ORACLE, norm_curves

drawn = norm_curves
REACH = 1.1  # end of the gap's axis, as a multiple of the gap's largest value


def figure(table):
    """The figure from its table (``drawn``)."""
    spaces = list(dict.fromkeys(table["space"]))
    with style.look():
        picture, panels = style.new_figure(len(spaces), 3, width=4.4, height=3.9)
        for space, axes in zip(spaces, panels):
            rows = table[table["space"] == space]
            oracle, models = rows[rows["model"] == ORACLE], rows[rows["model"] != ORACLE]
            _ratios(axes[0], models, "over_conditional")
            _band(axes[0], oracle, "over_conditional", style.TEXT, "oracle", linestyle="--")
            lowest = [(part["over_conditional"].min(), model) for model, part in rows.groupby("model", sort=False)]
            words = layout.few([(least, f"{least:.2f} ({model})") for least, model in lowest])
            layout.title(axes[0], f"{space} (a) Relative to the conditional target, least: {words}")
            axes[0].set_ylabel("norm / norm of x₁ − x₀")
            _ratios(axes[1], models, "over_oracle")
            early = models[models["t"] <= rows["split"].iloc[0]].groupby("model", sort=False)["over_oracle"].min()
            words = layout.few([(least, f"{least:.3f} ({model})") for model, least in early.items()])
            layout.title(axes[1], f"{space} (b) Relative to the oracle, least before the split: {words}")
            axes[1].set_ylabel("norm / norm of the oracle velocity")
            _identity(axes[2], oracle, space)
            for panel in axes:
                style.mark_split(panel, rows.iloc[0], label="stage split")
                style.time_axis(panel)
                layout.legend(panel)
            for panel in axes[:2]:
                panel.axhline(1, color=style.TEXT, linewidth=0.8)
        return layout.fitted(picture, panels)


def _ratios(axes, rows, quantity):
    for model, colour in style.colours_of(rows, "model").items():
        part = rows[rows["model"] == model]
        _band(axes, part, quantity, colour, f"{model} ({trained_for(part['step'].iloc[0])})")


def _band(axes, rows, quantity, colour, label, linestyle="-"):
    rows = rows.sort_values("t")
    axes.plot(rows["t"], rows[quantity], color=colour, linewidth=1.6, linestyle=linestyle, label=label)
    ends = rows[f"{quantity}_low"], rows[f"{quantity}_high"]
    axes.fill_between(rows["t"], *ends, color=colour, alpha=0.18, linewidth=0)


def _identity(axes, oracle, space):
    oracle = oracle.sort_values("t")
    style.curve(
        axes, oracle["t"], oracle["lacks"], oracle["lacks_sem"], colour=style.TEXT, label="(E|u|² − E|u*|²) / D",
    )  # fmt: skip
    axes.plot(
        oracle["t"],
        oracle["mse"],
        color=style.SPACE_COLOURS[1],
        linestyle=":",
        label="mean squared gap, E|u − u*|² / D",
    )
    axes.set_ylim(top=REACH * max(oracle["lacks"].max(), oracle["mse"].max()))
    means = [curves.mean_over(oracle["t"], oracle[name], 0 * oracle["t"], 0.0, 1.0).value for name in ("lacks", "mse")]
    words = f"{means[0]:.3f} and {means[1]:.3f} per dimension"
    layout.title(axes, f"{space} (c) The oracle is shorter by the gap: {words}, means over t")
    axes.set_ylabel("per dimension")


def draw(pair_errors, split, output_pdf, output_png, output_csv, *, models=None, config=None):
    """Read {space: oracle_loss.h5} and {space: split.json}; write the figure as PDF, PNG and CSV.

    models: names, smallest first.
    """
    table = drawn(pair_errors, split, models=models)
    inputs = [*pair_errors.values(), *split.values()]
    style.save(figure(table), table, output_pdf, output_png, output_csv, inputs=inputs, config=config)
