"""Adapter: when the posterior of a latent space settles on single images."""

from twostage.job import job
from twostage.oracle.single_images import measure_settling

with job(snakemake):
    inputs, params = snakemake.input, snakemake.params
    measure_settling(
        inputs.latents,
        snakemake.output.table,
        snakemake.output.pictures,
        **params.settling,
        followed=inputs.get("followed") or None,
        encoder_spec=params.encoder,
        encoder_weights=inputs.get("weights"),
        budget_mb=params.memory_mb,
        seed=params.seed,
        device=params.device,
    )
