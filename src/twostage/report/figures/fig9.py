"""Fig. 9: the oracle loss by t while a model trains, one column per latent space, and the shape of the last curve."""

import numpy as np

from twostage.report.figures import layout, style
from twostage.report.results import curves, shapes
from twostage.report.results.losses import loss_curves, trained_for
from twostage.report.results.paired import PairErrors
from twostage.report.results.posterior import posterior_curves, saturation_of

SHAPE, ENDS = ("off_parabola", "extremes"), ("", "_low", "_high")


def drawn(oracle_loss, split, pair_errors, posterior, transition, *, models=None):
    """The table of Fig. 9: every snapshot of the largest model of each space (``loss_curves``).

    Each space's last snapshot has, from saturation on, the ``parabola`` nearest to it, the share of its variance over t
    that the parabola leaves (``off_parabola``) and its number of ``extremes``, with their intervals (``shapes``). NaN
    in the other rows, and where the range has too few times.
    """
    table = loss_curves(oracle_loss, split, models=models)
    table = table[table["largest"]].reset_index(drop=True)
    posteriors = posterior_curves(posterior, transition)
    table[["parabola", *(f"{name}{end}" for name in SHAPE for end in ENDS)]] = np.nan
    for space, path in pair_errors.items():
        rows = table[table["space"] == space]
        saturation = saturation_of(posteriors, space).value
        last = rows[(rows["step"] == rows["step"].max()) & (rows["t"] >= saturation)].sort_values("t")
        if last.empty:
            continue
        table.loc[last.index, "parabola"] = shapes.best_parabola(last["t"], last["oracle"])
        shape = shapes.shape_of(PairErrors(path), last, saturation)
        for name in SHAPE:
            for end, value in zip(ENDS, getattr(shape, name)):
                table.loc[last.index, f"{name}{end}"] = value
    return table


def figure(table):
    """Fig. 9 from its table (``drawn``)."""
    spaces = list(dict.fromkeys(table["space"]))
    with style.look():
        picture, panels = style.new_figure(1, len(spaces), width=5.0, height=4.0)
        for axes, space in zip(panels[0], spaces):
            rows = table[table["space"] == space]
            steps = sorted(rows["step"].unique())
            for step, colour in zip(steps, style.sequence(len(steps))):
                part = rows[rows["step"] == step].sort_values("t")
                label = f"step {step:,}" if step else trained_for(step)
                style.curve(axes, part["t"], part["oracle"], part["oracle_sem"], colour=colour, label=label)
            style.mark_split(axes, rows.iloc[0], label="stage split")
            last = part.dropna(subset="parabola")
            if len(last):
                axes.plot(last["t"], last["parabola"], color=style.QUIET, linestyle="--", label="nearest parabola")
            split = rows["split"].iloc[0]
            first, end = (
                curves.mean_over(part["t"], part["oracle"], part["oracle_sem"], split, 1.0).value
                for part in (rows[rows["step"] == step].sort_values("t") for step in (steps[0], steps[-1]))
            )
            model, several = rows["model"].iloc[0], len(steps) > 1  # a model made elsewhere has one snapshot
            which = f"{model} as it trains" if several else f"{model}, {trained_for(steps[0])}"
            mean = f"{first:.3g} to {end:.3g}" if several else f"{end:.3g}"
            layout.title(axes, f"{space}: oracle loss of {which}; mean after the split {mean}{_shape(last)}")
            axes.set_ylabel("MSE(model, oracle target)")
            axes.set_ylim(bottom=0)
            style.time_axis(axes)
            layout.legend(axes)
        return layout.fitted(picture, panels)


def _shape(last):
    """How far the last curve is from its parabola, in words; "" if that is not known."""
    if last.empty or not np.isfinite(last["off_parabola"].iloc[0]):
        return ""
    row = last.iloc[0]
    off, low, high = (f"{row[f'off_parabola{end}']:.1%}" for end in ENDS)
    count, least, most = (f"{row[f'extremes{end}']:.0f}" for end in ENDS)
    between = f" [{least} to {most}]" if least != most else ""
    return f"; {off} [{low}, {high}] off a parabola, extremes: {count}{between}"


def draw(
    oracle_loss,
    split,
    pair_errors,
    posterior,
    transition,
    output_pdf,
    output_png,
    output_csv,
    *,
    models=None,
    config=None,
):
    """Read {space: path} of each source (oracle_loss.csv, split.json, oracle_loss.h5, posterior.csv, transition.json);
    write Fig. 9 as PDF, PNG and CSV."""
    sources = (oracle_loss, split, pair_errors, posterior, transition)
    table = drawn(*sources, models=models)
    inputs = [path for paths in sources for path in paths.values()]
    style.save(figure(table), table, output_pdf, output_png, output_csv, inputs=inputs, config=config)
