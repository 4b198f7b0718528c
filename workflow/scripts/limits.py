"""Adapter: what each job takes and asks for, on the terminal."""

from twostage.job import job
from twostage.estimate import limits

with job(snakemake) as terminal:
    print(limits(**dict(snakemake.params)), file=terminal)
