"""Adapter: one-step predictions and velocity norms along the trajectories of one experiment's plans."""

from twostage.job import job
from twostage.sampling.trajectory import record_trajectories

with job(snakemake):
    params = snakemake.params
    pictures = snakemake.output.pictures
    record_trajectories(
        snakemake.input.latents,
        params.encoder,
        snakemake.input.get("weights"),
        params.checkpoints,
        params.plans,
        dict(zip(params.plans, [pictures] if isinstance(pictures, str) else pictures)),
        snakemake.output.table,
        samples=params.samples,
        seeds=params.seeds,
        split_path=snakemake.input.get("split"),
        batch_size=params.batch_size,
        device=params.device,
        precision=params.precision,
        held_out_path=snakemake.input.held_out,
        space=snakemake.wildcards.space,
        models=params.models,
    )
