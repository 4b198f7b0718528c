"""Adapter: every plan of one experiment, in one latent space and shard."""

from twostage.job import job
from twostage.sampling.context import Context
from twostage.sampling.run import sample_plans

with job(snakemake):
    params = snakemake.params
    sample_plans(
        Context.of_job(snakemake),
        dict(zip(params.plans, snakemake.output)),
        samples=params.samples,
        seeds=params.seeds,
        shard=(int(snakemake.wildcards.shard), params.shards),
        batch_size=params.batch_size,
    )
