"""Adapter: N varied on a latent space at fixed D."""

from twostage.job import job
from twostage.oracle.study import measure_nsweep

with job(snakemake):
    measure_nsweep(
        snakemake.input.latents,
        snakemake.output[0],
        **snakemake.params.nsweep,
        budget_mb=snakemake.params.memory_mb,
        seed=snakemake.params.seed,
        device=snakemake.params.device,
    )
