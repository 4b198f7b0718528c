"""Adapter: the reference that samples are compared with in one kind of published features."""

from twostage.job import job
from twostage.evaluation.reference import compute_references

with job(snakemake):
    features = snakemake.wildcards.features
    compute_references(
        snakemake.params.dataset,
        {features: snakemake.output[0]},
        **{features: snakemake.input.weights},
        device=snakemake.params.device,
    )
