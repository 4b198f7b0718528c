"""Adapter: one figure or table, by the module of twostage.report.figures that bears its name."""

import os
from importlib import import_module

from twostage.job import job
from twostage.report.figures import style


def by_space(paths, spaces):
    """Paths of some latent spaces as {space: its path, or its paths}."""
    stage = os.path.commonpath(paths) if len(spaces) > 1 else ""
    groups = {space: [path for path in paths if path.startswith(f"{stage}/{space}/") or not stage] for space in spaces}
    return {space: group[0] if len(group) == 1 else group for space, group in groups.items()}


with job(snakemake):
    spaces = snakemake.params.spaces
    inputs = {
        name: by_space(paths, spaces[name]) if name in spaces else paths for name, paths in snakemake.input.items()
    }
    outputs = {f"output_{kind}": path for kind, path in snakemake.output.items()}
    settings = snakemake.params.settings
    style.colour_by(**snakemake.params.order)
    draw = import_module(f"twostage.report.figures.{snakemake.params.figure}").draw
    draw(**inputs, **outputs, **settings, config={"spaces": spaces, **settings})
