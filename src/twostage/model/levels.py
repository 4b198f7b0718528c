"""Noise levels, sigma / alpha, between which a foreign model is asked: what they are, and which are none.

Nothing here imports torch: the configuration is read before it is needed.
"""

import math

# Where the configuration does not say: EDM's range, outside of which few models were trained.
SIGMA_MIN, SIGMA_MAX = 0.002, 80.0
# Paths that end at the levels that are asked, and where they end otherwise (``twostage.paths``).
ENDS = {"ve": (0.01, 50.0), "edm": (SIGMA_MIN, SIGMA_MAX)}
MOST = {"vp": math.sqrt(math.expm1(10.05))}  # the most noise of a path that ends earlier than any model
STEEP = ("vp", "cosine")  # the noise of these sets in with an infinite slope


def levels(bounded, sigma_min, sigma_max, ends=(SIGMA_MIN, SIGMA_MAX)):
    """(least, most) noise; where one is None, that of ``ends``, and no bound if not ``bounded``."""
    low, high = ends if bounded else (0.0, math.inf)
    return (low if sigma_min is None else sigma_min, high if sigma_max is None else sigma_max)


def problem(path, predicts, sigma_min, sigma_max):
    """What is wrong with the levels of a model on a named path, or one of the user's own code; None if nothing is.

    path, predicts, sigma_min, sigma_max: as in the configuration, ``predicts`` filled in.
    """
    bounded = ":" not in path and (path, predicts) != ("rectified", "velocity")
    least, most = levels(bounded, sigma_min, sigma_max, ENDS.get(path, (SIGMA_MIN, SIGMA_MAX)))
    if least >= most:
        low, high = (" by default" if given is None else "" for given in (sigma_min, sigma_max))
        return f"sigma_min is {least:g}{low} and sigma_max {most:g}{high}; expected sigma_min below sigma_max"
    if least >= MOST.get(path, math.inf):
        return f"sigma_min is {least:g}; expected less than {MOST[path]:.5g}, the most noise of the path {path}"
    if least == 0 and path == "ve":
        return "sigma_min is 0; expected more than 0: the path ve multiplies it"
    if least == 0 and bounded and (predicts == "data" or (predicts == "velocity" and path in STEEP)):
        what = f"at 0 a prediction of the {predicts} does not say what the noise is"
        return f"sigma_min is 0, on the path {path}; expected more than 0: {what}"
    return None
