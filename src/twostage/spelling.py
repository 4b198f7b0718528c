"""The name that was meant, for messages about one that is not known."""

import difflib


def did_you_mean(name, names):
    """A hint to the name among ``names`` that is most like ``name``, whatever their case; empty where none is.

    >>> did_you_mean("bacth_size", ["batch_size", "lr"])
    "; did you mean 'batch_size'?"
    """
    by_lower = {str(known).lower(): str(known) for known in names}
    match = difflib.get_close_matches(str(name).lower(), by_lower, n=1, cutoff=0.5)
    return f"; did you mean {by_lower[match[0]]!r}?" if match else ""
