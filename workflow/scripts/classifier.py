"""Adapter: the classifier whose features need no download, and the training images' reference in them."""

from pathlib import Path

from twostage.job import job
from twostage.evaluation.classifier import train_classifier
from twostage.evaluation.reference import compute_references

with job(snakemake):
    train_classifier(
        snakemake.params.dataset,
        Path(snakemake.output.weights).parent,
        **snakemake.params.classifier,
        seed=snakemake.params.seed,
        device=snakemake.params.device,
    )
    compute_references(
        snakemake.params.dataset,
        {"classifier": snakemake.output.reference},
        classifier=snakemake.output.weights,
        device=snakemake.params.device,
    )
