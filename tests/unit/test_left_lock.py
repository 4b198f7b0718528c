"""Snakemake's lock is removed only where those who may have taken it are known to be dead."""

import subprocess
import sys

import pytest

from twostage.left_lock import hold_mark

HOLD = "import sys; from twostage.left_lock import hold_mark; print(hold_mark(sys.argv[1]), flush=True); input()"


@pytest.fixture
def folder(tmp_path):
    """Snakemake's folder, with a lock in it."""
    lock(tmp_path)
    return tmp_path


def lock(folder):
    (folder / "locks").mkdir(exist_ok=True)
    (folder / "locks/0.output.lock").write_text("results/x\n")


def start(folder):
    """A process that holds the mark, and what ``hold_mark`` told it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    return process, process.stdout.readline().strip() == "True"


def end(process, killed=False):
    if killed:
        process.kill()
    process.communicate("\n")


def test_a_killed_runs_lock_is_removed(folder):
    process, removed = start(folder)
    assert not removed  # it cannot know whose the lock is
    end(process, killed=True)
    process, removed = start(folder)
    assert removed
    assert not (folder / "locks").exists()
    end(process)
    assert not list((folder / "running").iterdir())


def test_a_lock_stays_while_a_run_lives_and_where_no_run_left_a_mark(folder):
    first, _ = start(folder)
    second, removed = start(folder)
    assert not removed
    end(second)
    end(first)
    assert (folder / "locks").exists()
    third, removed = start(folder)  # the mark went with its run: this lock is somebody else's
    assert not removed
    end(third)


def test_a_lock_stays_where_another_host_left_a_mark(folder):
    first, _ = start(folder)
    end(first, killed=True)
    (folder / "running/elsewhere").touch()
    for _ in range(2):
        process, removed = start(folder)
        assert not removed
        end(process)
    (folder / "running/elsewhere").unlink()
    process, removed = start(folder)
    assert removed
    end(process)


def test_a_file_system_without_locks_changes_nothing(folder, monkeypatch):
    def refuse(*_):
        raise OSError("no locks")

    monkeypatch.setattr("fcntl.flock", refuse)
    assert hold_mark(folder) is False
    assert (folder / "locks").exists()
