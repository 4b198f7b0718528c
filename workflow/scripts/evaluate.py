"""Adapter: features of samples, and their distance to the training images."""

from twostage.evaluation.evaluate import evaluate_samples
from twostage.job import job

with job(snakemake):
    settings = snakemake.params.evaluation
    evaluate_samples(
        snakemake.params.dataset,
        snakemake.params.samples,
        snakemake.output.table,
        features=settings["features"],
        classifier=snakemake.input.get("classifier"),
        inception=settings["inception_weights"],
        dinov2=settings["dinov2_weights"],
        device=snakemake.params.device,
    )
