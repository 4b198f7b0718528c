"""Adapter: the configuration as it was run, and Snakemake's own report over every figure and table."""

import subprocess
import sys

import yaml

from twostage.job import job
from twostage.provenance import atomic_write

with job(snakemake):
    with atomic_write(snakemake.output.config) as temporary:
        temporary.write_text(yaml.safe_dump(snakemake.params.config, sort_keys=False))
    with atomic_write(snakemake.output.report) as temporary:
        # Snakemake tells the format of a report by its suffix. The run that called this holds the lock.
        page = temporary.with_suffix(".html")
        command = [sys.executable, "-m", "snakemake", "--snakefile", snakemake.params.snakefile, "--nolock"]
        command += ["--configfile", snakemake.output.config, "--report", str(page), "--", *snakemake.params.targets]
        done = subprocess.run(command, capture_output=True, text=True)
        print(done.stdout, done.stderr)
        if done.returncode:
            raise OSError(f"snakemake --report ended with {done.returncode}: {done.stderr.strip().splitlines()[-1]}")
        page.rename(temporary)
