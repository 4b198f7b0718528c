"""Nodes without a shared file system, for Snakemake's executor ``cluster-generic``: each job has an empty folder.

    python nodes.py FOLDER submit JOBSCRIPT

prints the name of a file that says how the job is: running, success or failed. A job knows neither the environment of
its Snakemake nor the folder in which that runs. Its own folder is gone when it ends. The first training is killed as
soon as it has written a checkpoint below FOLDER/volume.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def submit(nodes, script):
    job = Path(tempfile.mkdtemp(dir=nodes))
    shutil.copy(script, job / "script")
    (job / "status").write_text("running")
    command = [sys.executable, __file__, nodes, "run", job]
    subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(job / "status")


def run(nodes, job):
    job, killed = Path(job), Path(nodes) / "killed"
    (job / "work").mkdir()
    environment = {key: os.environ[key] for key in ("PATH", "HOME", "OMP_NUM_THREADS") if key in os.environ}
    kept = {"cwd": job / "work", "env": environment, "stderr": subprocess.STDOUT, "start_new_session": True}
    with open(job / "log", "wb") as log:
        process = subprocess.Popen(["bash", job / "script"], stdout=log, **kept)
        doomed = "train_" in (job / "script").read_text() and not killed.exists()
        while process.poll() is None:
            if doomed and list((Path(nodes) / "volume").rglob("checkpoint-*.safetensors")):
                killed.touch()
                os.killpg(process.pid, signal.SIGKILL)
                doomed = False
            time.sleep(0.005 if doomed else 0.2)
    shutil.rmtree(job / "work")
    (job / "ended").write_text("success" if process.returncode == 0 else "failed")
    os.replace(job / "ended", job / "status")


if __name__ == "__main__":
    {"submit": submit, "run": run}[sys.argv[2]](sys.argv[1], sys.argv[3])
