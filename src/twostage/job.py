"""The frame of every workflow adapter: its output goes to the log, and bad input ends it with one line."""

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
    """Run the block with the whole output of this process, including that of C libraries, in the rule's log file.

    Yields the terminal, for an adapter whose result is text. A job that fails ends with exit code 1 and its reason at
    the end of the log, which the workflow shows (``twostage.run_log``). For bad input (ValueError, OSError) that is a
    line after the traceback that begins with ``error: ``; any other exception is a defect, and the traceback is the
    reason. If the adapter computes, torch rounds as set in ``twostage.arithmetic``.
    """
    if "torch" in sys.modules:  # imported by the code that the adapter calls; other adapters must not wait for torch
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
    """{name: its paths, in order} from paths that are listed name by name, equally many for each name."""
    each = len(paths) // len(names) if names else 0
    return {name: list(paths[start * each : (start + 1) * each]) for start, name in enumerate(names)}


@contextlib.contextmanager
def _output_in(stream):
    """Redirect stdout and stderr of this process to a file, until the process ends; yields the old stdout as a text
    file."""
    sys.stdout.flush()
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as terminal:
        for number in (1, 2):
            os.dup2(stream.fileno(), number)
        try:
            yield terminal
        finally:
            sys.stdout.flush()
