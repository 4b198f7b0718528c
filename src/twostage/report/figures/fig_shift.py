"""App. D: the timestep shift ``t' = s t / (1 + (s - 1) t)``, as a map and as the starts of the steps."""

import numpy as np
import pandas as pd
from matplotlib.transforms import ScaledTranslation

from twostage.report.figures import layout, style
from twostage.report.results.inputs import splits
from twostage.report.results.words import plain

WIDTH, COLUMN, HEAD = 5.0, 0.95, 8.5  # inches of a panel and of a column of shares; points of the column's heading
EARLY = 0.2  # Tab. 2 of the paper counts the step starts up to this time


def drawn(split=None, *, steps, shifts):
    """One row per (space, shift, step start), DataFrame: shift, t, shifted, the shares of the shift, and the split.

    ``share_before_0.2`` is the share of a shift's step starts up to 0.2, ``share_before_split`` that up to the split of
    ``space``. If no split is given, there is one space without a name and without a split. Raises ValueError for steps
    below 1 or a shift that is not above 0.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; expected at least 1")
    known = splits(split)
    if known.empty:
        known = pd.DataFrame([{"space": "", "split": np.nan, "split_low": np.nan, "split_high": np.nan}])
    t = np.arange(steps) / steps
    tables = []
    for shift in sorted(shifts, reverse=True):
        if not shift > 0:
            raise ValueError(f"shift is {shift}; expected a number above 0")
        shifted = shift * t / (1 + (shift - 1) * t)
        for row in known.itertuples(index=False):
            before = np.nan if np.isnan(row.split) else np.mean(shifted <= row.split + 1e-9)
            tables.append(
                pd.DataFrame(
                    {
                        "space": row.space, "shift": float(shift), "steps": steps, "t": t, "shifted": shifted,
                        "share_before_0.2": np.mean(shifted <= EARLY + 1e-9), "share_before_split": before,
                        "split": row.split, "split_low": row.split_low, "split_high": row.split_high,
                    }
                )
            )  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def figure(table):
    """(a) The map, (b) the step starts of each shift, with the shares up to 0.2 and up to each stage split."""
    table = table.assign(space=table["space"].astype(object).fillna(""))
    spaces, shifts = list(dict.fromkeys(table["space"])), list(dict.fromkeys(table["shift"]))
    first = table[table["space"] == spaces[0]]
    colours = style.colours_of(table, "space")
    with style.look():
        known = [space for space in spaces if _known(table, space)]
        heads = ["≤ 0.2", *(layout.wrapped(f"≤ split, {space}", COLUMN - 0.1, HEAD) for space in known)]
        above = max(layout.height_of(head, HEAD) for head in heads) - layout.height_of("", HEAD)
        picture, panels = style.new_figure(1, 2, width=WIDTH + COLUMN * len(heads) / 2, height=4.2 + above)
        curve, ticks = panels[0]
        for place, (shift, colour) in enumerate(zip(shifts, style.sequence(len(shifts)))):
            rows = first[first["shift"] == shift]
            curve.plot([*rows["t"], 1], [*rows["shifted"], 1], color=colour)
            where = 1 / (1 + np.sqrt(shift))  # the curve meets the falling diagonal here
            curve.text(
                where, 1 - where, f"{shift:g}", ha="center", va="center", fontsize=9, fontweight="bold",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.2},
            )  # fmt: skip
            ticks.plot(
                rows["shifted"], np.full(len(rows), place), "|", color=colour, markersize=17, markeredgewidth=1.5
            )
            shares = [f"{rows['share_before_0.2'].iloc[0]:.0%}"]
            shares += [f"{own:.0%}" for own in _shares(table, spaces, shift)]
            for column, text in enumerate(shares):
                _beside(ticks, column, place, plain(text), va="center", fontsize=9)
        for column, text in enumerate(heads):
            _beside(ticks, column, -0.55, text, va="bottom", fontsize=HEAD)
        for axes in (curve, ticks):
            draw_line = axes.axhline if axes is curve else axes.axvline
            draw_line(EARLY, color=style.QUIET, linewidth=1, linestyle="--", label="0.2")
            for space in spaces:
                if _known(table, space):
                    split = table.loc[table["space"] == space, "split"].iloc[0]
                    draw_line(split, color=colours[space], linewidth=1.4, linestyle=":", label=f"stage split, {space}")
        curve.set_ylabel("t′, where the step starts")
        curve.set_xlabel("t, uniform")
        curve.set_xlim(0, 1)
        curve.set_ylim(0, 1)
        layout.legend(curve, width=WIDTH - layout.BESIDE)
        ticks.set_yticks(range(len(shifts)), [f"s = {shift:g}" for shift in shifts])
        ticks.set_ylim(len(shifts) - 0.5, -0.5)
        ticks.grid(axis="y", visible=False)
        style.time_axis(ticks)
        curve.set_title("(a) The map t′ = s t / (1 + (s − 1) t), by s")
        ticks.set_title(
            f"(b) Starts of the {first['steps'].iloc[0]} steps, and their shares", pad=8 + layout.POINTS * above
        )
        return layout.fitted(picture, panels)


def _beside(ticks, column, place, text, **look):
    """A share beside a shift's step starts, in its column at the right of the axes."""
    right = ScaledTranslation(0.1 + COLUMN * (column + 0.5), 0, ticks.figure.dpi_scale_trans)
    ticks.text(1, place, text, transform=ticks.get_yaxis_transform() + right, ha="center", **look)


def _known(table, space):
    return bool(np.isfinite(table.loc[table["space"] == space, "split"].iloc[0]))


def _shares(table, spaces, shift):
    own = table[table["shift"] == shift].drop_duplicates("space").set_index("space")["share_before_split"]
    return [own[space] for space in spaces if np.isfinite(own[space])]


def draw(output_pdf, output_png, output_csv, *, steps, shifts, split=None, config=None):
    """Draw the shifts; {space: split.json} marks the stage splits; write App. D's figure as PDF, PNG and CSV.

    steps: of the grid; shifts: the factors s.
    """
    table = drawn(split, steps=steps, shifts=shifts)
    inputs = list((split or {}).values())
    style.save(figure(table), table, output_pdf, output_png, output_csv, inputs=inputs, config=config)
