"""A quicker start and end of a program that imports much: torch, diffusers, Snakemake."""

import atexit
import gc
import sys


def quick_start():
    """Look for garbage seldom, and at the end of the process not at all; for programs, never for a library.

    Imports make millions of objects and free none. Looking for garbage among them, while they are imported and once
    more when the interpreter ends, takes a quarter of a short job's time (docs/slurm.md). What is in no cycle is freed
    at once as ever; files are closed by whoever opened them, not by the collector.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
    atexit.register(_leave_garbage)


def _leave_garbage():
    """Spare the last look for garbage, except where a library counts on it.

    Triton's binding library takes every object that is left for a leak, and says so in thirty lines after the last line
    of the program. timm, diffusers and counting FLOPs import it.
    """
    if "triton._C.libtriton" not in sys.modules:
        gc.freeze()
