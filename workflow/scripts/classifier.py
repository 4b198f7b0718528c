"""Adapter: the classifier whose features need no download."""

from pathlib import Path

from twostage.evaluation.classifier import train_classifier
from twostage.job import job

with job(snakemake):
    train_classifier(
        snakemake.params.dataset,
        Path(snakemake.output.weights).parent,
        **snakemake.params.classifier,
        seed=snakemake.params.seed,
        device=snakemake.params.device,
    )
