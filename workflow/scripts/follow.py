"""Adapter: one-step predictions and velocity norms along the trajectories of one experiment's plans."""

from twostage.job import job
from twostage.sampling.context import Context
from twostage.sampling.trajectory import record_trajectories

with job(snakemake):
    inputs, params, pictures = snakemake.input, snakemake.params, snakemake.output.pictures
    context = Context(
        inputs.latents,
        params.encoder,
        inputs.get("weights"),
        dict(zip(params.models, inputs.snapshots)),
        params.plans,
        split_path=inputs.get("split"),
        windows_path=inputs.get("windows"),
        device=params.device,
        precision=params.precision,
        held_out_path=inputs.held_out,
        space=snakemake.wildcards.space,
        models=params.models,
    )
    record_trajectories(
        context,
        dict(zip(params.plans, [pictures] if isinstance(pictures, str) else pictures)),
        snakemake.output.table,
        samples=params.samples,
        seeds=params.seeds,
        batch_size=params.batch_size,
    )
