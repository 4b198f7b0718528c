"""Statements of the paper that no figure or table of the workflow checks yet; they are listed as not tested."""

from twostage.report.claims.claim import Claim

ALIGNED_SPACE_IS_PARABOLIC = Claim(
    id="aligned-space-is-parabolic",
    section="5.3",
    statement="The oracle loss is a parabola in a latent space aligned with semantic features, and flat and wavy in a "
    "plain one.",
    paper="VA-VAE against SD-VAE, by eye",
    figure="fig9",
)
