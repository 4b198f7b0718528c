"""Adapter: the reference that samples are compared with in one kind of features, of one split."""

from twostage.job import job
from twostage.evaluation.reference import compute_references

with job(snakemake):
    features = snakemake.wildcards.features
    compute_references(
        snakemake.params.dataset,
        {features: snakemake.output[0]},
        split=snakemake.params.get("split", "train"),
        **{features: snakemake.input.weights},
        device=snakemake.params.device,
    )
