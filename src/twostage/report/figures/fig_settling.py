"""When the posterior settles on single images: early and late images, predictions from distances, and copying.

One row per latent space: the images that settle first and last, each above its nearest other image; an image's time
against the distance to that image; against its prediction from the distances to all others; and, where Fig. 5 runs,
against d1 / d2 of the samples of a late switch.
"""

import numpy as np
import pandas as pd

from twostage.report.figures import layout, style
from twostage.report.figures.pictures import as_text, from_text, read_settling, sheet
from twostage.report.results.settling import (
    COPY,
    by_halves,
    last_switch,
    rank_correlation,
    settled_copies,
    settling_images,
    share_of_images,
)

ENDS = ("first", "last")
DOTS = {"markersize": 3.5, "linestyle": "none", "alpha": 0.4, "markeredgewidth": 0, "rasterized": True}


def drawn(settling, pictures=None, followed_images=None):
    """One row per (space, image), DataFrame: ``settling_images`` with more columns.

    Images that are shown have ``end`` ("first" or "last" to settle), ``image`` and ``nearest_image``. Images that Fig.
    5's samples follow have ``t_switch``, ``ratio`` and ``copied`` at the last switch (``settled_copies``).
    """
    table = settling_images(settling)
    copies = settled_copies(table, followed_images)
    late = [last_switch(copies, space) for space in dict.fromkeys(copies["space"])]
    late = pd.concat(late) if late else copies
    table = table.merge(late.drop(columns=["time", "d1"]).astype({"row": int}), on=["space", "row"], how="left")
    table = table.assign(end=None, image=None, nearest_image=None)
    for space, path in (pictures or {}).items():
        shown = read_settling(path)
        for number, (row, pair) in enumerate(shown.items()):
            where = (table["space"] == space) & (table["row"] == row)
            end = ENDS[number >= len(shown) // 2]
            table.loc[where, ["end", "image", "nearest_image"]] = [end, *map(as_text, pair)]
    return table


def figure(table):
    """The figure from its table (``drawn``)."""
    colours = style.colours_of(table, "space")
    followed, shown = table["ratio"].notna().any(), table["end"].notna().any()
    with style.look():
        picture, panels = style.new_figure(len(colours), 2 + followed + shown, width=4.5, height=4.2)
        for (space, colour), row in zip(colours.items(), panels):
            own = table[table["space"] == space]
            axes = iter(row)
            if shown:
                _pictures(next(axes), own, space)
            for quantity, draw_panel in (("distance", _nearest), ("law", _law)):
                draw_panel(next(axes), own[own["drawn"].astype(bool)].sort_values(quantity), space, colour)
            if followed:
                _copies(next(axes), own.dropna(subset="ratio"), space, colour)
        return layout.fitted(picture, panels)


def _pictures(axes, table, space):
    """Lines of images: those that settle first, then last, each line with the nearest other images below it."""
    lines, times = [], []
    for end in ENDS:
        rows = table[table["end"] == end].sort_values("time", ascending=end == "first", kind="stable")
        lines += [[from_text(text) for text in rows[name]] for name in ("image", "nearest_image")]
        times.append(rows["time"].tolist())
    if not lines[0]:
        axes.set_axis_off()
        layout.title(axes, f"{space}: nothing decodes these latents")
        return
    sheet(axes, np.stack([np.stack(line) for line in lines]))
    for line, (end, values) in enumerate(zip(ENDS, times)):
        told = f"settle\n{end}, t =\n{values[0]:.2f} to\n{values[-1]:.2f}"
        axes.text(-0.6, 2 * line, told, ha="right", va="center", fontsize=8.5)
        axes.text(-0.6, 2 * line + 1, "nearest\nother", ha="right", va="center", fontsize=8.5, color=style.QUIET)
    layout.title(axes, f"{space}: {share_of_images(table):.0%} of the variance of a pair's time is the image's own")


def _nearest(axes, table, space, colour):
    table = table[np.isfinite(table["distance"])]
    found = rank_correlation(table["time"], table["distance"], table["label"])
    axes.plot(table["distance"], table["time"], "o", color=colour, label="an image, mean of its pairs", **DOTS)
    axes.plot(
        table["distance"], table["law_nearest"], color=style.TEXT, linewidth=1.4,
        label="the law, if all images were that far apart",
    )  # fmt: skip
    _typical_interval(axes, table, at=1)
    axes.set_xlabel("distance to the nearest other image of the class")
    axes.set_ylabel("settling time t")
    layout.title(axes, f"{space}: near neighbours settle late, {_told(found)}")
    layout.legend(axes)


def _law(axes, table, space, colour):
    found = rank_correlation(table["time"], table["law"], table["label"])
    axes.plot(table["law"], table["time"], "o", color=colour, label="an image, mean of its pairs", **DOTS)
    _typical_interval(axes, table, at=0)
    axes.axline((0.5, 0.5), slope=1, color=style.TEXT, linewidth=1.4, label="the two alike")
    axes.set_xlabel("t predicted from its distances to all others")
    axes.set_ylabel("settling time t")
    layout.title(axes, f"{space}: the distances to all others predict it, {_told(found)}")
    layout.legend(axes)


def _typical_interval(axes, table, at):
    """A bar at the top, left (0) or right (1), where no image is: the median of the images' intervals."""
    high, half = axes.get_ylim()[1], style.half_width(table, "time").median()
    axes.errorbar(
        [axes.get_xlim()[at]], [high - half], yerr=[half], color=style.QUIET, linewidth=1.4, capsize=2,
        label="median of their 95% intervals",
    )  # fmt: skip


def _copies(axes, table, space, colour):
    if table.empty:
        axes.set_axis_off()
        layout.title(axes, f"{space}: Fig. 5 does not run here")
        return
    found, (earlier, later) = rank_correlation(table["time"], table["ratio"]), by_halves(table)
    axes.plot(table["time"], table["ratio"], "o", color=colour, label="an image's samples", **DOTS)
    axes.axhline(COPY, color=style.QUIET, linewidth=1.2, linestyle=":", label="below: copies")
    axes.set_ylim(0, 1.03)
    axes.set_xlabel("settling time t of the image followed")
    axes.set_ylabel("d1 / d2 of its samples")
    layout.title(
        axes,
        f"{space}, switch at t = {table['t_switch'].iloc[0]:g}: copies are {earlier:.0%} of the earlier half of the "
        f"images, {later:.0%} of the later; {_told(found)}",
    )  # fmt: skip
    layout.legend(axes)


def _told(found):
    if np.isnan(found.value):
        return "rank correlation not known"
    return f"rank correlation {found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def draw(settling, output_pdf, output_png, output_csv, *, pictures=None, followed_images=None, config=None):
    """Read {space: settling.csv}, {space: settling.h5} and {space: fig5-neighbours.csv}; write PDF, PNG and CSV."""
    table = drawn(settling, pictures, followed_images)
    groups = (settling, pictures, followed_images)
    inputs = [path for paths in groups for path in (paths or {}).values()]
    style.save(figure(table), table, output_pdf, output_png, output_csv, inputs=inputs, config=config)
