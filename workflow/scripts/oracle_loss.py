"""Adapter: every snapshot's error against both targets by t, and samples of it."""

from twostage.job import job
from twostage.sampling.snapshots import sample_snapshots
from twostage.training.oracle_loss import measure_oracle_loss

with job(snakemake):
    params, files = snakemake.params, snakemake.output
    found = [(model, int(step), path) for model, paths in params.checkpoints.items() for step, path in paths.items()]
    checkpoints = {(model, step): path for model, step, path in found}
    common = {"seed": params.seed, "device": params.device, "models": params.models}
    measure_oracle_loss(
        snakemake.input.latents,
        checkpoints,
        files.table,
        files.pairs,
        transition_path=snakemake.input.transition,
        **params.oracle_loss,
        **common,
    )
    sample_snapshots(
        snakemake.input.latents,
        params.encoder,
        snakemake.input.get("weights"),
        checkpoints,
        files.samples,
        **params.sampling,
        **common,
    )
