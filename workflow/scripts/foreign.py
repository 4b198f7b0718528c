"""Adapter: a model that the user's own code builds, looked at once and written down."""

from twostage.job import job
from twostage.training.foreign import import_foreign

with job(snakemake):
    params = snakemake.params
    import_foreign(params.model, snakemake.input.latents, snakemake.output[0], step=params.step, sha256=params.sha256)
