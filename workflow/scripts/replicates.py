"""Adapter: the claims of runs that differ in their seeds alone, side by side."""

from twostage.job import job
from twostage.report.pages import replicates

with job(snakemake):
    out = snakemake.output
    replicates.write(out.csv, out.html, snakemake.input, config=snakemake.params.config)
