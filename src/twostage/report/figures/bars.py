"""Bars in groups, each group under its name, so that a name may be long; at ticks, long names would overlap."""

import math

from twostage.report.figures import layout, style

SIZE, BAR, GAP = 8, 0.14, 0.1  # points of the names; inches of a bar, and under a group


class Groups:
    """Places of bars under names, {name: number of bars}, from the top, in axes that are ``width`` inches wide.

    depth: height of all groups, inches.
    """

    def __init__(self, counts, width):
        self.words = {name: layout.wrapped(name, width - 0.1, SIZE) for name in counts}
        self.tops, self.next, self.depth = {}, {}, 0.0
        for name, words in self.words.items():
            self.tops[name] = self.depth
            self.next[name] = self.depth + layout.height_of(words, SIZE) + 0.04
            self.depth = self.next[name] + BAR * counts[name] + GAP

    def name(self, axes):
        """Write the names, and let the panel have room for all groups."""
        for name, words in self.words.items():
            axes.text(
                0.01, self.tops[name] + 0.03, words, transform=axes.get_yaxis_transform(), va="top", fontsize=SIZE
            )
        axes.set_ylim(self.depth, 0)
        axes.set_yticks([])
        axes.set_xlim(left=0)

    def bars(self, axes, values, *, error=None, **look):
        """Draw the bars of one series, {name: value}, under those of the previous series. error: {name: half width}."""
        places = [self.next[name] + BAR / 2 for name in values]
        self.next |= {name: self.next[name] + BAR for name in values}
        spread = None if error is None else [0 if math.isnan(error[name]) else error[name] for name in values]
        axes.barh(
            places, list(values.values()), 0.9 * BAR, xerr=spread,
            error_kw={"elinewidth": 1, "capsize": 2, "ecolor": style.TEXT}, **look,
        )  # fmt: skip
