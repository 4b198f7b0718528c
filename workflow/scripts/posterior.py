"""Adapter: the oracle posterior of a latent space, and its transition."""

from pathlib import Path

import numpy as np

from twostage.job import job
from twostage.oracle.study import measure_posterior

with job(snakemake):
    settings = snakemake.params.oracle
    measure_posterior(
        snakemake.input.latents,
        Path(snakemake.output.posterior).parent,
        times=np.linspace(0, 1, settings["time_steps"] + 1),
        pairs_per_class=settings["pairs_per_class"],
        pairs_unconditional=settings["pairs_unconditional"],
        bootstrap=settings["bootstrap"],
        budget_mb=settings["memory_mb"],
        seed=snakemake.params.seed,
        device=snakemake.params.device,
    )
