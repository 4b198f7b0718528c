"""Shows on the terminal why a job failed and what it warned of, from the job's log.

Every rule sends the output of its job to a log. ``Told`` listens to Snakemake's own messages and adds to them what the
logs say, on whatever machine a job ran.
"""

import logging
import re
from pathlib import Path

TRACEBACK = re.compile(r"Traceback \(most recent call last\):$")
RAISED = re.compile(r"[A-Za-z_][\w.]*(:|$)")  # the line of a traceback that names the exception
PREFIX = re.compile(r"^\[rank\d+\]: ?")  # what torch puts before each line of a traceback
OF_TORCHRUN = "torch.distributed.elastic."  # torchrun only says that a process failed; the process itself says why


def reason(log):
    """The reason why a job failed, in one line; None if its log does not say.

    It is the log's last line that begins with ``error: ``, or otherwise the exception of its last traceback.
    """
    lines = _lines(log)
    named = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return next(reversed(named or _raised(lines)), None)


def last_words(log):
    """A sentence about a log that names no reason."""
    if not Path(log).exists():
        return "its log is not on this machine"
    last = next(filter(None, reversed(_lines(log))), None)
    return f"its log ends with: {last}" if last else "its log is empty; killed, perhaps, for its memory or its time"


def warnings(log):
    """The warnings of a job: list of the log's lines that begin with ``warning: ``."""
    return [line for line in _lines(log) if line.startswith("warning: ")]


def _lines(log):
    try:
        text = Path(log).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [PREFIX.sub("", line).rstrip() for line in text.splitlines()]


def _raised(lines):
    """The exceptions of all tracebacks, in order."""
    found, inside = [], False
    for line in lines:
        if TRACEBACK.match(line):
            inside = True
        elif inside and line and not line.startswith(" "):
            inside = False
            if RAISED.match(line) and not line.startswith(OF_TORCHRUN):
                found.append(line)
    return found


class Told(logging.Filter):
    """A filter that lets all of Snakemake's messages pass, and adds what a job's log says.

    ``failed`` is {number of the job: the reason, the rule and the path of the log, in one line} for jobs that failed
    and did not succeed in a later attempt. place: function of a log's name in Snakemake's message: its path.
    """

    def __init__(self, logger, place=str):
        super().__init__()
        self.logger, self.place, self.failed, self._started, self._warned = logger, place, {}, {}, []

    def filter(self, record):
        event = getattr(getattr(record, "event", None), "value", None)
        if event == "job_info":
            self.failed.pop(record.jobid, None)
            self._started[record.jobid] = record
        elif event == "job_finished":
            self._warn(self._started.pop(record.job_id, None))
        elif event == "job_error":
            self._fail(record)
        elif str(record.msg).startswith("warning: "):
            self._warned.append(record.msg)
        return True

    def _fail(self, record):
        why, log = next(((why, log) for log in record.log if (why := reason(self.place(log)))), (None, None))
        if why is None:
            if record.indent or not record.log:  # one of a group of jobs, and not the one that failed
                return
            log = record.log[0]
            why = last_words(self.place(log))
        record.aux = {**record.aux, "error": f"{why} (log: {log})"}
        self.failed[record.jobid] = f"error: {why} ({record.rule_name}; log: {log})"

    def _warn(self, started):
        # Some commands show their warnings themselves; their text stays, because a change would encode and train again.
        if started is not None and "'^warning: '" not in (started.shellcmd or ""):
            for line in (line for log in started.log for line in warnings(self.place(log))):
                # Some warnings were already shown before the first job started.
                if not any(line.removeprefix("warning: ") in said for said in self._warned):
                    self.logger.warning(line)
