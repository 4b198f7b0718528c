"""Adapter: one figure or table, by the module of twostage.report that bears the rule's name."""

from importlib import import_module

from twostage.job import job

with job(snakemake):
    spaces = snakemake.params.spaces
    # An input that was given once a latent space arrives as a list in the order of the spaces.
    inputs = {
        name: paths if isinstance(paths, str) else dict(zip(spaces, paths)) for name, paths in snakemake.input.items()
    }
    outputs = {f"output_{kind}": path for kind, path in snakemake.output.items()}
    draw = import_module(f"twostage.report.{snakemake.rule}").draw
    draw(**inputs, **outputs, **snakemake.params.settings)
