"""Adapter: every statement of the paper that this run can check."""

from twostage.job import job
from twostage.report import claims

with job(snakemake):
    spaces, sources = snakemake.params.spaces, {}
    for name, paths in snakemake.input.items():
        # What was given once a latent space arrives as a list in the order of the spaces.
        sources[name] = paths if isinstance(paths, str) else dict(zip(spaces.get(name, spaces["all"]), paths))
    claims.write(
        snakemake.output.json,
        snakemake.output.csv,
        snakemake.output.html,
        models=snakemake.params.models,
        split=snakemake.params.split,
        pairs=snakemake.params.pairs,
        **sources,
    )
