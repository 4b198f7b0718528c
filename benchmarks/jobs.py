"""What starting a job costs, here and on a Slurm of its own on this machine, in seconds per job.

    python benchmarks/jobs.py [--jobs 8]

A workflow of so many jobs that do nothing, one after the other: each a shell command, a script without imports, one
that imports what figures need, one that imports torch. Snakemake's own start, the same for one job and for many, apart.
On Slurm (where munge, slurmctld and slurmd are installed): as many jobs apart, and as one group.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests/workflow"))

import cluster  # noqa: E402

WORKFLOW = """\
rule all:
    input:
        expand("done/{number}", number=range(config["jobs"])),

rule one:
    output:
        touch("done/{number}"),
    group:
        "all"
    resources:
        mem_mb=100,
        runtime=5,
    {body}
"""
BODIES = {
    "a shell command": 'shell: "true"',
    "a script": 'script: "empty.py"',
    "a script with matplotlib and pandas": 'script: "drawing.py"',
    "a script with torch": 'script: "learning.py"',
}
SCRIPTS = {"empty.py": "", "drawing.py": "import matplotlib.pyplot, pandas", "learning.py": "import torch"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=8)
    jobs = parser.parse_args().jobs
    print("on this machine, one after the other")
    for name, body in BODIES.items():
        first, all_of_them = run(body, 1), run(body, jobs)
        print(f"  {name:40s} {(all_of_them - first) / (jobs - 1):6.2f} s a job, {first:5.2f} s for a run of one")
    if reason := cluster.missing():
        print(f"Slurm: {reason}")
        return
    with cluster.Cluster.start() as slurm:
        print(f"on Slurm, {jobs} jobs side by side; status looked at every 10 s or more")
        profile = ["--profile", str(ROOT / "workflow/profiles/slurm"), "--default-resources", "slurm_partition=main"]
        for name, options in (("apart", ["--groups", "one="]), ("as one group", ["--group-components", f"all={jobs}"])):
            seconds = run(BODIES["a shell command"], jobs, *profile, *options, environment=slurm.environment)
            print(f"  {name:40s} {seconds:6.1f} s for all")


def run(body, jobs, *options, environment=None):
    """Seconds that a run of so many jobs takes."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "Snakefile").write_text(WORKFLOW.replace("{body}", body))
        for name, text in SCRIPTS.items():
            Path(folder, name).write_text(text)
        command = [sys.executable, "-m", "snakemake", "--config", f"jobs={jobs}", *(options or ["--cores", "1"])]
        start = time.perf_counter()
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        return time.perf_counter() - start


if __name__ == "__main__":
    main()
