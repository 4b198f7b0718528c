"""Finds out whether Snakemake's lock on a folder was left by a killed Snakemake, and removes such a lock.

Snakemake's lock is a list of files and does not say who owns it. So each run also holds a mark: one file per host with
a lock of the operating system, which ends with its holder, however that ended. A mark that nobody holds was left by a
killed run. If this cannot be decided (a run on another host, a run without a mark, a file system without locks),
Snakemake's lock stays, and its message says what to do.
"""

import atexit
import contextlib
import fcntl
import os
import platform
import shutil
from pathlib import Path

MARKS = "running"  # in Snakemake's folder, beside its `locks`


def hold_mark(folder):
    """Mark this process as a run in ``folder`` (``.snakemake``) until it ends. Before that, remove Snakemake's locks
    there if the processes that took them are dead.

    Returns True if locks were removed.
    """
    path = Path(folder).absolute() / MARKS / platform.node()
    locks = path.parents[1] / "locks"
    removed = False
    with contextlib.suppress(OSError):
        file, was_there = _open(path)
        left = was_there and any(locks.glob("*.lock"))
        if left and _alone(file, path):
            shutil.rmtree(locks)
            removed = True
        fcntl.flock(file, fcntl.LOCK_SH)
        if removed or not left:  # otherwise the mark does not belong to this run, which must not remove it
            atexit.register(_end, file, path)
        else:
            atexit.register(file.close)
    return removed


def _open(path):
    """The mark, open, and whether it was there before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        was_there = path.exists()
        file = open(path, "a", encoding="utf-8")  # noqa: SIM115 (open as long as the process lives)
        fcntl.flock(file, fcntl.LOCK_SH)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file, was_there
        file.close()  # the last run that held it ended meanwhile


def _alone(file, path):
    """Whether no other process holds this mark, and no run of another host left one."""
    if any(other != path for other in path.parent.iterdir()):
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _end(file, path):
    with contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    file.close()
