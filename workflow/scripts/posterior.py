"""Adapter: the oracle posterior of a latent space, and its transition."""

from pathlib import Path

from twostage.oracle.study import measure_posterior

from twostage.job import job

with job(snakemake):
    settings = snakemake.params.oracle
    measure_posterior(
        snakemake.input.latents,
        Path(snakemake.output.posterior).parent,
        time_steps=settings["time_steps"],
        pairs_per_class=settings["pairs_per_class"],
        pairs_unconditional=settings["pairs_unconditional"],
        bootstrap=settings["bootstrap"],
        budget_mb=settings["memory_mb"],
        seed=snakemake.params.seed,
        device=snakemake.params.device,
    )
