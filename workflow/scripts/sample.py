"""Adapter: every plan of one experiment, in one latent space and shard."""

from twostage.job import job
from twostage.sampling.run import sample_plans

with job(snakemake):
    params = snakemake.params
    sample_plans(
        snakemake.input.latents,
        params.encoder,
        snakemake.input.get("weights"),
        params.checkpoints,
        params.plans,
        dict(zip(params.plans, snakemake.output)),
        samples=params.samples,
        seeds=params.seeds,
        split_path=snakemake.input.get("split"),
        shard=(int(snakemake.wildcards.shard), params.shards),
        batch_size=params.batch_size,
        device=params.device,
        precision=params.precision,
        held_out_path=snakemake.input.held_out,
        space=snakemake.wildcards.space,
        models=params.models,
    )
