"""Statements of the paper that no figure or table of the workflow checks yet, so that none is left unsaid."""

from twostage.report.claim import Claim

_STATEMENTS = [
    (
        "aligned-space-is-parabolic",
        "5.3",
        "fig9",
        "In a latent space aligned with semantic features the oracle loss is a parabola, in a plain one flat and wavy.",
        "VA-VAE against SD-VAE, by eye",
    ),
]

CLAIMS = [
    Claim(id=name, section=section, statement=statement, paper=value, figure=figure)
    for name, section, figure, statement, value in _STATEMENTS
]
