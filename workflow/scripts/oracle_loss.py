"""Adapter: every snapshot's error against both targets by t, and samples of it."""

from twostage.job import job
from twostage.sampling.snapshots import sample_snapshots
from twostage.training.oracle_loss import measure_oracle_loss

with job(snakemake):
    params, files = snakemake.params, snakemake.output
    snapshots = [(model, step) for model, steps in params.snapshots.items() for step in steps]
    checkpoints = dict(zip(snapshots, snakemake.input.snapshots))
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
