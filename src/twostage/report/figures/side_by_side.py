"""The paper's numbers beside this run's: every figure and table whose values are printed or could be read off.

One long table (CSV): item, at, source ("paper" or "this run"), case, value, low, high (95%). The page shows each item
as a table of its own, and one picture in which the effect of the scale is divided out.
"""

import itertools
import math
import string
from collections import Counter

import pandas as pd

from twostage.report.figures import bars, layout, style
from twostage.report.results import curves, paper
from twostage.report.results.gaussians import gaussian_curve, gaussian_pairs
from twostage.report.results.losses import loss_of
from twostage.report.results.posterior import posterior_of

PAPER, OURS = "paper", "this run"
MATCHED = "same place"  # a time at the same distance from the split, in t / (1 - t)
COLUMNS = ("item", "at", "source", "case", "value", "low", "high")

ITEMS = {
    "Fig. 2a": "Mean squared difference of the CFM target and the class-conditional oracle target, by t",
    "Fig. 2a, t → 1": "The same near the data: exact, and with 1e-3 added to 1 − t",
    "Fig. 2b": "Largest posterior weight, by t",
    "Fig. 3": "Largest posterior weight on unit Gaussians: the same D, N and t as the paper's",
    "Fig. 7a": "The largest model's error against the oracle target and the CFM target, by t",
    "Fig. 7b": "Oracle loss by model size, in mid refinement",
    "Tab. 1": "Stage swap: distance of the samples by the models of stage 1 and stage 2",
    "Tab. 2": "Timestep shift: share of the step starts up to t′ = 0.2, and distance of the samples",
    "Tab. 3": "Guidance interval: distance of the samples (the paper's order of the intervals is recovered)",
}
WIDTH, HEIGHT, COLUMNS_OF_PANELS = 4.4, 4.0, 3  # inches of a panel, panels side by side
BARS = ("Fig. 7b", "Tab. 1")  # items that are compared by name, not by a number
SAME_SCALE = ("Fig. 3",)  # the one item in which this run's setting is the paper's


def drawn(run):
    """Every number of the paper beside this run's (``Results``), a DataFrame with ``COLUMNS``."""
    rows = []
    if run.has("posterior") and run.has("transition"):
        rows += _posterior(run)
    if run.has("top1"):
        rows += _gaussians(run)
    if run.has("oracle_loss") and run.has("posterior") and run.has("transition"):
        rows += _losses(run)
    for name, table in (("tab1", _swaps), ("tab2", _shifts), ("tab3", _guidance)):
        if run.has(name):
            rows += table(run)
    return pd.DataFrame(rows, columns=COLUMNS)


def paper_split(space):
    """Time at which the paper's top-1 weight of a latent space is one half, from the points read off."""
    t, weight = zip(*paper.FIG2B[space])
    return curves.first_crossing(t, weight, 0.5)


def our_split(run, space):
    """The stage split of a latent space of this run; the paper publishes no weight of the true sample to compare."""
    return posterior_of(run.posteriors, space)["split"].iloc[0]


def same_place(t, split, other):
    """The time that is as far from ``other`` as t is from ``split``: with the same ratio of t / (1 - t) to the
    split's."""
    if t >= 1 or math.isnan(split) or math.isnan(other):
        return t
    s = t / (1 - t) * (other / (1 - other)) / (split / (1 - split))
    return s / (1 + s)


def _read(rows, name, t):
    return curves.at(rows["t"], rows[name], rows[f"{name}_sem"], t)


def _row(item, at, source, case, estimate):
    value, low, high = estimate if isinstance(estimate, tuple) else (estimate, math.nan, math.nan)
    return item, at, source, case, value, low, high


def _posterior(run):
    rows, spaces = [], list(dict.fromkeys(run.posteriors["space"]))
    for item, points, name in (("Fig. 2a", paper.FIG2A, "mse"), ("Fig. 2b", paper.FIG2B, "top1")):
        for place, (theirs, values) in enumerate(points.items()):
            rows += [_row(item, f"t = {t:g}", PAPER, theirs, value) for t, value in values]
            for space in spaces if place == 0 else ():
                own = posterior_of(run.posteriors, space)
                for t, _ in values:
                    rows.append(_row(item, f"t = {t:g}", OURS, f"{space}, same t", _read(own, name, t)))
                    moved = same_place(t, paper_split(theirs), our_split(run, space))
                    rows.append(_row(item, f"t = {t:g}", OURS, f"{space}, {MATCHED}", _read(own, name, moved)))
    for t, value in paper.FIG2A_TAIL:
        rows.append(_row("Fig. 2a, t → 1", f"t = {t:g}", PAPER, "VA-VAE, SD-VAE", value))
        for space in spaces if t < 1 else ():
            own = posterior_of(run.posteriors, space)
            for name, words in (("mse", "exact"), ("mse_offset", "+1e-3")):
                rows.append(_row("Fig. 2a, t → 1", f"t = {t:g}", OURS, f"{space}, {words}", _read(own, name, t)))
    return rows


def _gaussians(run):
    rows = []
    for panel in ("dimension", "size"):
        for dim, size in gaussian_pairs(run.gaussians, panel):
            exact = gaussian_curve(run.gaussians, panel, dim, size)
            rounded = gaussian_curve(run.gaussians, panel, dim, size, "bfloat16")
            for point in exact.dropna(subset="paper").itertuples():
                at = f"D = {dim:,}, N = {size:,}, t = {point.t:g}"
                rows.append(_row("Fig. 3", at, PAPER, "read off", point.paper))
                rows.append(_row("Fig. 3", at, OURS, "exact", _read(exact, "top1", point.t)))
                if len(rounded):
                    rows.append(_row("Fig. 3", at, OURS, "bfloat16", _read(rounded, "top1", point.t)))
    return rows


def _losses(run):
    rows, dip = [], 0.4
    split = paper_split("VA-VAE")
    for name, points in (("oracle", paper.FIG7A_ORACLE), ("cfm", paper.FIG7A_CFM)):
        rows += [_row("Fig. 7a", f"t = {t:g}", PAPER, f"XL, {name}", value) for t, value in points]
    rows += [_row("Fig. 7b", model, PAPER, f"t = {dip:g}", value) for model, value in paper.FIG7B_DIP.items()]
    for space in dict.fromkeys(run.losses["space"]):
        models = list(dict.fromkeys(run.losses.loc[run.losses["space"] == space, "model"]))
        largest = loss_of(run.losses, space, models[-1])
        for name, points in (("oracle", paper.FIG7A_ORACLE), ("cfm", paper.FIG7A_CFM)):
            rows += [
                _row("Fig. 7a", f"t = {t:g}", OURS, f"{space}: {models[-1]}, {name}", _read(largest, name, t))
                for t, _ in points
            ]
        moved = same_place(dip, split, our_split(run, space))
        for model in models:
            for length, star in (("shared", ""), ("longer", "*")):
                own = run.losses[run.losses["length"] == length]
                own = own[(own["space"] == space) & (own["model"] == model)].sort_values("t")
                for t, words in ((dip, f"t = {dip:g}"), (moved, f"{MATCHED}, t = {moved:.2f}")) if len(own) else ():
                    rows.append(_row("Fig. 7b", f"{model}{star}", OURS, f"{space}: {words}", _read(own, "oracle", t)))
    return rows


def _mean(rows):
    """The mean distance of a plan's rows with its interval, an Estimate."""
    return curves.Estimate(*rows[["mean", "mean_low", "mean_high"]].iloc[0])


def _swaps(run):
    rows = [
        _row("Tab. 1", " then ".join(models), PAPER, f"gFID, split {split}", value)
        for models, values in paper.TABLE1.items()
        for split, value in values.items()
    ]
    groups = run.swaps.groupby(["space", "features", "split", "stage_1", "stage_2"], sort=False)
    for (space, features, split, one, two), own in groups:
        case = f"{space}, {features}, {split} split"
        rows.append(_row("Tab. 1", f"{one} then {two}", OURS, case, _mean(own)))
    return rows


def _shifts(run):
    rows = []
    for shift, (share, gfid) in paper.TABLE2.items():
        rows.append(_row("Tab. 2", f"s = {shift:g}", PAPER, "share up to 0.2", share))
        rows.append(_row("Tab. 2", f"s = {shift:g}", PAPER, "gFID", gfid))
    for (space, features, shift), own in run.shifts.groupby(["space", "features", "shift"], sort=False):
        share = own["share_before_0.2"].iloc[0]
        rows.append(_row("Tab. 2", f"s = {shift:g}", OURS, "share up to 0.2", share))
        rows.append(_row("Tab. 2", f"s = {shift:g}", OURS, f"{space}, {features}", _mean(own)))
    return list(dict.fromkeys(rows))


def _guidance(run):
    rows = [_row("Tab. 3", "none", PAPER, "gFID", paper.TABLE3_NONE)]
    rows += [
        _row("Tab. 3", f"[{low:g}, {high:g}]", PAPER, "gFID", value)
        for (low, high), value in paper.TABLE3_SHORT.items()
    ]
    for (space, features, _), own in run.guidance.groupby(["space", "features", "plan"], sort=False):
        first = own.iloc[0]
        if first["kind"] in ("none", "short"):
            at = "none" if first["kind"] == "none" else f"[{first['low']:g}, {first['high']:g}]"
            rows.append(_row("Tab. 3", at, OURS, f"{space}, {features}", _mean(own)))
    return rows


# ------------------------------------------------------------------------------------------------------------- picture


def figure(table):
    """The comparisons of the table of ``drawn``, each in units that do not depend on the scale, three per row.

    A figure or table for which this run has no results has no panel.
    """
    drawings = {
        "Fig. 2a": (_curve_panel, "Fig. 2a: gap of the targets, relative to t = 0"),
        "Fig. 2b": (_curve_panel, "Fig. 2b: largest posterior weight"),
        "Fig. 3": (_scatter_panel, "Fig. 3: weights on unit Gaussians, the same D, N and t"),
        "Tab. 2": (_shift_panel, "Tab. 2: distance by timestep shift, relative to uniform steps"),
        "Fig. 7b": (_bars_panel, "Fig. 7b: oracle loss in mid refinement"),
        "Tab. 1": (_bars_panel, "Tab. 1: distance"),
    }
    ours = set(table.loc[table["source"] == OURS, "item"])
    shown = [item for item in drawings if item in ours]
    columns = min(COLUMNS_OF_PANELS, len(shown))
    rows = [shown[start : start + columns] for start in range(0, len(shown), columns)]
    heights = [max(HEIGHT, *(_depth(table, item) + style.AROUND + 0.2 for item in row)) for row in rows]
    with style.look():
        picture, panels = style.new_figure(len(rows), columns, width=WIDTH, height=heights)
        for letter, axes, item in itertools.zip_longest(string.ascii_lowercase[: len(shown)], panels.ravel(), shown):
            if item is None:
                axes.set_visible(False)
                continue
            draw, words = drawings[item]
            draw(axes, table, item, f"({letter}) {words}")
            layout.legend(axes)
            if draw is not _bars_panel:  # long names make a row taller than a curve needs
                axes.set_box_aspect((HEIGHT - style.AROUND) / (WIDTH - layout.BESIDE))
                axes.set_anchor("N")
        return layout.fitted(picture, panels)


def _depth(table, item):
    """Height of an item's bars in inches; 0 for items that are curves."""
    return _groups(_relative(table, item)).depth if item in BARS else 0.0


def _series(table, item, source, matched=False):
    """{case: rows} of an item in order of appearance; matched: of curves, only those at the same place."""
    rows = table[(table["item"] == item) & (table["source"] == source)]
    if matched and source == OURS:
        rows = rows[rows["case"].str.contains(MATCHED)]
    return dict(list(rows.groupby("case", sort=False)))


def _curve_panel(axes, table, item, words):
    ours = _series(table, item, OURS, matched=True)
    colours = style.space_colours([case.split(",")[0] for case in ours])
    for case, rows in (_series(table, item, PAPER) | ours).items():
        t = [float(at.removeprefix("t = ")) for at in rows["at"]]
        value = rows["value"] / (rows["value"].iloc[0] if item == "Fig. 2a" else 1)
        if case in ours:
            space = case.split(",")[0]
            axes.plot(t, value, color=colours[space], label=f"{space}, at the same place")
        else:
            marker = "o" if case == "VA-VAE" else "^"
            axes.plot(t, value, marker, color=style.QUIET, markerfacecolor="white", label=f"paper, {case}")
    axes.set_xlabel("the paper's t (this run: equally far from its split)")
    layout.title(axes, words)


def _scatter_panel(axes, table, item, words):
    rows = table[table["item"] == item]
    wide = rows.pivot_table(index="at", columns="case", values="value", sort=False)
    for case, marker, colour in (("exact", "o", style.SPACE_COLOURS[0]), ("bfloat16", "^", style.SPACE_COLOURS[1])):
        if case in wide:
            axes.plot(wide["read off"], wide[case], marker, color=colour, markersize=5, label=case)
    axes.plot([0, 1], [0, 1], color=style.QUIET, linewidth=1)
    axes.set_xlabel("paper, read off")
    axes.set_ylabel("this run")
    layout.title(axes, words)


def _relative(table, item):
    """Values relative to each source's first model or pair, a list of (case, source, {name: value}, the first)."""
    found = []
    for source in (PAPER, OURS):
        for case, rows in _series(table, item, source, matched=item == "Fig. 7b").items():
            values = rows.set_index("at")["value"]
            found.append((case, source, (values / values.iloc[0]).to_dict(), values.index[0]))
    return found


def _groups(series):
    """The groups of bars, one per model or pair of models."""
    return bars.Groups(Counter(name for _, _, values, _ in series for name in values), WIDTH - layout.BESIDE)


def _bars_panel(axes, table, item, words):
    """One group of bars per model or pair of models, the paper's bars hatched."""
    series = _relative(table, item)
    spaces = style.space_colours([_space(case) for case, source, *_ in series if source == OURS])
    groups = _groups(series)
    for case, source, values, _ in series:
        colour = style.QUIET if source == PAPER else spaces[_space(case)]
        label = f"paper, {case}" if source == PAPER else case
        look = {"hatch": "//", "fill": False, "edgecolor": colour} if source == PAPER else {"color": colour}
        groups.bars(axes, values, label=label, **look)
    groups.name(axes)
    axes.axvline(1, color=style.QUIET, linewidth=0.9)
    first = list(dict.fromkeys(first for *_, first in series))
    layout.title(axes, f"{words}, relative to {' or '.join(first) if len(first) < 3 else 'the first'}")


def _space(case):
    return case.split(":")[0].split(",")[0]


def _shift_panel(axes, table, item, words):
    ours = _series(table, item, OURS)
    ours.pop("share up to 0.2", None)
    colours = style.space_colours([case.split(",")[0] for case in ours])
    theirs = {case: rows for case, rows in _series(table, item, PAPER).items() if case == "gFID"}
    for case, rows in (theirs | ours).items():
        values = (
            rows.assign(s=[float(at.removeprefix("s = ")) for at in rows["at"]]).set_index("s")["value"].sort_index()
        )
        if 1.0 in values.index:
            paper_style = {"color": style.QUIET, "linestyle": ":", "marker": "o", "markerfacecolor": "white"}
            own_style = {"color": colours.get(case.split(",")[0]), "marker": "s", "markersize": 4}
            label = "paper, gFID" if case == "gFID" else case
            axes.plot(values.index, values / values[1.0], label=label, **(paper_style if case == "gFID" else own_style))
    axes.set_xscale("log")
    axes.set_xticks(list(paper.TABLE2), [f"{shift:g}" for shift in paper.TABLE2])
    axes.minorticks_off()
    axes.axhline(1, color=style.QUIET, linewidth=0.9)
    axes.set_xlabel("shift s (below 1: more steps near the prior)")
    layout.title(axes, words)
