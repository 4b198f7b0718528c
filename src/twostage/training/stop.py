"""Tells a training when to checkpoint and leave: on a signal, and before the end of its budget or its Slurm job."""

import contextlib
import os
import signal
import threading
import time

END = "SLURM_JOB_END_TIME"  # seconds since 1970; Slurm sets it since 22.05
MARGIN_S = 60  # time kept free before the end of a Slurm job, at most a tenth of the time left at the start
WRITE_RATE = 100e6  # bytes per second of a slow shared disk, until a checkpoint has shown how fast this one is


def announce_end(minutes):
    """Set the end of a job that begins now and may take ``minutes``, for a Slurm that does not tell jobs their end."""
    if "SLURM_JOB_ID" in os.environ and minutes:
        os.environ.setdefault(END, str(int(time.time() + 60 * minutes)))


class StopRequest:
    """Watches for SIGTERM, SIGUSR1, the end of the wall-clock budget (minutes since ``began``, or None) and of the job.

    After a signal there may be too little time for a large checkpoint: by default Slurm kills a job 30 s after the time
    limit's SIGTERM. So the training leaves by itself before that limit, with time for two checkpoints.
    """

    def __init__(self, minutes, began):
        now = time.monotonic()
        self.ends = {}  # reason to leave -> monotonic time
        if minutes:
            self.ends["the wall-clock budget is spent"] = began + 60 * minutes
        if "SLURM_JOB_ID" in os.environ and os.environ.get(END, "").isdecimal():
            left = int(os.environ[END]) - time.time()
            self.ends["the time limit of the Slurm job is near"] = now + left - min(MARGIN_S, max(left, 0) / 10)
        self.save_seconds, self.timed, self.reason = 0.0, False, None

    def __enter__(self):
        # Only a program's main thread may watch signals; other threads watch only the ends.
        watched = threading.current_thread() is threading.main_thread()
        numbers = (signal.SIGTERM, signal.SIGUSR1) if watched else ()
        self.before = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def __exit__(self, *error):
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _note(self, number, frame):
        self.reason = signal.Signals(number).name

    def expect_save(self, size):
        """Assume checkpoints of ``size`` bytes, until one has been timed."""
        self.save_seconds = size / WRITE_RATE

    def requested(self):
        """Whether to checkpoint and leave now: after a signal, or two checkpoints before an end."""
        now = time.monotonic()
        for reason, end in self.ends.items():
            if self.reason is None and now + 2 * self.save_seconds > end:
                self.reason = reason
        return self.reason is not None

    @contextlib.contextmanager
    def timed_save(self):
        start = time.monotonic()
        yield
        taken = time.monotonic() - start
        self.save_seconds = max(self.save_seconds, taken) if self.timed else taken
        self.timed = True
