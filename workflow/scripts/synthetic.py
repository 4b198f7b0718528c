"""Adapter: posteriors over unit Gaussians."""

from pathlib import Path

from twostage.oracle.study import measure_synthetic

from twostage.job import job

with job(snakemake):
    measure_synthetic(
        Path(snakemake.output.top1).parent,
        **snakemake.params.synthetic,
        seed=snakemake.params.seed,
        threads=snakemake.threads,
    )
