"""Fig. 9: the oracle loss by t while a model trains, one column per latent space."""

from twostage.report.figures import layout, style
from twostage.report.results import curves
from twostage.report.results.losses import loss_curves


def drawn(oracle_loss, split, *, models=None):
    """The table of Fig. 9: every snapshot of the largest model of each space (``loss_curves``)."""
    table = loss_curves(oracle_loss, split, models=models)
    return table[table["largest"]].reset_index(drop=True)


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
                style.curve(axes, part["t"], part["oracle"], part["oracle_sem"], colour=colour, label=f"step {step:,}")
            style.mark_split(axes, rows.iloc[0], label="stage split")
            split = rows["split"].iloc[0]
            first, last = (
                curves.mean_over(part["t"], part["oracle"], part["oracle_sem"], split, 1.0).value
                for part in (rows[rows["step"] == step].sort_values("t") for step in (steps[0], steps[-1]))
            )
            model = rows["model"].iloc[0]
            layout.title(
                axes, f"{space}: oracle loss of {model} as it trains; mean after the split {first:.3g} to {last:.3g}"
            )
            axes.set_ylabel("MSE(model, oracle target)")
            axes.set_ylim(bottom=0)
            style.time_axis(axes)
            layout.legend(axes)
        return layout.fitted(picture, panels)


def draw(oracle_loss, split, output_pdf, output_png, output_csv, *, models=None, config=None):
    """Read {space: oracle_loss.csv} and {space: split.json}; write Fig. 9 as PDF, PNG and CSV."""
    table = drawn(oracle_loss, split, models=models)
    inputs = [*oracle_loss.values(), *split.values()]
    style.save(figure(table), table, output_pdf, output_png, output_csv, inputs=inputs, config=config)
