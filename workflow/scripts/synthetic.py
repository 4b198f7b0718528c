"""Adapter: posteriors over unit Gaussians."""

from itertools import product
from pathlib import Path

import numpy as np

from twostage.job import job
from twostage.oracle.panels import measure_synthetic

with job(snakemake):
    settings = snakemake.params.synthetic
    measure_synthetic(
        Path(snakemake.output.top1).parent,
        times=np.linspace(0, 1, settings["time_steps"] + 1),
        trials=settings["trials"],
        dimension_panel={"size": settings["size"], "dims": settings["dims"]},
        size_panel={"dim": settings["dim"], "sizes": settings["sizes"]},
        law_grid=list(product(settings["law_dims"], settings["law_sizes"])),
        law_trials=settings["law_trials"],
        seed=snakemake.params.seed,
        workers=snakemake.threads,
        state_dir=snakemake.params.state,
    )
