"""Adapter: the configuration as it was run, the overview, and Snakemake's own report over every figure and table."""

import subprocess
import sys
from pathlib import Path

import yaml

from twostage.job import job
from twostage.provenance import atomic_write, write_provenance
from twostage.report.pages import overview
from twostage.storage import options

with job(snakemake):
    p, out, folder = snakemake.params, snakemake.output, Path(snakemake.output.report).with_suffix("").parent
    texts = Path(p.snakefile).parent / "workflow/report"
    with atomic_write(out.config) as temporary:
        temporary.write_text(yaml.safe_dump(p.config, sort_keys=False), encoding="utf-8")
    told = {"config": p.config, "captions": texts, "benchmarks": folder / "benchmarks", "stage_of_rule": p.stages}
    overview.write(out.overview, folder, snakemake.input.claims, p.figures, **told)
    with atomic_write(out.report) as temporary:
        # Snakemake tells the format of a report by its suffix. The run that called this holds the lock.
        page, frame = temporary.with_suffix(".html"), temporary.with_suffix(".frame")
        frame.write_text(overview.frame(out.overview), encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "--snakefile",
            p.snakefile,
            "--nolock",
            "--configfile",
            out.config,
            *options(),
        ]
        command += ["--config", f"x-overview={frame}"]
        command += ["--report-stylesheet", texts / "report.css", "--report", page, "--", "claims", *p.figures]
        done = subprocess.run(command, capture_output=True, text=True)
        frame.unlink()
        print(done.stdout, done.stderr)
        if done.returncode:
            raise OSError(f"snakemake --report ended with {done.returncode}: {done.stderr.strip().splitlines()[-1]}")
        overview.mend(page)
        page.rename(temporary)
    write_provenance(out.config, config=p.config)
    write_provenance(out.report, inputs=[out.config, out.overview, snakemake.input.claims])
