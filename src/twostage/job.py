"""What every workflow adapter does around its one call: send output to the log, end bad input in one line."""

import contextlib
import sys
import traceback
from pathlib import Path

from twostage.startup import quick_start

quick_start()  # adapters import this module first


@contextlib.contextmanager
def job(snakemake):
    """Run the block with stdout and stderr in the rule's log file.

    Bad input (ValueError, OSError) ends the job with one line on the terminal that names the rule, the reason and
    the log; the log holds the traceback. Any other exception is a defect and keeps its traceback.
    """
    log = Path(snakemake.log[0])
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as stream:
        try:
            with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
                yield
        except (ValueError, OSError) as error:
            traceback.print_exc(file=stream)
            reason = " ".join(str(error).split())
            sys.exit(f"{snakemake.rule}: {reason} (log: {log})")
