"""The transition law against measurement: every class of every latent space, all data, and unit Gaussians.

(a) predicted against measured transition with the identity and bands of 5% and 15%; (b) relative errors by group;
(c, d) whole curves of the true sample's weight, for the cases with the median and with the worst curve error of each
group. Nothing in the prediction is fitted.
"""

import matplotlib.ticker
import numpy as np
import pandas as pd

from twostage.report.figures import layout, style
from twostage.report.results.gaussians import SYNTHETIC
from twostage.report.results.transitions import law_curves, transition_points
from twostage.unlabelled import EVERYTHING

TIGHT, LOOSE = 0.05, 0.15
WIDTH, HEIGHT = 5.2, 4.2  # inches of a panel
SIZE, DOTS = 8.5, 0.3  # a group's words, points; the room of its dots under them, inches
GROUPS = {"class": "classes", "all": "all data", "synthetic": "grid"}


def drawn(transition, curves, synthetic_transition=None, synthetic_curves=None):
    """The table of the figure, one DataFrame: rows of ``kind`` "point" (a case) and "curve" (a time of a shown curve).

    ``case``: the name of a curve. It is made here, because a class named 007 would be read from the CSV as a number.
    transition: {space: transition.json}; curves: {space: law.csv}; the synthetic ones are single CSVs.
    """
    points = transition_points(transition, synthetic_transition)
    shown = law_curves(curves, synthetic_curves).merge(_chosen(points), on=["space", "conditioning", "label"])
    shown["case"] = [_case(row) for _, row in shown.iterrows()]
    points = points.rename(columns={"low": "measured_low", "high": "measured_high"})
    return pd.concat([points.assign(kind="point"), shown.assign(kind="curve")], ignore_index=True)


def _case(row):
    if row["conditioning"] == "synthetic":
        return row["label"]
    return f"{row['space']}, " + ("all data" if _is_of_all(row) else f"class {row['class']}")


def _is_of_all(row):
    return row["conditioning"] == "all" or row["class"] == EVERYTHING


def _chosen(points):
    """The case with the median and the one with the worst curve error of every space: space, ..., label, choice.

    A class of one image has no curve to compare, since its weight is always 1.
    """
    rows = []
    for space, group in points[points["n"] != 1].dropna(subset="curve_error").groupby("space", sort=False):
        group = group.sort_values("curve_error")
        for choice, position in (("median", (len(group) - 1) // 2), ("worst", len(group) - 1)):
            case = group.iloc[position]
            rows.append((space, case["conditioning"], case["label"], choice))
    return pd.DataFrame(rows, columns=["space", "conditioning", "label", "choice"])


def figure(table):
    """The figure from its table (``drawn``)."""
    points, shown = table[table["kind"] == "point"], table[table["kind"] == "curve"]
    spaces = list(dict.fromkeys(points["space"]))
    colours = style.colours_of(table[table["space"] != SYNTHETIC], "space")
    colours[SYNTHETIC] = style.QUIET
    with style.look():
        groups = _groups(points)
        picture, panels = style.new_figure(
            2, 2, width=WIDTH, height=[max(HEIGHT, style.AROUND + _depth(groups)), HEIGHT]
        )
        _identity(panels[0][0], points, spaces, colours)
        _errors(panels[0][1], groups, colours)
        _curves(panels[1][0], shown, "median", "c", spaces, colours)
        _curves(panels[1][1], shown, "worst", "d", spaces, colours)
        return layout.fitted(picture, panels)


def _identity(axes, points, spaces, colours):
    times = points[["measured", "predicted"]].to_numpy(dtype=float)
    times = times[times > 0]  # a class of one image has its transition at 0, which a logarithmic axis cannot show
    low, high = (0.8 * times.min(), min(1.0, 1.25 * times.max())) if len(times) else (0.01, 1.0)
    line = np.array([low, high])
    axes.fill_between(
        line, line * (1 - LOOSE), line * (1 + LOOSE), color=style.QUIET, alpha=0.10, linewidth=0, label="± 15%"
    )
    axes.fill_between(
        line, line * (1 - TIGHT), line * (1 + TIGHT), color=style.QUIET, alpha=0.18, linewidth=0, label="± 5%"
    )
    axes.plot(line, line, color=style.QUIET, linewidth=1)
    for space in spaces:
        for conditioning, marker in (("class", "o"), ("all", "s"), ("synthetic", "^")):
            part = points[(points["space"] == space) & (points["conditioning"] == conditioning)]
            if part.empty:
                continue
            spread = np.abs(
                part[["measured_low", "measured_high"]].to_numpy(dtype=float).T - part["measured"].to_numpy(dtype=float)
            )
            name = {"class": f"{space}, a class", "all": f"{space}, all data", "synthetic": space}[
                "all" if _is_of_all(part.iloc[0]) else conditioning
            ]
            axes.errorbar(
                part["measured"], part["predicted"], xerr=spread, fmt=marker, color=colours[space], label=name,
                markerfacecolor="white" if conditioning == "all" else colours[space], linewidth=1, markersize=5.5,
            )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    ticks = [tick for tick in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if low <= tick <= high]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(matplotlib.ticker.FixedLocator(ticks))
        axis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
        axis.set_minor_locator(matplotlib.ticker.NullLocator())
    error = points["error"].abs()
    layout.title(
        axes,
        f"(a) Transition times of {error.count()} cases, nothing fitted: median error {error.median():.1%}, "
        f"worst {error.max():.1%}",
    )
    axes.set_xlabel("measured transition (weight of the true sample = ½)")
    axes.set_ylabel("predicted transition")
    layout.legend(axes)


def _groups(points):
    """The groups of panel (b): (space, conditioning, rows, words), the words broken into lines."""
    groups = []
    for (space, conditioning), part in points.groupby(["space", "conditioning"], sort=False):
        error = part["error"].dropna().abs()
        group = GROUPS["all" if _is_of_all(part.iloc[0]) else conditioning]
        words = f"{space}, {group}: {len(error)}, median {error.median():.1%}, worst {error.max():.1%}"
        groups.append((space, conditioning, part, layout.wrapped(words, WIDTH - layout.BESIDE - 0.15, SIZE)))
    return groups


def _depth(groups):
    """Height of the groups, inches: each one's words over its dots."""
    return sum(layout.height_of(words, SIZE) + DOTS for *_, words in groups)


def _errors(axes, groups, colours):
    axes.axvspan(-100 * LOOSE, 100 * LOOSE, color=style.QUIET, alpha=0.10, linewidth=0)
    axes.axvspan(-100 * TIGHT, 100 * TIGHT, color=style.QUIET, alpha=0.18, linewidth=0)
    axes.axvline(0, color=style.QUIET, linewidth=1)
    top = 0.0
    for space, conditioning, part, words in groups:
        part = part.dropna(subset="error")
        axes.text(0.01, top + 0.03, words, transform=axes.get_yaxis_transform(), va="top", fontsize=SIZE)
        top += layout.height_of(words, SIZE) + DOTS
        offsets = 0.35 * DOTS * (np.arange(len(part)) % 3 - 1)
        axes.plot(
            100 * part["error"], top - DOTS / 2 + offsets, "o", color=colours[space], markersize=4.5, alpha=0.85,
            markerfacecolor="white" if conditioning == "all" else colours[space],
        )  # fmt: skip
    axes.set_yticks([])
    axes.set_ylim(_depth(groups), 0)
    errors = np.concatenate([part["error"].abs() for _, _, part, _ in groups])
    limit = max([20.0, *(110 * errors[np.isfinite(errors)])])
    axes.set_xlim(-limit, limit)
    layout.title(axes, f"(b) Error of the predicted time by group ({style.unbroken('shaded: ± 5% and ± 15%')})")
    axes.set_xlabel("predicted / measured − 1, in %")


def _curves(axes, shown, choice, letter, spaces, colours):
    for space in spaces:
        part = shown[(shown["space"] == space) & (shown["choice"] == choice)].sort_values("t")
        if part.empty:
            continue
        case, off = part.iloc[0], np.abs((part["measured"] - part["predicted"]).to_numpy()).max()
        style.curve(
            axes, part["t"], part["measured"], part["measured_sem"], colour=colours[space],
            label=f"{case['case']} ({off:.2f})",
        )  # fmt: skip
        axes.plot(part["t"], part["predicted"], color=colours[space], linewidth=1.3, linestyle="--")
    axes.plot([], [], color=style.QUIET, linewidth=1.3, linestyle="--", label="predicted, nothing fitted")
    axes.set_ylim(0, 1.03)
    layout.title(
        axes, f"({letter}) Whole curves: the case with the {choice} error in each group (its largest difference)"
    )
    axes.set_ylabel("weight of the true sample")
    style.time_axis(axes)
    layout.legend(axes)


def draw(
    transition,
    curves,
    output_pdf,
    output_png,
    output_csv,
    *,
    synthetic_transition=None,
    synthetic_curves=None,
    config=None,
):
    """Read {space: transition.json}, {space: law.csv} and the synthetic CSVs; write the figure as PDF, PNG and CSV."""
    table = drawn(transition, curves, synthetic_transition, synthetic_curves)
    inputs = [*transition.values(), *curves.values(), *filter(None, (synthetic_transition, synthetic_curves))]
    style.save(figure(table), table, output_pdf, output_png, output_csv, inputs=inputs, config=config)
