"""Fig. 6: resuming the model from x_t of unseen (held-out) images.

For each latent space a sheet of samples by resume time, beside the unseen image. Above it, over all samples: their
distance to that image and to the nearest training image.
"""

from twostage.report.figures import followed, style


def drawn(pictures, memorization, split=None):
    """The table of Fig. 6: one row per tile of the sheets, with the numbers of its resume time
    (``followed.table_of``)."""
    return followed.table_of(pictures, memorization, "t_resume", split)


def figure(table):
    """Fig. 6 from its table (``drawn``)."""
    return followed.sheets(table, WORDS)


def _title(space, points):
    first, last = points.iloc[0], points.iloc[-1]
    at = lambda row: style.unbroken(f"(t_resume = {row['t']:g})")  # noqa: E731
    return (
        f"{space}: the distance to the unseen image goes from {first['followed_distance']:.0f} grey levels "
        f"{at(first)} to {last['followed_distance']:.0f} {at(last)}"
    )


WORDS = followed.Words("t_resume", "unseen\nimage", "distance to the unseen image", _title)


draw = followed.drawing(drawn, figure)
