"""Adapter: what the run will cost, on the terminal."""

import atexit
import gc

from twostage.job import job
from twostage.estimate import estimate

with job(snakemake):
    text = estimate(**dict(snakemake.params))
print(text)
# Without a last look for garbage, triton, which counting imports, would put thirty lines about leaks below the text.
gc.unfreeze()
atexit.unregister(gc.freeze)
