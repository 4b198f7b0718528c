"""Fig. 7: a model's error against the CFM target and against the oracle target, by t, size and training length.

One row per latent space. (a) the largest model against both targets; (b) the oracle loss of every model at the training
length that all share, and of those trained longer; (c) for the same models, the share of the oracle velocity's variance
that they leave unexplained.
"""

from twostage.report.figures import layout, style
from twostage.report.results import curves, paper
from twostage.report.results.losses import loss_curves, relative_gap, trained_for


def drawn(oracle_loss, split, *, models=None):
    """The table of Fig. 7: the snapshots of ``loss_curves`` with the shared training length and the longer ones."""
    table = loss_curves(oracle_loss, split, models=models)
    return table[table["length"] != "shorter"].reset_index(drop=True)


def curve_names(rows):
    """{(model, step): label} of the curves in a space's rows; a star marks a model trained longer than the others."""
    names = {}
    for model, step, length in rows[["model", "step", "length"]].drop_duplicates().itertuples(index=False):
        names[model, step] = f"{model}{'*, longer' if length == 'longer' else ''} ({trained_for(step)})"
    return names


def figure(table):
    """Fig. 7 from its table (``drawn``)."""
    spaces = list(dict.fromkeys(table["space"]))
    with style.look():
        picture, panels = style.new_figure(len(spaces), 3, width=4.4, height=3.9)
        for space, axes in zip(spaces, panels):
            rows = table[table["space"] == space]
            _both_targets(axes[0], rows, space)
            _sizes(axes[1], rows, space)
            _unexplained(axes[2], rows, space)
            for panel in axes:
                style.mark_split(panel, rows.iloc[0], label="stage split")
                style.time_axis(panel)
                layout.legend(panel)
            for panel in axes[:2]:
                panel.set_ylim(bottom=0)
        return layout.fitted(picture, panels)


def _both_targets(axes, rows, space):
    largest = rows[rows["largest"]]
    last = largest[largest["step"] == largest["step"].max()].sort_values("t")
    model, step = last["model"].iloc[0], last["step"].iloc[0]
    colour = style.colours_of(rows, "model")[model]
    style.curve(axes, last["t"], last["cfm"], last["cfm_sem"], colour=style.QUIET, label="against the CFM target")
    style.curve(axes, last["t"], last["oracle"], last["oracle_sem"], colour=colour, label="against the oracle target")
    for points, marker, name in ((paper.FIG7A_CFM, "^", "CFM"), (paper.FIG7A_ORACLE, "o", "oracle")):
        t, loss = zip(*points)
        axes.plot(
            t,
            loss,
            marker,
            color=style.QUIET,
            markerfacecolor="white",
            markersize=4,
            label=f"paper, {name}",
            zorder=1.5,
        )
    split = last["split"].iloc[0]
    before, after = (relative_gap(last, *ends).value for ends in ((0.0, split), (split, 1.0)))
    apart = f"errors differ by {before:.0%} before the split, {after:.0%} after it"
    layout.title(axes, f"{space} (a) {model}, {trained_for(step)}: {apart}")
    axes.set_ylabel("MSE(model, target)")


def _sizes(axes, rows, space):
    _models(axes, rows, "oracle", "oracle_sem")
    split = rows["split"].iloc[0]
    means = [
        (mean, f"{mean:.3g} ({_short(part)})")
        for part in _parts(rows)
        for mean in [curves.mean_over(part["t"], part["oracle"], part["oracle_sem"], split, 1.0).value]
    ]
    layout.title(axes, f"{space} (b) Oracle loss after the split, mean: {layout.few(means)}")
    axes.set_ylabel("MSE(model, oracle target)")


def _unexplained(axes, rows, space):
    rows = rows.assign(unexplained=1 - rows["explained"], unexplained_sem=rows["oracle_sem"] / rows["oracle_variance"])
    _models(axes, rows, "unexplained", "unexplained_sem")
    axes.set_yscale("log")
    positive = rows.loc[rows["unexplained"] > 0, "unexplained"]
    if len(positive):  # none for a model that is the oracle
        axes.set_ylim(positive.min() / 2, 2 * positive.max())
    lowest = [
        (least, f"{100 * least:.2g}% ({_short(part)})")
        for part in _parts(rows)
        for least in [part["unexplained"].min()]
    ]
    layout.title(axes, f"{space} (c) Normalised: unexplained share, least {layout.few(lowest)}")
    axes.set_ylabel("oracle loss / variance of oracle target, log")


def _models(axes, rows, quantity, error):
    colours = style.colours_of(rows, "model")
    for part, label in zip(_parts(rows), curve_names(rows).values()):
        longer = part["length"].iloc[0] == "longer"
        style.curve(
            axes, part["t"], part[quantity], part[error], colour=colours[part["model"].iloc[0]],
            linestyle="--" if longer else "-", linewidth=1.6, label=label,
        )  # fmt: skip


def _parts(rows):
    """The rows of each curve of ``curve_names``, in order of t."""
    return [
        rows[(rows["model"] == model) & (rows["step"] == step)].sort_values("t") for model, step in curve_names(rows)
    ]


def _short(part):
    return part["model"].iloc[0] + ("*" if part["length"].iloc[0] == "longer" else "")


def draw(oracle_loss, split, output_pdf, output_png, output_csv, *, models=None, config=None):
    """Read {space: oracle_loss.csv} and {space: split.json}; write Fig. 7 as PDF, PNG and CSV.

    models: names, smallest first.
    """
    table = drawn(oracle_loss, split, models=models)
    inputs = [*oracle_loss.values(), *split.values()]
    style.save(figure(table), table, output_pdf, output_png, output_csv, inputs=inputs, config=config)
