"""Adapter: the models' errors against the oracle, the Gaussian and the conditional target, by kind of path."""

from twostage.job import job
from twostage.sampling.references import measure_references

with job(snakemake):
    params = snakemake.params
    snapshots = [(model, step) for model, steps in params.snapshots.items() for step in steps]
    measure_references(
        snakemake.input.latents,
        dict(zip(snapshots, snakemake.input.snapshots)),
        snakemake.output[0],
        held_out_path=snakemake.input.get("held_out") or None,
        models=params.models,
        device=params.device,
        **params.settings,
    )
