"""What every workflow adapter does around its one call: send output to the log, end bad input in one line."""

import contextlib
import importlib
import os
import sys
import traceback
from pathlib import Path

from twostage.startup import quick_start

quick_start()  # adapters import this module first


@contextlib.contextmanager
def job(snakemake):
    """Run the block with everything that this process prints, libraries in C included, in the rule's log file.

    Gives the terminal, for an adapter whose result is text. A job that fails ends with exit code 1 and its reason at
    the end of the log, which the workflow shows (``twostage.run_log``): after the traceback, a line that begins with
    ``error: `` for bad input (ValueError, OSError); any other exception is a defect, and its traceback says it.
    Where the adapter computes, torch rounds as ``twostage.arithmetic`` has it.
    """
    if "torch" in sys.modules:  # imported by what the adapter calls; others must not wait for it
        importlib.import_module("twostage.arithmetic").use_full_precision()
    log = Path(snakemake.log[0])
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "wb") as stream, _output_in(stream) as terminal:
        try:
            yield terminal
        except Exception as error:
            traceback.print_exc()
            if isinstance(error, ValueError | OSError):
                print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
            sys.exit(1)


def by_name(names, paths):
    """{name: its paths, in order}, of inputs or outputs that were named one name after the other, as many for each."""
    each = len(paths) // len(names) if names else 0
    return {name: list(paths[start * each : (start + 1) * each]) for start, name in enumerate(names)}


@contextlib.contextmanager
def _output_in(stream):
    """stdout and stderr of this process in a file, from here to its end; the stdout that it had, as a text file."""
    sys.stdout.flush()
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as terminal:
        for number in (1, 2):
            os.dup2(stream.fileno(), number)
        try:
            yield terminal
        finally:
            sys.stdout.flush()
