"""Posterior curves of the data (Figs. 2 and 3)."""

from twostage.report.results import curves
from twostage.report.results.inputs import measured_transitions, read_spaces, splits

POSTERIOR = (
    "conditioning", "label", "n", "dim", "t", "pairs", "top1", "top1_sem", "mse", "mse_sem", "mse_offset",
    "mse_offset_sem",
)  # fmt: skip
SATURATED = 0.95  # top-1 weight at which the posterior counts as collapsed to one sample


def posterior_curves(posterior, transition, split=None):
    """Posterior curves: one row per (space, conditioning, t), DataFrame.

    posterior: {space: posterior.csv}; transition: {space: transition.json}, the source of ``measured``; split: {space:
    split.json}, the stage split of the run, which may be another time. Class-conditional rows ("class") are pooled over
    all classes; unconditional rows ("all") are over all data.
    """
    table = read_spaces(posterior, POSTERIOR)
    keep = (table["conditioning"] == "all") | (table["label"].astype(str) == "pooled")
    table = table.loc[keep, ["space", *(name for name in POSTERIOR if name != "label")]]
    for space, path in posterior.items():
        if not ((table["space"] == space) & (table["conditioning"] == "class")).any():
            raise ValueError(f"{path} has no row with conditioning 'class' and label 'pooled'")
    table = table.merge(measured_transitions(transition), on="space", how="left")
    return table.merge(splits(split), on="space", how="left")


def posterior_of(table, space, conditioning="class"):
    """The rows of one posterior curve, in order of t."""
    return table[(table["space"] == space) & (table["conditioning"] == conditioning)].sort_values("t")


def saturation_of(table, space):
    """Time after which the class-conditional top-1 weight of a space stays at 0.95 or above, an Estimate."""
    rows = posterior_of(table, space)
    return curves.crossing(rows["t"], rows["top1"], rows["top1_sem"], SATURATED)
