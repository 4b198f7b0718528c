"""The state folder: checkpoints that survive damage and full disks, the lock, publishing and removal."""

import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time

import pytest
import torch

from twostage.training import lock as lock_module
from twostage.training.lock import Lock, Locked
from twostage.training.state import StateFolder


def tensors(value=0.0, size=300):
    return {"model.a": torch.full((size,), value), "ema.a": torch.arange(4.0)[:, None] + value}


@pytest.fixture
def state(tmp_path):
    state = StateFolder(tmp_path)
    state.acquire()
    yield state
    state.lock.release()


def checkpoints(state):
    return sorted(path.name for path in state.folder.iterdir() if "checkpoint" in path.name)


def same(found, step, value):
    return found[0] == step and all(torch.equal(found[1][name], tensor) for name, tensor in tensors(value).items())


# ------------------------------------------------------------------------------------------------------ checkpoints


def test_newest_checkpoint_comes_back_and_two_are_kept(state):
    assert state.newest() is None
    for step in (3, 6, 9):
        state.save(step, tensors(step))
    assert checkpoints(state) == ["checkpoint-0000006.safetensors", "checkpoint-0000009.safetensors"]
    assert same(state.newest(), 9, 9)
    assert same(state.load(6), 6, 6)


def test_checkpoints_count_by_number_however_long_it_is(state):
    for step in (9_999_990, 10_000_000, 10_000_010):
        state.save(step, tensors(step))
    assert checkpoints(state) == ["checkpoint-10000000.safetensors", "checkpoint-10000010.safetensors"]
    assert state.newest()[0] == 10_000_010


@pytest.mark.parametrize("damage", ["truncate", "empty", "flip a bit", "text"])
def test_damaged_newest_checkpoint_falls_back_to_the_one_before_and_says_so(state, capsys, damage):
    state.save(3, tensors(3))
    state.save(6, tensors(6))
    path = state.folder / "checkpoint-0000006.safetensors"
    content = bytearray(path.read_bytes())
    if damage == "flip a bit":
        content[-7] ^= 1
    path.write_bytes({"truncate": content[:-9], "empty": b"", "text": b"not a checkpoint" * 9}.get(damage, content))
    assert same(state.newest(), 3, 3)
    said = capsys.readouterr().err
    assert "checkpoint-0000006.safetensors is damaged" in said
    assert "falling back to the one before" in said


def test_full_disk_is_told_and_leaves_the_older_checkpoint(state):
    state.save(3, tensors(3))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match=r"checkpoint of step 3 is intact. Make room, then run the same command"):
            state.save(6, tensors(6, size=100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert checkpoints(state) == ["checkpoint-0000003.safetensors"]
    assert same(state.newest(), 3, 3)


def test_half_written_files_of_a_killed_process_are_swept_up(tmp_path):
    leftovers = [tmp_path / "state" / ".checkpoint-0000003.safetensors.99.tmp", tmp_path / ".step-1.99.tmp"]
    leftovers.append(tmp_path / "state" / ".tmpPI8nDj")  # safetensors' own
    for path in leftovers:
        path.parent.mkdir(exist_ok=True)
        path.write_text("half")
    StateFolder(tmp_path).acquire()
    assert not any(path.exists() for path in leftovers)


# ------------------------------------------------------------------------------------------------ claims and outputs


def test_another_trainings_folder_is_refused_with_the_differences(state):
    mine = {"recipe": {"lr": 0.1, "steps": 5}, "seed": 0}
    state.claim(mine)
    state.claim(mine)
    with pytest.raises(ValueError, match=r"recipe.lr is 0.1 there and 0.2 here; seed is 0 there and 1 here") as caught:
        state.claim({"recipe": {"lr": 0.2, "steps": 5}, "seed": 1})
    assert "steps" not in str(caught.value)


def test_published_outputs_follow_their_source_and_outlive_the_folder(tmp_path, state):
    state.path("stats.jsonl").write_text("1\n")
    state.publish("stats.jsonl")
    with open(state.path("stats.jsonl"), "a") as stream:
        stream.write("2\n")
    assert (tmp_path / "stats.jsonl").read_text() == "1\n2\n"
    (tmp_path / "stats.jsonl").unlink()  # as a workflow manager does to a failed job's outputs
    state.publish("stats.jsonl")
    state.publish("stats.jsonl")
    state.finish()
    shutil.rmtree(state.folder)
    assert (tmp_path / "stats.jsonl").read_text() == "1\n2\n"


def test_publishing_copies_where_there_are_no_links(tmp_path, state, monkeypatch):
    def refuse(*arguments):
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    state.path("a").write_text("text")
    state.publish("a")
    assert (tmp_path / "a").read_text() == "text"
    state.finish()
    assert not state.path("a").exists()
    assert (tmp_path / "a").read_text() == "text"


# ------------------------------------------------------------------------------------------------------------- lock


def owner(**changes):
    facts = {"host": lock_module.identity()["host"], "pid": os.getpid(), "slurm_job": "", "slurm_restart": 0}
    facts["started"] = lock_module._start_time(os.getpid())
    return {**facts, **changes}


def write_owner(folder, seconds_ago=0, **changes):
    path = folder / "lock"
    path.write_text(json.dumps(owner(**changes)))
    os.utime(path, (time.time() - seconds_ago,) * 2)


def test_folder_held_by_a_living_process_is_refused_naming_it(tmp_path):
    script = (
        "import sys, pathlib; from twostage.training.lock import Lock;"
        "Lock(pathlib.Path(sys.argv[1])).acquire(); print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Locked, match=f"in use.*pid {holder.pid}"):
            Lock(tmp_path).acquire()
        holder.kill()
        holder.wait()
    mine = Lock(tmp_path)
    mine.acquire()  # the dead one's lock is taken over
    mine.release()
    Lock(tmp_path).acquire()


def test_lock_of_a_process_whose_number_was_reused_is_stale(tmp_path):
    write_owner(tmp_path, pid=1, started=-5)
    Lock(tmp_path).acquire()


@pytest.mark.parametrize(
    ("facts", "alive"),
    [
        ({"seconds_ago": 5}, True),
        ({"seconds_ago": lock_module.SILENT_S + 5}, False),
        ({"slurm_job": "77", "slurm_restart": 0}, False),  # this job, before it was requeued
        ({"slurm_job": "77", "slurm_restart": 1}, True),
        ({"slurm_job": "78"}, True),
        ({"slurm_job": "79"}, False),  # Slurm does not know it any more
    ],
)
def test_holder_on_another_host_is_judged_by_slurm_and_by_its_silence(tmp_path, monkeypatch, facts, alive):
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    monkeypatch.setattr(lock_module, "_slurm_ended", lambda job: job == "79")
    write_owner(tmp_path, **{"host": "elsewhere", **facts})
    if alive:
        with pytest.raises(Locked, match="host elsewhere"):
            Lock(tmp_path).acquire()
    else:
        Lock(tmp_path).acquire()


def test_a_waiting_process_goes_on_when_the_holder_ends(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(lock_module, "POLL_S", 0.05)
    holder = Lock(tmp_path)
    holder.acquire()
    with pytest.raises(Locked, match="is in use"):
        Lock(tmp_path).wait(0.1)
    ending = threading.Timer(0.3, holder.release)
    ending.start()
    Lock(tmp_path).wait(60)
    ending.join()
    assert capsys.readouterr().err.count("waiting: ") == 2
    Lock(tmp_path).acquire()


def test_a_lock_dated_in_the_future_ages(tmp_path, monkeypatch):
    write_owner(tmp_path, seconds_ago=-7200, host="elsewhere")
    with pytest.raises(Locked, match="host elsewhere"):
        Lock(tmp_path).acquire()
    now = time.time()
    assert (tmp_path / "lock").stat().st_mtime <= now  # from here on it ages
    monkeypatch.setattr(time, "time", lambda: now + lock_module.SILENT_S + 1)
    Lock(tmp_path).acquire()


def test_torn_lock_file_holds_nobody_off(tmp_path):
    (tmp_path / "lock").write_text('{"host": "els')
    Lock(tmp_path).acquire()


def test_a_living_holder_keeps_touching_its_lock(tmp_path):
    lock = Lock(tmp_path)
    lock.acquire()
    os.utime(lock.path, (0, 0))
    lock.touch()
    assert lock.path.stat().st_mtime == 0  # not at every step
    lock._touched -= lock_module.HEARTBEAT_S + 1
    lock.touch()
    assert time.time() - lock.path.stat().st_mtime < 60
