"""A quicker start and end of a program that imports much: torch, diffusers, Snakemake."""

import atexit
import gc


def quick_start():
    """Look for garbage seldom, and at the end of the process not at all; for programs, never for a library.

    Imports make millions of objects and free none. Looking for garbage among them, while they are imported and once
    more when the interpreter ends, takes a quarter of a short job's time (docs/slurm.md). What is in no cycle is freed
    at once as ever; files are closed by whoever opened them, not by the collector.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
    atexit.register(gc.freeze)
