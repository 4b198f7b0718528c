"""Adapter: what the run will cost, on the terminal."""

from twostage.job import job
from twostage.estimate import estimate

with job(snakemake) as terminal:
    print(estimate(**dict(snakemake.params)), file=terminal)
