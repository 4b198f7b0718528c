"""Adapter: one-step predictions and velocity norms along the trajectories of one experiment's plans."""

from twostage.job import job
from twostage.sampling.context import Context
from twostage.sampling.trajectory import record_trajectories

with job(snakemake):
    params, pictures = snakemake.params, snakemake.output.pictures
    record_trajectories(
        Context.of_job(snakemake),
        dict(zip(params.plans, [pictures] if isinstance(pictures, str) else pictures)),
        snakemake.output.table,
        samples=params.samples,
        seeds=params.seeds,
        batch_size=params.batch_size,
    )
