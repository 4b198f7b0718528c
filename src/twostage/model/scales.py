"""Whether two normalisations differ by one factor; the configuration asks too. Nothing here imports torch."""

SAME = 1e-3  # relative difference, as of statistics that were written with few digits


def alike(values):
    """Whether positive numbers agree.

    >>> alike([1.0, 1.0005]), alike([1.0, 1.1])
    (True, False)
    """
    return max(values) <= min(values) * (1 + SAME)
