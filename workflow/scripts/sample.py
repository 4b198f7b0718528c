"""Adapter: every plan of one experiment, in one latent space and shard."""

from twostage.job import job
from twostage.sampling.context import Context
from twostage.sampling.run import sample_plans

with job(snakemake):
    inputs, params = snakemake.input, snakemake.params
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
    sample_plans(
        context,
        dict(zip(params.plans, snakemake.output)),
        samples=params.samples,
        seeds=params.seeds,
        shard=(int(snakemake.wildcards.shard), params.shards),
        batch_size=params.batch_size,
    )
