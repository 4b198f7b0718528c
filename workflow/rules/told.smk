# What the terminal shows from the logs of the jobs: warnings, and the reason of a failure, at once and again at the
# end.
from twostage.run_log import Told
from twostage.storage import here


def place_of(log):
    """Where a log lies that Snakemake names; in a storage, its copy here, if there is one."""
    if STORAGE is None:
        return log
    stored = log.partition(" (")[0]  # "(send to storage)"
    copied = here(stored.removeprefix(PREFIX))
    return copied if os.path.exists(copied) else stored


TOLD = Told(logger, place_of)
logger.addFilter(TOLD)


onerror:
    for line in TOLD.failed.values():
        logger.error(line)
