"""The same configuration with other seeds, and whether two configurations differ in nothing else."""

from pathlib import Path

import yaml

from twostage.config import ConfigError, load
from twostage.training import OPERATIONAL

# Keys that name a run, seed it, or say how its jobs are run: replicates of one configuration may differ in them.
APART = ("run", "seed", "replicates", "jobs", "estimate")


def replicate(config, number):
    """The configuration (dict, for ``load``) of a run that differs from ``config`` (``Config``) in its seeds alone.

    number: 1 or more. ``seed`` is raised by it. Every sampling seed is raised by it times one more than the largest, so
    that no two replicates share noise. Results go to results/{run}-seed{seed}.
    """
    changed, seed = config.model_dump(mode="json"), config.seed + number
    blocks = _sampling(changed)
    shift = number * (1 + max(given for block in blocks for given in block["seeds"]))
    for block in blocks:
        block["seeds"] = [given + shift for given in block["seeds"]]
    return changed | {"run": f"{config.run}-seed{seed}", "seed": seed}


def are_replicates(first, second):
    """Whether two configurations (dicts as written) differ at most in ``APART``, in the values of sampling seeds, and
    in settings of trainings that change no number.

    False where one is not a configuration of this version.
    """
    try:
        return _compared(load(first)) == _compared(load(second))
    except ConfigError:
        return False


def published(folder, config):
    """The replicates.csv among published results, as a list of one path; empty where it is not of this configuration.

    folder: with the CSVs of a run and its config.yaml (``twostage.report.publish``); config: as ``are_replicates``.
    """
    table, theirs = (Path(folder) / name for name in ("replicates.csv", "config.yaml"))
    if not (table.is_file() and theirs.is_file()):
        return []
    return [str(table)] if are_replicates(yaml.safe_load(theirs.read_text(encoding="utf-8")), config) else []


def _compared(config):
    content = {key: value for key, value in config.model_dump(mode="json").items() if key not in APART}
    for block in _sampling(content):
        block["seeds"] = len(block["seeds"])
    return content | {"training": {key: content["training"][key] for key in {*content["training"]} - {*OPERATIONAL}}}


def _sampling(content):
    """The blocks of a configuration (dict) that have sampling seeds of their own."""
    blocks = [content["sampling"], *content["experiments"].values()]
    return [block for block in blocks if block and block["seeds"]]
