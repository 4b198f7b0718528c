# What the terminal shows of the jobs' logs: why a job failed, where it says so and once more at the end; its warnings.
from twostage.run_log import Told

TOLD = Told(logger)
logger.addFilter(TOLD)


onerror:
    for line in TOLD.failed.values():
        logger.error(line)
