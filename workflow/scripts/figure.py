"""Adapter: one figure or table, by the module of twostage.report that bears the rule's name."""

from importlib import import_module

from twostage.job import job


def by_space(paths, spaces):
    """A path as it is; paths, which come in the order of the spaces, as {space: its path, or its paths}."""
    if isinstance(paths, str):
        return paths
    each = len(paths) // len(spaces)
    groups = [paths[start : start + each] for start in range(0, len(paths), each)]
    return {space: group[0] if each == 1 else list(group) for space, group in zip(spaces, groups)}


with job(snakemake):
    inputs = {name: by_space(paths, snakemake.params.spaces) for name, paths in snakemake.input.items()}
    outputs = {f"output_{kind}": path for kind, path in snakemake.output.items()}
    draw = import_module(f"twostage.report.{snakemake.rule}").draw
    draw(**inputs, **outputs, **snakemake.params.settings)
