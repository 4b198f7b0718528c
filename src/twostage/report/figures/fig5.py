"""Fig. 5: mixed sampling. The oracle up to a switch time, the model after it, from the same noise.

For each latent space a sheet of samples by switch time, beside the training image that the oracle retrieves. Above it,
over all samples: their distance to that image and to the nearest training image.
"""

from twostage.report.figures import followed, style


def drawn(pictures, memorization, split=None):
    """The table of Fig. 5: one row per tile of the sheets, with the numbers of its switch time
    (``followed.table_of``)."""
    return followed.table_of(pictures, memorization, "t_switch", split)


def figure(table):
    """Fig. 5 from its table (``drawn``)."""
    return followed.sheets(table, WORDS)


def _title(space, points):
    first, last = points.iloc[0], points.iloc[-1]
    at = lambda row: style.unbroken(f"(t_switch = {row['t']:g})")  # noqa: E731
    return (
        f"{space}: the distance to the training image that the oracle retrieves goes from "
        f"{first['followed_distance']:.0f} grey levels {at(first)} to {last['followed_distance']:.1f} "
        f"{at(last)}; it is the nearest training image for {first['retrieved']:.0%}, then "
        f"{last['retrieved']:.0%}"
    )


WORDS = followed.Words(
    "t_switch", "training\nimage", "distance to the training image that the oracle retrieves", _title
)


draw = followed.drawing(drawn, figure)
