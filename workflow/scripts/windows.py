"""Adapter: the intervals that the data of a latent space name."""

from twostage.job import job
from twostage.windows import write_windows

with job(snakemake):
    inputs = snakemake.input
    write_windows(inputs.law, inputs.information, snakemake.output[0], named=snakemake.params.named)
