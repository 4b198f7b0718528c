"""After a crash the same command goes on, in a checkout whose path has characters that shells take for their own."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
import yaml
from conftest import Checkout

CONFIG = {
    "run": "crash",
    "data": {"name": "digits", "image_size": 8, "held_out": 0.5},
    "spaces": {"pixel": {"encoder": {"kind": "identity"}}},
    "models": {"S": {"hidden_size": 8, "depth": 1, "num_heads": 1}},
    "training": {"steps": 1},
}
LATENTS = "results/crash/data/pixel/latents.h5"
RUN = (sys.executable, "-m", "snakemake", "--cores", "1", "--configfile", "crash.yaml")


@pytest.fixture
def folder(tmp_path):
    checkout = Checkout(tmp_path / 'it\'s (my) "check out"')
    (checkout.folder / "crash.yaml").write_text(yaml.safe_dump(CONFIG))
    return checkout.folder


def run(folder, *arguments, target=LATENTS):
    """Run Snakemake to its end: its exit code and what it said."""
    done = subprocess.run([*RUN, *arguments, "--", target], cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def wait_for(condition):
    deadline = time.monotonic() + 600
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def jobs_of(process):
    """The command lines of the processes that a process has started."""
    try:
        return [" ".join(child.cmdline()) for child in psutil.Process(process.pid).children(recursive=True)]
    except psutil.NoSuchProcess:  # one that ended while it was read
        return []


def test_a_run_that_was_killed_goes_on_and_one_that_lives_is_left_alone(folder):
    killed = subprocess.Popen(
        [*RUN, "--", LATENTS], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    # The job itself must have begun: its output is called incomplete before that.
    wait_for(lambda: any("-m twostage.data" in job for job in jobs_of(killed)) or (folder / LATENTS).exists())
    os.kill(killed.pid, signal.SIGSTOP)  # alive, whatever it does
    code, said = run(folder)
    assert code != 0
    assert "LockException" in said
    killed.kill()
    killed.wait()
    assert list((folder / ".snakemake/locks").iterdir())
    wait_for((folder / LATENTS).exists)  # its job goes on alone, and what that writes counts as unfinished
    before = (folder / LATENTS).stat().st_mtime_ns

    code, said = run(folder)
    assert code == 0, said
    assert "The last run here was killed: its lock is removed." in said
    assert (folder / LATENTS).stat().st_mtime_ns > before
    code, said = run(folder)
    assert code == 0, said
    assert "Nothing to be done" in said
    assert not list((folder / ".snakemake/running").iterdir())


def test_a_run_in_a_folder_of_its_own(folder, tmp_path):
    place = tmp_path / "a run's (folder)"
    place.mkdir()
    where = ("--snakefile", folder / "Snakefile", "--directory", place)
    code, said = run(folder, *where, "--configfile", folder / "tests/workflow/smoke.yaml", target="fig3")
    assert code == 0, said
    assert (place / "results/smoke/report/fig3.png").exists()
    assert not (folder / "results").exists()
    # Without a configuration of its own it is the checkout's.
    said = subprocess.run([*RUN[:-2], *where, "--dry-run", "fig3"], cwd=place, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert "results/digits/report/fig3.png" in said.stdout + said.stderr
