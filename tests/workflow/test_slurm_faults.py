"""What happens to a training on a cluster happens to it here, on a real Slurm; it ends as if nothing had.

Faults run side by side, each in a checkout and a partition of its own: a fault is mostly waiting. A training is
frozen (SIGSTOP) once its first checkpoint is there, so that it is hit in the middle whatever the machine's speed.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from conftest import Checkout
from safetensors.torch import load_file
from torch.testing import assert_close

from twostage.provenance import provenance_path, sha256

CONFIG = "tests/workflow/faults.yaml"
CHECKPOINT_EVERY = yaml.safe_load((Path(__file__).parent / "faults.yaml").read_text())["training"]["checkpoint_every"]
PATIENCE = 1500  # seconds; for a slow machine that does much else besides
SIDE_BY_SIDE = 6  # more only keep each other from starting


class Run:
    """One ``snakemake --profile slurm`` in a checkout of its own."""

    def __init__(self, cluster, folder, partition):
        self.cluster, self.folder, self.partition = cluster, folder, partition
        self.training = folder / "results/faults/training/pixel"
        self.output = folder / "snakemake.log"
        self.process = None

    def start(self, *arguments, models=("S",)):
        command = [sys.executable, "-m", "snakemake", "--profile", "slurm", "--configfile", CONFIG]
        command += ["--slurm-init-seconds-before-status-checks", "1"]
        command += ["--default-resources", f"slurm_partition={self.partition}", *arguments]
        targets = [f"results/faults/training/pixel/{model}/stats.jsonl" for model in models]
        with open(self.output, "a") as output:
            self.process = subprocess.Popen(
                [*command, "--", *targets],
                cwd=self.folder,
                env=self.cluster.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return self

    def events(self, event=None, model="S"):
        path = self.training / model / "state/events.jsonl"
        found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [entry for entry in found if event in (None, entry["event"])]

    def freeze(self):
        """Stop the training in its tracks after a checkpoint: its first process, and its Slurm job."""
        state = self.training / "S/state"
        self.wait_for(lambda: list(state.glob("checkpoint-*")), "a checkpoint")
        start = self.events("start")[-1]
        os.kill(start["pid"], signal.SIGSTOP)
        assert not self.events("finish"), "the training was over before it could be hit"
        return start["pid"], start["slurm_job"]

    def thaw(self, pid):
        """Let a frozen training go on, unless Slurm has ended it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def wait_for(self, condition, what):
        """Wait for something that happens while Snakemake runs, or after its end if that was one by force."""
        deadline = time.monotonic() + PATIENCE
        while not (found := condition()):
            over = self.process.poll() is not None and self.process.returncode != -signal.SIGKILL
            assert not over, f"Snakemake ended before {what}\n{self.report()}"
            assert time.monotonic() < deadline, f"waited {PATIENCE} s for {what}\n{self.report()}"
            time.sleep(0.02)
        return found

    def said(self, text):
        """Whether the training's own log says so."""
        log = self.folder / "results/faults/logs/train/pixel/S.log"
        return log.exists() and text in log.read_text()

    def finish(self):
        """Wait for Snakemake to end, which it has to do well."""
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            code = "no end"
        assert code == 0, f"snakemake: {code}\n{self.report()}"
        return self

    def report(self):
        said = self.output.read_text()[-6000:] if self.output.exists() else ""
        return f"{said}\n{self.events()}"

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()


def undisturbed(run):
    run.start("--set-resources", "train_S:gpu=1").finish()


def scancel(run):
    run.start()
    _, job = run.freeze()
    run.cluster.run("scancel", job)
    run.finish()
    assert [event["reason"] for event in run.events("leave")] == ["SIGTERM"]


def killed(run):
    """As by the kernel when memory is short: no time for a checkpoint."""
    run.start()
    pid, _ = run.freeze()
    os.kill(pid, signal.SIGKILL)
    run.finish()
    assert not run.events("leave")


def time_limit(run):
    """Its one retry is the estimate's, by which the training needs three jobs of the longest kind."""
    jobs = "jobs={longest: 16, training: {runtime: auto}}"
    run.start("--retries", "0", "--config", jobs, "estimate={cpu_gflops: 0.0006}")
    pid, job = run.freeze()
    assert run.cluster.job(job)["TimeLimit"] == "00:16:00"
    soon = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() + 1))
    run.cluster.run("scontrol", "update", f"JobId={job}", f"EndTime={soon}")
    run.wait_for(lambda: run.cluster.job(job)["JobState"] != "RUNNING", "the limit to be enforced")
    assert run.cluster.job(job)["JobState"] in ("TIMEOUT", "COMPLETING")
    run.thaw(pid)
    run.finish()
    assert "train_S, pixel: 0.5 hours by the estimate, in up to 3 jobs of 16 minutes" in run.output.read_text()


def preemption(run):
    run.start()
    pid, job = run.freeze()
    run.cluster.run("sbatch", "--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap", "sleep 3")
    run.wait_for(lambda: run.cluster.job(job)["JobState"] != "RUNNING", "the preemption")
    run.thaw(pid)
    run.finish()
    assert run.cluster.job(job)["Restarts"] == "1"
    assert {event["slurm_job"] for event in run.events()} == {job}


def slurmd_killed(run):
    """The node is lost to Slurm, the training on it is not: the job begins anew on another node and has to wait."""
    run.start()
    pid, job = run.freeze()
    run.cluster.kill_slurmd("fragile1")
    run.wait_for(lambda: run.said("waiting: "), "the second copy to find the folder in use")
    assert run.cluster.job(job)["NodeList"] == "fragile2"
    assert len(run.events("start")) == 1
    assert Path(f"/proc/{pid}").exists()
    run.cluster.start_slurmd("fragile1")  # which ends what should not run there
    run.finish()


def snakemake_killed(run):
    """Snakemake, started again, starts a second copy of the job that still runs."""
    run.start()
    pid, _ = run.freeze()
    run.process.kill()
    run.process.wait()
    run.start()
    run.wait_for(lambda: run.said("waiting: "), "the second copy to find the folder in use")
    assert len(run.events("start")) == 1
    run.thaw(pid)
    run.finish()
    assert len(run.events("start")) == 1


def snakemake_killed_for_long(run):
    """The job ended well before Snakemake was started again, and its outputs still count as unfinished."""
    run.start()
    pid, job = run.freeze()
    run.process.kill()
    run.process.wait()
    run.thaw(pid)
    run.wait_for(lambda: run.cluster.job(job)["JobState"] == "COMPLETED", "the job to end")
    run.start("--unlock").finish()
    run.start().finish()
    assert len(run.events("start")) == 1


def drained(run):
    run.start("--jobs", "1", models=("S", "B"))
    pid, _ = run.freeze()
    run.cluster.run("scontrol", "update", "NodeName=drained1", "State=DRAIN", "Reason=test")
    run.thaw(pid)
    pending = ("squeue", "--noheader", "--partition=drained", "--states=PENDING", "--format=%i")
    run.wait_for(lambda: run.cluster.run(*pending), "the second training to be submitted")
    assert not run.events("start", model="B")
    run.cluster.run("scontrol", "update", "NodeName=drained1", "State=RESUME")
    run.finish()
    assert len(run.events("start")) == len(run.events("start", model="B")) == 1


def two_gpus(run):
    run.start("--set-resources", "train_S:gpu=2", "train_S:processes=2").finish()


def two_nodes(run):
    run.start("--config", "jobs={training: {nodes: 2}}").finish()


PARTITIONS = {
    undisturbed: "main",
    scancel: "main",
    killed: "main",
    time_limit: "main",
    preemption: "low",
    slurmd_killed: "fragile",
    snakemake_killed: "main",
    snakemake_killed_for_long: "main",
    drained: "drained",
    two_gpus: "main",
    two_nodes: "pair",
}
FAULTS = [fault for fault in PARTITIONS if fault not in (undisturbed, two_gpus, two_nodes)]


@pytest.fixture(scope="module")
def outcomes(cluster, request, tmp_path_factory):
    """{fault: its run, over}, of those that are asked for; a fault that went wrong raises when it is looked at."""
    asked = {item.callspec.params["fault"] for item in request.session.items if _of_here(item)}
    wanted = [fault for fault in PARTITIONS if fault in asked | {undisturbed}]
    prepared = Checkout(tmp_path_factory.mktemp("prepared"))
    prepared.snakemake("--", "results/faults/data/pixel/latents.h5", configfile=CONFIG)
    runs = {}
    for fault in wanted:
        folder = tmp_path_factory.mktemp(fault.__name__) / "checkout"
        shutil.copytree(prepared.folder, folder, symlinks=True)
        runs[fault] = Run(cluster, folder, PARTITIONS[fault])
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        futures = {fault: pool.submit(fault, run) for fault, run in runs.items()}
        try:
            for future in futures.values():
                future.exception()
        finally:
            for run in runs.values():
                run.stop()

    def outcome(fault):
        futures[fault].result()
        return runs[fault]

    return outcome


def _of_here(item):
    return item.module is sys.modules[__name__] and hasattr(item, "callspec")


def losses(run):
    """{(step before, step): means over the steps between} of a training's statistics."""
    lines = [json.loads(line) for line in (run.training / "S/stats.jsonl").read_text().splitlines()]
    steps = [0, *(line["step"] for line in lines)]
    return {window: (line["loss"], line["grad_norm"]) for window, line in zip(pairwise(steps), lines)}


def snapshots(run):
    return sorted((run.training / "S").glob("step-*.safetensors"))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_the_training_ends_as_if_nothing_had_happened(outcomes, fault):
    run, reference = outcomes(fault), outcomes(undisturbed)
    assert [path.name for path in snapshots(run)] == [path.name for path in snapshots(reference)]
    for ours, theirs in zip(snapshots(run), snapshots(reference)):
        assert ours.read_bytes() == theirs.read_bytes(), ours
    # A training that left in an orderly way wrote a line then, which cuts a mean over steps in two.
    theirs = losses(reference)
    shared = {window: values for window, values in losses(run).items() if window in theirs}
    assert len(shared) >= len(theirs) - len(run.events("leave"))
    assert shared == {window: theirs[window] for window in shared}

    starts = run.events("start")
    assert all(event["repeated"] <= CHECKPOINT_EVERY for event in starts)
    left = [event["step"] for event in run.events("leave")]
    assert all(event["step"] in left or event["step"] % CHECKPOINT_EVERY == 0 for event in starts)
    for artefact in (*snapshots(run), run.training / "S/stats.jsonl"):
        assert json.loads(provenance_path(artefact).read_text())["sha256"] == sha256(artefact)
    assert not list(run.training.rglob("*.tmp"))
    assert not list(run.training.rglob("checkpoint-*"))


def test_a_gpu_job_sees_its_gpu_and_runs_one_process(outcomes):
    (start,) = outcomes(undisturbed).events("start")
    assert start["gpus"] in ("0", "1")
    assert start["processes"] == 1


@pytest.mark.parametrize("fault", [two_gpus, two_nodes], ids=lambda fault: fault.__name__)
def test_two_processes_in_one_allocation_train_as_one_does(outcomes, fault):
    run, reference = outcomes(fault), outcomes(undisturbed)
    (start,) = run.events("start")
    assert start["processes"] == 2
    assert start["gpus"] == ("0,1" if fault is two_gpus else None)
    if fault is two_nodes:
        assert run.cluster.job(start["slurm_job"])["NodeList"] == "pair[1-2]"
    assert list(losses(run)) == list(losses(reference))
    first, last = min(losses(run)), max(losses(run))
    assert losses(run)[first] == pytest.approx(losses(reference)[first], rel=1e-5)
    assert losses(run)[last] == pytest.approx(losses(reference)[last], rel=1e-2)
    for ours, theirs in zip(snapshots(run), snapshots(reference)):
        assert_close(load_file(ours), load_file(theirs), rtol=1e-2, atol=1e-3)
