"""Adapter: the stage split of a latent space, measured or fixed."""

from twostage.job import job
from twostage.split import write_split

with job(snakemake):
    write_split(snakemake.input.transition, snakemake.output[0], fixed=snakemake.params.fixed)
