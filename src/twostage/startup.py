"""A quicker start and end for programs that import large libraries: torch, diffusers, Snakemake."""

import atexit
import gc
import sys


def quick_start():
    """Collect garbage seldom, and not at all at the end of the process; for programs, never for a library.

    Imports make millions of objects and free none. Garbage collection among them, during the imports and once more when
    the interpreter ends, takes a quarter of a short job's time (docs/slurm.md). Objects that are in no cycle are still
    freed at once; files are closed by the code that opened them, not by the collector.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
    atexit.register(_leave_garbage)


def _leave_garbage():
    """Skip the last garbage collection, except where a library relies on it.

    Triton's binding library reports every object that is left as a leak, in thirty lines after the last line of the
    program. timm, diffusers and the counting of FLOPs import it.
    """
    if "triton._C.libtriton" not in sys.modules:
        gc.freeze()
