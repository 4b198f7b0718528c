"""A hint to the name that was meant, for messages about an unknown name."""

import difflib


def did_you_mean(name, names):
    """A hint to the name among ``names`` that is most similar to ``name``, ignoring case; empty if none is similar.

    >>> did_you_mean("bacth_size", ["batch_size", "lr"])
    "; did you mean 'batch_size'?"
    """
    by_lower = {str(known).lower(): str(known) for known in names}
    match = difflib.get_close_matches(str(name).lower(), by_lower, n=1, cutoff=0.5)
    return f"; did you mean {by_lower[match[0]]!r}?" if match else ""
