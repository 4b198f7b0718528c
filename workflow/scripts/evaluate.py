"""Adapter: features of samples, and their distance to the training images."""

from twostage.job import by_name, job
from twostage.evaluation.evaluate import evaluate_samples

with job(snakemake):
    features = snakemake.params.features
    evaluate_samples(
        snakemake.params.dataset,
        by_name(snakemake.params.plans, snakemake.input.samples),
        snakemake.output.table,
        features=features,
        references={name: snakemake.input[f"reference_{name}"] for name in features},
        classifier=snakemake.input.get("classifier"),
        inception=snakemake.input.get("inception"),
        dinov2=snakemake.input.get("dinov2"),
        device=snakemake.params.device,
    )
