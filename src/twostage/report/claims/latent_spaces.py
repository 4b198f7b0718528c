"""The paper's Sec. 5.3: the shape of the oracle loss in aligned and in plain latent spaces (Fig. 9)."""

import math

from twostage.report.claims.claim import (
    NOT_TESTED,
    REFINEMENT,
    UNDECIDED,
    Claim,
    Finding,
    above,
    below,
    together,
    within,
)
from twostage.report.claims.learning import models_of
from twostage.report.results import shapes
from twostage.report.results.losses import loss_of

# Halfway, in ratio, between the paper's two curves (paper.FIG9): 6% and 25% off a parabola, spreads of 47% and 4%.
PARABOLA = 0.12
FLAT = 0.14
KINDS = {True: "aligned", False: "plain"}


def _shape(run, space):
    kind, name = KINDS[run.aligned[space]], models_of(run.losses, space)[-1]
    rows, saturation = loss_of(run.losses, space, name), run.stages(space)[1]
    shape = shapes.shape_of(run.pairs_of[space], rows, saturation)
    if math.isnan(shape.off_parabola.value):
        note = "not enough times after saturation, or pairs, for a shape"
        return Finding(f"{space}, {kind}", UNDECIDED, shape.off_parabola, note)
    if run.aligned[space]:
        judged = below(shape.off_parabola, PARABOLA), within(shape.extremes, 0.5, 1.5), above(shape.opening, 0)
    else:
        judged = above(shape.off_parabola, PARABOLA), above(shape.extremes, 1.5), below(shape.spread, FLAT)
    extremes, spread, opening = (
        f"{value:{form}} [{low:{form}}, {high:{form}}]"
        for (value, low, high), form in ((shape.extremes, ".0f"), (shape.spread, ".0%"), (shape.opening, ".2g"))
    )
    note = (
        f"{name}, {rows['step'].iloc[0]:,} steps, t from {saturation:.3f} to 1: extremes {extremes}, spread {spread} "
        f"of the mean, second derivative {opening}"
    )
    return Finding(f"{space}, {kind}", together(judged), shape.off_parabola, note)


def _shapes(run):
    measured = [space for space in dict.fromkeys(run.losses["space"]) if space in run.aligned]
    for aligned, kind in KINDS.items():
        if aligned not in [run.aligned[space] for space in measured]:
            return [Finding("", NOT_TESTED, note=f"this run has no autoencoder with {kind} latents")]
    return [_shape(run, space) for space in measured]


ALIGNED_SPACE_IS_PARABOLIC = Claim(
    id="aligned-space-is-parabolic",
    stage=REFINEMENT,
    section="5.3",
    statement="The oracle loss is a parabola in a latent space aligned with semantic features, and flat and wavy in a "
    "plain one.",
    paper="VA-VAE: 6% off a parabola, 1 extreme, spread 47% of the mean; SD-VAE: 25%, 2 extremes, 4% (from curves read "
    "off)",
    figure="fig9",
    quantity="share of the variance over t that the best parabola leaves (1 - R²), of the oracle loss in refinement",
    rule="of the largest model's last snapshot, from saturation to t = 1, both ends included. An aligned space holds "
    f"if the share is at most {PARABOLA:.0%}, there is one extreme, and the parabola opens upwards; a plain one "
    f"if the share is above {PARABOLA:.0%}, there are at least two extremes, and the standard deviation over t is at "
    f"most {FLAT:.0%} of the mean: for all of these, the whole interval. {PARABOLA:.0%} and {FLAT:.0%} lie halfway, in "
    "ratio, between the paper's two curves. An extreme lies between a rise and a fall that are larger than "
    f"{shapes.WAVE:.0%} of the mean, half of the paper's wave. Not tested without latent spaces of both kinds; pixels "
    "are neither",
    form="share",
    needs=("oracle_loss", "pair_errors", "posterior", "transition", "split"),
    check=_shapes,
)
