"""Adapter: the classifier's features of the training images."""

from twostage.job import job
from twostage.evaluation.classifier import write_features

with job(snakemake):
    params = snakemake.params
    write_features(params.dataset, snakemake.input.classifier, snakemake.output[0], device=params.device)
