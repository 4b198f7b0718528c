"""The reason that is shown is the reason, whatever else stands in a log."""

import logging
from types import SimpleNamespace

import pytest

from twostage.run_log import Told, reason, warnings

TRACEBACK = """\
Traceback (most recent call last):
  File "a.py", line 3, in <module>
    raise ValueError("no weights")
{}
"""
TORCHRUN = TRACEBACK.format("torch.distributed.elastic.multiprocessing.errors.ChildFailedError: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("error: a.png: too small\n", "a.png: too small"),
        ("step 1\nerror: a.png: too small\nnanobind: leaked 30 types\nSee https://x.org\n", "a.png: too small"),
        (TRACEBACK.format("ValueError: no weights\nin the file\nat all"), "ValueError: no weights"),
        (TRACEBACK.format("ValueError: no weights") + "error: no weights\n", "no weights"),
        (TRACEBACK.format("KeyError: 1") + "\nDuring handling ...:\n\n" + TRACEBACK.format("a.b.Odd"), "a.b.Odd"),
        ("error: the loss is nan\n" + TORCHRUN, "the loss is nan"),
        (TRACEBACK.format("RuntimeError: odd").replace("\n", "\n[rank0]: ") + "\n" + TORCHRUN, "RuntimeError: odd"),
        ("step 1\nstep 2\n", None),
        ("", None),
    ],
)
def test_the_reason_is_the_error_line_or_the_exception_of_the_traceback(tmp_path, text, said):
    (tmp_path / "log").write_text(text)
    assert reason(tmp_path / "log") == said


def test_a_log_that_is_not_there_or_not_text_says_nothing(tmp_path):
    assert reason(tmp_path / "none") is None
    assert warnings(tmp_path / "none") == []
    (tmp_path / "log").write_bytes(b"\xff\xfe\nerror: caf\xc3\xa9.png\n")
    assert reason(tmp_path / "log") == "café.png"


@pytest.fixture
def said(tmp_path):
    """A logger with the filter, what it said so far, and a function that says an event of Snakemake's."""
    logger, lines = logging.getLogger(str(tmp_path)), []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append((record.getMessage(), getattr(record, "aux", None)))
    told = Told(logger)
    logger.addHandler(handler)
    logger.addFilter(told)

    def say(event, **facts):
        logger.warning(event, extra={"event": SimpleNamespace(value=event), **facts})

    return told, lines, say


def test_a_failure_gets_its_reason_and_is_forgotten_once_a_retry_succeeds(tmp_path, said):
    told, lines, say = said
    log = tmp_path / "log"
    log.write_text("error: out of luck\n")
    job = {"jobid": 1, "rule_name": "encode", "log": ["no/such", str(log)], "shellcmd": None, "indent": False}
    say("job_info", **job)
    say("job_error", **job, aux={"external_jobid": 7})
    assert lines[-1][1] == {"external_jobid": 7, "error": f"out of luck (log: {log})"}
    assert told.failed == {1: f"error: out of luck (encode; log: {log})"}
    say("job_info", **job)
    assert told.failed == {}


def test_a_job_that_names_no_reason_is_shown_by_its_last_words_except_in_a_group(tmp_path, said):
    told, _, say = said
    for number, text in enumerate(["", "step 1\n\n"]):
        log = tmp_path / f"log-{number}"
        log.write_text(text)
        for group in (True, False):
            say("job_error", jobid=2 * number + group, rule_name="train", log=[str(log)], indent=group, aux={})
    assert list(told.failed.values()) == [
        f"error: its log is empty; killed, perhaps, for its memory or its time (train; log: {tmp_path}/log-0)",
        f"error: its log ends with: step 1 (train; log: {tmp_path}/log-1)",
    ]


def test_a_log_in_a_storage_is_read_where_its_copy_is(tmp_path, said):
    told, _, say = said
    (tmp_path / "copy").write_text("error: out of luck\n")
    told.place = lambda log: str(tmp_path / log.removeprefix("s3://"))
    for number, name in enumerate(["s3://copy", "s3://none"]):
        say("job_error", jobid=number, rule_name="encode", log=[name], indent=False, aux={})
    assert list(told.failed.values()) == [
        "error: out of luck (encode; log: s3://copy)",
        "error: its log is not on this machine (encode; log: s3://none)",
    ]


def test_warnings_are_shown_once(tmp_path, said):
    told, lines, say = said
    log = tmp_path / "log"
    log.write_text("1 of 9\nwarning: one is a copy\n")
    for command in (None, "python > log; grep '^warning: ' log >&2"):
        say("job_info", jobid=1, log=[str(log)], shellcmd=command)
        say("job_finished", job_id=1)
    assert [line for line, _ in lines].count("warning: one is a copy") == 1
    told.logger.warning("warning: train_S: two are")
    log.write_text("warning: two are\nwarning: three are\n")
    for _ in range(2):  # a retry
        say("job_info", jobid=1, log=[str(log)], shellcmd=None)
        say("job_finished", job_id=1)
    assert [line for line, _ in lines if line.startswith("w")][1:] == [
        "warning: train_S: two are",
        "warning: three are",
    ]
