"""Statements of the paper that no figure or table of the workflow checks yet, so that none is left unsaid."""

from twostage.report.claims.claim import Claim

ALIGNED_SPACE_IS_PARABOLIC = Claim(
    id="aligned-space-is-parabolic",
    section="5.3",
    statement="In a latent space aligned with semantic features the oracle loss is a parabola, in a plain one flat and "
    "wavy.",
    paper="VA-VAE against SD-VAE, by eye",
    figure="fig9",
)
