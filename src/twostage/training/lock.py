"""One process at a time in a training's state folder; the lock of a dead process is taken over.

The operating system's file lock decides among the processes that it sees, and ends with its holder. On some file
systems it reaches only one host, so the file also says who holds it: host, process, Slurm job. A holder on another host
counts as alive as long as it keeps touching the file.
"""

import contextlib
import fcntl
import json
import os
import platform
import subprocess
import sys
import time

import psutil

POLL_S = 2  # between two looks of a process that waits
HEARTBEAT_S = 60  # how often a holder touches its lock
SILENT_S = 600  # a holder on another host that has not touched the file for this long counts as dead


class Locked(OSError):
    """Another living process holds the state folder."""


class Lock:
    """Exclusive use of a folder by ``acquire`` ... ``release``; the file is ``lock`` in it."""

    def __init__(self, folder):
        self.path = folder / "lock"
        self._file, self._touched = None, 0.0

    def acquire(self):
        """Take the lock. Raises Locked, with the name of the holder, if a living process has it."""
        while True:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = open(self.path, "a+", encoding="utf-8")  # noqa: SIM115 (open as long as the lock is held)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise self._held(_owner(file)) from None
            except OSError:
                pass  # a file system without locks: the file's content decides alone
            if _same_file(file, self.path):
                break
            file.close()  # meanwhile its holder has finished and removed the folder
        owner = _owner(file)
        if owner and _alive(owner, self._last_touch(file)):
            file.close()
            raise self._held(owner)
        self._file = file
        self._write(json.dumps(identity()))

    def wait(self, seconds):
        """Wait until no living process holds the lock, and print once who does. After ``seconds``, raise Locked."""
        deadline, told = time.monotonic() + seconds, False
        while True:
            try:
                self.acquire()
            except Locked as held:
                if time.monotonic() >= deadline:
                    raise
                if not told:
                    print(f"waiting: {held}", file=sys.stderr, flush=True)
                told = True
                time.sleep(min(POLL_S, max(0.0, deadline - time.monotonic())))
            else:
                self.release()
                return

    def touch(self):
        """Show that the holder is alive; cheap enough to be called every step."""
        now = time.monotonic()
        if now - self._touched > HEARTBEAT_S:
            self._touched = now
            with contextlib.suppress(OSError):
                os.utime(self.path)

    def release(self):
        """Give the lock up; the file stays, empty, unless its folder was removed."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._write("")
            self._file.close()
            self._file = None

    def _last_touch(self, file):
        """Time at which the holder last touched the lock. A date in the future, from a wrong clock, would never get
        old, so it is set to now; a living holder touches the file again."""
        touched, now = os.fstat(file.fileno()).st_mtime, time.time()
        if touched <= now:
            return touched
        with contextlib.suppress(OSError):
            os.utime(self.path)
        return now

    def _write(self, text):
        self._file.seek(0)
        self._file.truncate()
        self._file.write(text)
        self._file.flush()
        self._touched = time.monotonic()

    def _held(self, owner):
        who = (
            ", ".join(f"{key} {value}" for key, value in owner.items() if value not in (None, "")) or "another process"
        )
        return Locked(
            f"{self.path.parent} is in use ({who}); expected one training at a time: wait for it, or end it, or choose "
            "another output"
        )


def identity():
    """The identity of this process: host, number, start, and the Slurm job with the number of its requeues."""
    return {
        "host": platform.node(),
        "pid": os.getpid(),
        "started": _start_time(os.getpid()),
        "slurm_job": os.environ.get("SLURM_JOB_ID", ""),
        "slurm_restart": int(os.environ.get("SLURM_RESTART_COUNT") or 0),
    }


def _owner(file):
    file.seek(0)
    try:
        return dict(json.loads(file.read() or "{}"))
    except ValueError:  # torn by a crash: nobody wrote it to the end
        return {}


def _same_file(file, path):
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _alive(owner, touched):
    me = identity()
    if owner.get("host") == me["host"]:
        return owner.get("pid") not in (None, me["pid"]) and _start_time(owner["pid"]) == owner.get("started", -1)
    if me["slurm_job"] and owner.get("slurm_job") == me["slurm_job"] and me["slurm_restart"] > owner["slurm_restart"]:
        return False  # this very job before it was requeued
    if owner.get("slurm_job") and _slurm_ended(owner["slurm_job"]):
        return False
    return time.time() - touched < SILENT_S


def _start_time(pid):
    """Start of a process in hundredths of a second since boot (independent of later changes of the clock), which
    distinguishes processes that reuse a number; None if the process is gone."""
    try:
        booted, process = psutil.boot_time(), psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return round(100 * (process.create_time() - booted))
    except psutil.NoSuchProcess:
        return None


def _slurm_ended(job):
    """Whether Slurm says that the job does not run any more; False if Slurm cannot be asked."""
    try:
        answer = subprocess.run(
            ["squeue", "--noheader", "--format=%T", "--jobs", str(job)], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    if answer.returncode:
        return "Invalid job id" in answer.stderr
    return answer.stdout.strip() in ("", "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY")
