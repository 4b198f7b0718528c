# What the terminal shows from the logs of the jobs: warnings, and the reason of a failure, at once and again at the
# end.
from twostage.run_log import Told

TOLD = Told(logger)
logger.addFilter(TOLD)


onerror:
    for line in TOLD.failed.values():
        logger.error(line)
