"""Adapter: one-step predictions, velocity norms and timestep shifts of Flux."""

from pathlib import Path

from twostage.job import job
from twostage.sampling.flux import load_flux, study_flux

with job(snakemake):
    settings = dict(snakemake.params.flux)
    source = {key: settings.pop(key) for key in ("model", "revision")}
    loading = {key: settings.pop(key) for key in ("precision", "offload")}
    study_flux(
        load_flux(
            Path(snakemake.input[0]).parent if snakemake.input else Path(source["model"]),
            device=snakemake.params.device,
            **loading,
        ),
        settings.pop("prompts"),
        snakemake.output.pictures,
        snakemake.output.table,
        **settings,
        seed=snakemake.params.seed,
        source=" at ".join(filter(None, source.values())),
    )
