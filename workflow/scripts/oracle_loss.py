"""Adapter: every model's error against both targets, by t."""

from twostage.job import job
from twostage.training.oracle_loss import measure_oracle_loss

with job(snakemake):
    checkpoints = {
        (model, int(step)): path
        for model, paths in snakemake.params.checkpoints.items()
        for step, path in paths.items()
    }
    measure_oracle_loss(
        snakemake.input.latents,
        checkpoints,
        snakemake.output[0],
        **snakemake.params.oracle_loss,
        seed=snakemake.params.seed,
        device=snakemake.params.device,
    )
