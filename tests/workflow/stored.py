"""Runs whose files lie in a storage, a folder by the plugin fs, and what their results have in common with others."""

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

needs_plugin = pytest.mark.skipif(
    not (shutil.which("rsync") and find_spec("snakemake_storage_plugin_fs")),
    reason="there is no rsync, or no snakemake-storage-plugin-fs",
)

SOURCE = str(Path(__file__).parents[2] / "src")
# Keys whose values are times, and files with times in them; their digests differ with them.
TIMES = ("created", "seconds", "samples_per_second", "oracle_seconds")
TIMED = ("stats.jsonl", "fig_training.csv", "fig_training.pdf", "fig_training.png", "report.html", "overview.html")


def stored_in(prefix):
    """Options of Snakemake."""
    return ["--default-storage-provider", "fs", "--default-storage-prefix", str(prefix), "--shared-fs-usage", "none"]


def results(run):
    """{name: content} of the files of a run's folder, without times, logs, benchmarks and states of trainings."""
    names = {path: str(path.relative_to(run)) for path in sorted(run.rglob("*")) if path.is_file()}
    apart = ("logs/", "benchmarks/")
    return {
        name: _content(path) for path, name in names.items() if not name.startswith(apart) and "/state/" not in name
    }


def _content(path):
    if path.name == "stats.jsonl":
        return [_timeless(json.loads(line)) for line in path.read_text().splitlines()]
    if path.name in TIMED:
        return None
    if not path.name.endswith(".provenance.json"):
        return path.read_bytes()
    content = _timeless(json.loads(path.read_text()))
    for digests, name in [(content, "sha256"), *((content["inputs"], name) for name in content["inputs"])]:
        if (path.name if name == "sha256" else name).removesuffix(".provenance.json").endswith(TIMED):
            digests[name] = None
    return content


def _timeless(content):
    return {key: value for key, value in content.items() if key not in TIMES}


def verified(run):
    """Whether the digests in the provenance of a run's files are those of the files; shows what is not so."""
    command = [sys.executable, "-m", "twostage.provenance", "verify", str(run)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": SOURCE})
    print(done.stdout, done.stderr)
    return done.returncode == 0
