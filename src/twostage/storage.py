"""Where a job finds the files of a run that it knows by name.

A run's files have names below the folder in which Snakemake runs, such as ``results/digits/split.json``. Usually they
lie there. With `--default-storage-provider` they lie in a storage, and a job has copies of those that its rule names,
below the folder in ``TWOSTAGE_COPIES``. ``TWOSTAGE_STORAGE`` has the options with which Snakemake finds the storage,
``TWOSTAGE_COMMIT`` the commit of the sources. The rules set them (workflow/rules/common.smk).
"""

import argparse
import os
import shlex

VARIABLE, OPTIONS, COMMIT = "TWOSTAGE_COPIES", "TWOSTAGE_STORAGE", "TWOSTAGE_COMMIT"


def here(name):
    """The path at which this job finds a file of the run. A path of a volume, or of a copy, stays as it is."""
    copies = os.environ.get(VARIABLE)
    return os.path.join(copies, name_of(name)) if copies else name


def name_of(path):
    """The name of a file of the run, as text: the inverse of ``here``. A path elsewhere stays as it is."""
    copies = os.environ.get(VARIABLE)
    if copies:
        below = os.path.relpath(os.path.abspath(path), os.path.abspath(copies))
        if not below.startswith(os.pardir):
            return below
    return str(path)


def options():
    """The options of Snakemake that name the run's storage, for a Snakemake that a job starts; [] without a storage."""
    return shlex.split(os.environ.get(OPTIONS, ""))


class OutputFile(argparse.Action):
    """``--output FILE``, or ``--output FILE FILE.provenance.json``: what a rule with a storage calls its outputs."""

    def __init__(self, *words, **options):
        super().__init__(*words, nargs="+", **options)

    def __call__(self, parser, namespace, values, option=None):
        first, *others = values
        if others not in ([], [f"{first}.provenance.json"]):
            parser.error(f"{option} {' '.join(values)}; expected one file")
        setattr(namespace, self.dest, first)
