"""Adapter: what the run will cost, on the terminal."""

from twostage.estimate import estimate
from twostage.job import job

with job(snakemake):
    text = estimate(**dict(snakemake.params))
print(text)
