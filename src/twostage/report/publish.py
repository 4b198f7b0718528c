"""Copies a run's small results into the repository: its figures' CSVs, and one file with their provenance.

    python -m twostage.report.publish results/digits docs/results/digits

The pictures of the README are drawn from these CSVs alone (``snakemake pictures``), so they always agree with them.
"""

import argparse
import shutil
import sys
from pathlib import Path

import yaml

from twostage.provenance import atomic_write, write_json
from twostage.report.results.lineage import lineage, stage_of

MOST = 250_000  # bytes; a larger CSV stays with its run


def publish(run, output):
    """Copy the CSVs of ``run``'s report (a folder) into ``output``, with its configuration and PROVENANCE.json.

    PROVENANCE.json holds, for each CSV, its sha256, commit, time, and the files from which it was made with their
    sha256; and the versions. Machines are left out. CSVs in ``output`` that the run no longer has are removed. Returns
    the names. Raises ValueError where the run has no report, or its replicates.csv is of another configuration.
    """
    run, output = Path(run), Path(output)
    files = sorted(path for path in (run / "report").glob("*.csv") if path.stat().st_size <= MOST)
    if not files or not (run / "config.yaml").is_file():
        raise ValueError(
            f"{run} holds no finished report; expected report/*.csv and config.yaml: run the workflow first"
        )
    records = lineage(files)
    _refuse_other_replicates(run, records)
    for old in output.glob("*.csv"):
        old.unlink()
    for path in [*files, run / "config.yaml"]:
        with atomic_write(output / path.name) as temporary:
            shutil.copyfile(path, temporary)
    made = {path.name: _kept(records[str(path)]) for path in files}
    behind = {path: _kept(record) for path, record in records.items() if stage_of(path, run) not in ("", "report")}
    versions = next((record["versions"] for record in records.values() if record.get("versions")), None)
    write_json(output / "PROVENANCE.json", {"run": run.name, "versions": versions, "files": made, "behind": behind})
    return [path.name for path in files]


def _refuse_other_replicates(run, records):
    path = run / "report" / "replicates.csv"
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    if str(path) in records and records[str(path)]["config"] != config:
        raise ValueError(
            f"{path} is of another configuration than {run / 'config.yaml'}: run `replicates` again, or delete it"
        )


def _kept(record):
    return {key: record.get(key) for key in ("sha256", "commit", "created", "seed", "inputs")}


def main(arguments=None):
    """Publish a run; a ValueError or OSError becomes one line on stderr and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m twostage.report.publish", description=__doc__.split("\n")[0])
    parser.add_argument("run", help="folder of a finished run, e.g. results/digits")
    parser.add_argument("output", help="folder to write, e.g. docs/results/digits")
    options = parser.parse_args(arguments)
    try:
        print("\n".join(publish(options.run, options.output)))
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
