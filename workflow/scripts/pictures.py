"""Adapter: a picture of the README or the docs, drawn from its committed CSV by its figure's module."""

from importlib import import_module
from pathlib import Path

import pandas

from twostage.job import job
from twostage.provenance import atomic_write
from twostage.report.figures import style

with job(snakemake):
    module = import_module(f"twostage.report.figures.{Path(snakemake.wildcards.picture).name}")
    picture = module.figure(pandas.read_csv(snakemake.input.csv))
    with style.look(), atomic_write(snakemake.output.png) as temporary:
        picture.savefig(temporary, format="png", dpi=100, metadata={"Software": None})
