"""App. E: the latent spaces side by side. One column per space, one row per figure of the paper.

Rows: the gap between the targets and the top-1 weight (Fig. 2), the models' oracle loss and the share of the oracle's
variance that they explain (Fig. 7), the largest model's loss as it trains (Fig. 9), and, where they were run in every
space, velocity norms and predictions along trajectories (Fig. 8), the distance to the training image followed (Fig. 5),
stage swaps (Tab. 1) and timestep shifts (Tab. 2). A row has one scale, except for distances in features.
"""

import math

import pandas as pd

from twostage.report.figures import bars, layout, style
from twostage.report.results.inputs import read_transition, splits
from twostage.report.results.losses import loss_curves
from twostage.report.results.memorization import memorization_distances
from twostage.report.results.plans import timestep_shifts
from twostage.report.results.posterior import posterior_curves
from twostage.report.results.swaps import stage_swaps
from twostage.report.results.trajectories import sample_trajectories
from twostage.split import FIXED

COLUMNS = ("space", "panel", "line", "x", "y", "sem")
WIDTH, HEIGHT = 4.6, 2.35  # inches of a panel
PIXEL, LEFT = "pixel", "layout_to_end_left"
OF_FIELDS = ("loss", "explained", "norm", "left")  # panels whose lines are models or the oracle
SHARED = {"gap", "weight", "loss", "explained", "training", "norm", "left", "followed"}
NAMES = {
    "gap": "gap between the targets\n(Fig. 2a), MSE",
    "weight": "top-1 posterior weight\n(Fig. 2b)",
    "loss": "oracle loss by model\n(Fig. 7), MSE",
    "explained": "share of the oracle's\nvariance explained (Fig. 7)",
    "training": "oracle loss of the largest\nmodel, by step (Fig. 9)",
    "norm": "velocity norm\n(Fig. 8), RMS",
    "left": "share of distance to the\nend left, layout (Fig. 8)",
    "followed": "distance to the training\nimage (Fig. 5), grey levels",
    "swap": "Fréchet distance by\nstages (Tab. 1)",
    "shift": "Fréchet distance / that of\nuniform steps (Tab. 2)",
}
AXES = {
    "followed": "t_switch (prior → data)",
    "swap": "distance; model before the split > model after it",
    "shift": "shift s",
}


def drawn(posterior, transition, split, oracle_loss, *, models=None, **sampled):
    """One row per point of every line, DataFrame: space, panel (a key of ``NAMES``), line, x, y, sem, and the splits.

    ``field``: the line, if it is that of a model or of the oracle; ``size`` and ``stage``: the heading of the space's
    column. ``posterior``, ``transition``, ``split``, ``oracle_loss``: {space: path}. sampled: {space: path} of
    ``trajectories``, ``memorization_switch``, ``tab1``, ``tab2``, if they were run. In panel ``swap``, x is the place
    of the line's pair.
    """
    parts = [*_posterior(posterior_curves(posterior, transition))]
    parts += _losses(loss_curves(oracle_loss, split, models=models))
    if found := sampled.get("trajectories"):
        for field, rows in sample_trajectories(found).groupby("field", sort=False):
            parts += [_line(rows, panel, field, "t", name) for panel, name in (("norm", "norm"), ("left", LEFT))]
    if found := sampled.get("memorization_switch"):
        table = memorization_distances(found, "t_switch").sort_values("t", kind="stable")
        rows = table[(table["features"] == PIXEL) & ~table["control"]]
        parts += [
            _line(rows, "followed", name, "t", f"{key}_distance")
            for name, key in (("the image followed", "followed"), ("the nearest", "nearest"))
        ]
    if found := sampled.get("tab1"):
        parts += _swaps(stage_swaps(found))
    if found := sampled.get("tab2"):
        parts += _shifts(timestep_shifts(found))
    table = pd.concat(parts, ignore_index=True)
    table["field"] = table["line"].where(table["panel"].isin(OF_FIELDS))
    return table.merge(splits(split), on="space", how="left").merge(_heads(transition, split), on="space", how="left")


def _line(rows, panel, line, x, y):
    columns = {"space": rows["space"], "x": rows[x], "y": rows[y], "sem": rows.get(f"{y}_sem", math.nan)}
    return pd.DataFrame(columns).assign(panel=panel, line=line)[list(COLUMNS)]


def _posterior(table):
    for conditioning, name in (("class", "class-conditional"), ("all", "unconditional")):
        rows = table[table["conditioning"] == conditioning]
        yield _line(rows, "gap", name, "t", "mse")
        yield _line(rows, "weight", name, "t", "top1")


def _losses(table):
    last = table[table["length"] != "shorter"].sort_values(["space", "model", "step"])
    last = last[last["step"] == last.groupby(["space", "model"])["step"].transform("max")]
    parts = []
    for model in dict.fromkeys(table["model"]):
        rows = last[last["model"] == model]
        parts += [_line(rows, "loss", model, "t", "oracle"), _line(rows, "explained", model, "t", "explained")]
    for step, rows in table[table["largest"]].groupby("step"):
        parts.append(_line(rows, "training", f"step {step:,}", "t", "oracle"))
    return parts


def _swaps(table):
    """The mean distance of each pair, at the first split and in the first features of the run."""
    table = table[(table["features"] == table["features"].iloc[0]) & (table["split"] == table["split"].iloc[0])]
    table = table.drop_duplicates(["space", "plan"]).assign(pair=table["stage_1"] + " > " + table["stage_2"])
    places = {pair: place for place, pair in enumerate(dict.fromkeys(table["pair"]))}
    table = table.assign(place=table["pair"].map(places), mean_sem=style.half_width(table, "mean") / style.CONFIDENCE)
    return [_line(rows, "swap", pair, "place", "mean") for pair, rows in table.groupby("pair", sort=False)]


def _shifts(table):
    table = table[table["features"] == table["features"].iloc[0]].drop_duplicates(["space", "plan"])
    base = table[table["shift"] == 1].set_index("space")["mean"]
    table = table.assign(relative=table["mean"] / table["space"].map(base))
    table["relative_sem"] = style.half_width(table, "change") / style.CONFIDENCE / table["space"].map(base)
    return [_line(table.sort_values("shift"), "shift", "mean", "shift", "relative")]


def _heads(transition, split):
    """The heading of each column, DataFrame: space, size (D, N per class), stage (the split, measured and
    predicted)."""
    heads = []
    fixed = {row.space: row.split for row in splits(split).itertuples() if row.split_source == FIXED}
    for space, path in transition.items():
        content = read_transition(path)
        classes = content.get("classes") or [{}]
        sizes = [entry["n"] for entry in classes if "n" in entry]
        size = f"N = {min(sizes):,} to {max(sizes):,} per class" if sizes else ""
        size = f"N = {sizes[0]:,}" if len(sizes) == 1 else size
        dim = content.get("dim") or classes[0].get("dim")
        low, high = content.get("split_interval") or (None, None)
        interval = f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else ""
        law = f", law {content['split_predicted']:.3f}" if content.get("split_predicted") is not None else ""
        stage = f"split {fixed[space]:.3f} (fixed), measured" if space in fixed else "split"
        words = [f"D = {dim:,}" if dim else "", size, f"{stage} {content['split']:.3f}{interval}{law}"]
        heads.append({"space": space, "size": ", ".join(filter(None, words[:2])), "stage": words[2]})
    return pd.DataFrame(heads)


def figure(table):
    """The page from its table (``drawn``)."""
    colours = style.colours_of(table, "field")
    spaces = list(dict.fromkeys(table["space"]))
    panels = [name for name in NAMES if (table["panel"] == name).any()]
    pairs = list(dict.fromkeys(table.loc[table["panel"] == "swap", "line"]))
    swaps = lambda: bars.Groups(dict.fromkeys(pairs, 1), WIDTH - layout.BESIDE)  # noqa: E731
    heights = [max(HEIGHT, swaps().depth + style.AROUND + 0.2) if name == "swap" else HEIGHT for name in panels]
    with style.look():
        picture, axes = style.new_figure(len(panels), len(spaces), width=WIDTH, height=heights)
        for row, panel in zip(axes, panels):
            for place, (cell, space) in enumerate(zip(row, spaces)):
                own = table[(table["panel"] == panel) & (table["space"] == space)]
                _draw(cell, panel, own, colours, swaps())
                if place == 0:
                    cell.set_ylabel(NAMES[panel], fontsize=9)
                    if own["line"].nunique() > 1:
                        layout.legend(cell)
            if panel in SHARED:
                top = max(cell.get_ylim()[1] for cell in row)
                for cell in row:
                    cell.set_ylim(0, top)
        for cell, space in zip(axes[0], spaces):
            head = table[table["space"] == space].iloc[0]
            layout.title(cell, "\n".join([space, *head[["size", "stage"]].dropna()]))
        return layout.fitted(picture, axes)


def _draw(axes, panel, rows, colours, swaps):
    lines = list(dict.fromkeys(rows["line"]))
    colours = colours if panel in OF_FIELDS else _colours(panel, lines)
    if panel == "swap":
        values, error = (dict(zip(rows["line"], column)) for column in (rows["y"], style.CONFIDENCE * rows["sem"]))
        swaps.bars(axes, values, error=error, color=style.SPACE_COLOURS[0], alpha=0.75)
        swaps.name(axes)
    for line in lines if panel != "swap" else ():
        own = rows[rows["line"] == line]
        look = {"linewidth": 1.5, "label": line}
        if panel in ("followed", "shift"):
            look |= {"marker": "o", "markersize": 3.5}
        style.curve(axes, own["x"], own["y"], own["sem"], colour=colours[line], **look)
    if panel == "shift":
        axes.set_xscale("log")
        axes.set_xticks(rows["x"], [f"{x:g}" for x in rows["x"]], fontsize=8)
        axes.minorticks_off()
        axes.axhline(1, color=style.QUIET, linewidth=0.9)
    elif panel != "swap":
        first = rows.iloc[0]
        style.mark_split(axes, first)
        style.time_axis(axes)
    if panel in AXES:
        axes.set_xlabel(AXES[panel])


def _colours(panel, lines):
    if panel == "training":
        return dict(zip(lines, style.sequence(len(lines))))
    return dict(zip(lines, (style.SPACE_COLOURS[0], style.QUIET)))


def draw(
    posterior, transition, split, oracle_loss, output_pdf, output_png, output_csv, *, models=None, config=None,
    **sampled,
):  # fmt: skip
    """Read the results of every space, {space: path} each (``drawn``); write the page as PDF, PNG and CSV."""
    table = drawn(posterior, transition, split, oracle_loss, models=models, **sampled)
    groups = (posterior, transition, split, oracle_loss, *sampled.values())
    inputs = [path for paths in groups for path in paths.values()]
    style.save(figure(table), table, output_pdf, output_png, output_csv, inputs=inputs, config=config)
