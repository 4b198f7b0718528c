"""Adapter: distances between the samples of each class and its training images."""

from twostage.job import by_name, job
from twostage.evaluation.per_class import class_distances

with job(snakemake):
    class_distances(
        snakemake.params.dataset,
        by_name(snakemake.params.plans, snakemake.input.samples),
        snakemake.output.table,
        features=snakemake.params.features,
        classifier=snakemake.input.get("classifier"),
        inception=snakemake.input.get("inception"),
        dinov2=snakemake.input.get("dinov2"),
        device=snakemake.params.device,
    )
