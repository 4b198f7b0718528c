"""App. F: memorization in numbers, by switch time (Fig. 5's samples) and by resume time (Fig. 6's).

One row for each, with one panel per space of distances: to the image followed and to the nearest training image. The
last panel has the share of samples that count as copies (d1 / d2 < 1/3) and the share whose nearest training image is
the one followed. Held-out images, measured as if they were samples, are the control.
"""

import pandas as pd
from matplotlib.lines import Line2D

from twostage.report.figures import layout, style
from twostage.report.results.memorization import control_of, distances_of_plans, memorization_distances

FOLLOWED = {"t_switch": "the image the oracle retrieves", "t_resume": "the unseen image"}
PIXEL = "pixel"
STYLES = (("-", "distance to the image followed"), ("--", "distance to the nearest training image"))
CONTROL = ("-.", "held-out images to the nearest training image (control)")


def drawn(memorization_switch, memorization_resume, split=None):
    """``memorization_distances`` of both experiments, DataFrame; ``time`` is "t_switch" or "t_resume"."""
    tables = [
        memorization_distances(paths, time, split).assign(time=time)
        for time, paths in (("t_switch", memorization_switch), ("t_resume", memorization_resume))
        if paths
    ]
    if not tables:
        raise ValueError("no memorization results were given; expected those of Fig. 5, of Fig. 6, or of both")
    return pd.concat(tables, ignore_index=True)


def figure(table):
    """App. F's figure from its table (``drawn``)."""
    times, kinds = list(dict.fromkeys(table["time"])), list(dict.fromkeys(table["features"]))
    colours = style.colours_of(table, "space")
    with style.look():
        picture, panels = style.new_figure(len(times), len(kinds) + 1, width=4.4, height=3.9)
        for row, time in zip(panels, times):
            own = table[table["time"] == time]
            for axes, features in zip(row, kinds):
                _distances(axes, own, features, time, colours)
            _shares(row[-1], own, kinds, colours)
            for axes in row:
                for first in own.drop_duplicates("space").itertuples():
                    style.mark_split(axes, first, colour=colours[first.space])
                style.time_axis(axes, label=f"{time} (prior → data)")
            layout.legend(row[-1])
        lines = [Line2D([], [], color=colour, label=f"latent space {space}") for space, colour in colours.items()]
        lines += [Line2D([], [], color=style.QUIET, linestyle=line, label=label) for line, label in (*STYLES, CONTROL)]
        layout.fitted(picture, panels)
        return layout.legend_above(picture, lines)


def _name(features):
    return "Pixels" if features == PIXEL else f"{features.capitalize()} features"


def _distances(axes, table, features, time, colours):
    ways = []
    for space, colour in colours.items():
        rows = distances_of_plans(table, space, features)
        if rows.empty:
            continue
        for name, (line, _), marker in zip(("followed_distance", "nearest_distance"), STYLES, "os"):
            style.curve(
                axes, rows["t"], rows[name], rows[f"{name}_sem"], colour=colour, linestyle=line, linewidth=1.6,
                marker=marker, markersize=3.5,
            )  # fmt: skip
        control = control_of(table, space, features)
        if control is not None:
            axes.axhline(control["nearest_distance"], color=colour, linewidth=1, linestyle=CONTROL[0])
        first, last = rows["followed_distance"].iloc[[0, -1]]
        ways.append((first, f"{first:.3g} to {last:.3g} ({space})"))
    axes.set_ylabel("RMS distance (grey levels)" if features == PIXEL else "Euclidean distance of features")
    axes.set_ylim(bottom=0)
    layout.title(axes, f"{_name(features)}: distance to {FOLLOWED[time]} goes from {layout.few(ways)}")


def _shares(axes, table, kinds, colours):
    ways = []
    retrieved = table["retrieved"].notna().any()
    for space, colour in colours.items():
        for features, marker in zip(kinds, style.MODEL_MARKERS):
            rows = distances_of_plans(table, space, features)
            if rows.empty:
                continue
            look = {"colour": colour, "marker": marker, "markersize": 4, "linewidth": 1.5}
            style.curve(axes, rows["t"], rows["copied"], rows["copied_sem"], **look)
            if retrieved:
                style.curve(axes, rows["t"], rows["retrieved"], rows["retrieved_sem"], linestyle="--", **look)
            control = control_of(table, space, features)
            if control is not None:
                axes.axhline(control["copied"], color=colour, linewidth=1, linestyle=CONTROL[0])
            if features == kinds[0]:
                first, last = rows["copied"].iloc[[0, -1]]
                ways.append((last, f"{first:.0%} to {last:.0%} ({space})"))
    for features, marker in zip(kinds, style.MODEL_MARKERS):
        axes.plot([], [], marker, color=style.QUIET, label=_name(features).lower())
    axes.plot([], [], "-", color=style.QUIET, label="copies, d1 / d2 < 1/3")
    if retrieved:
        axes.plot([], [], "--", color=style.QUIET, label="nearest is the one followed")
    axes.set_ylabel("share of samples")
    axes.set_ylim(-0.03, 1.03)
    layout.title(axes, f"Copies (d1 / d2 < 1/3, {_name(kinds[0]).lower()}): {layout.few(ways)}")


def draw(memorization_switch, memorization_resume, output_pdf, output_png, output_csv, *, split=None, config=None):
    """Read {space: fig5-memorization.csv} and {space: fig6-memorization.csv}; write App. F as PDF, PNG and CSV.

    Either may be empty. split: {space: split.json}, marks the stage splits.
    """
    table = drawn(memorization_switch, memorization_resume, split)
    groups = (memorization_switch, memorization_resume, split)
    inputs = [path for paths in groups for path in (paths or {}).values()]
    style.save(figure(table), table, output_pdf, output_png, output_csv, inputs=inputs, config=config)
