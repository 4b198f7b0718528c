"""Adapter: a reference that others made, as the run's evaluations read it."""

from twostage.job import job
from twostage.evaluation.reference import import_reference
from twostage.fetch import check_digest

with job(snakemake):
    features, given = snakemake.wildcards.features, snakemake.input.given
    check_digest(given, snakemake.params.sha256)
    import_reference(
        given,
        features,
        snakemake.output[0],
        **{features: snakemake.input.weights},
        device=snakemake.params.device,
    )
