"""Checks that a run's files are those in its provenance: recomputes every sha256, along the whole chain.

python -m twostage.provenance verify results/digits
"""

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from twostage.provenance import provenance_path, sha256

SUFFIX = ".provenance.json"
CRATE = "crate"  # folder of a run with copies of the workflow's files, for its RO-Crate
ASIDE = ("logs", "benchmarks", CRATE)  # folders of a run with other files than results
OWN = ("state", "tensorboard")  # folders of a training: what it resumes from, and its log for TensorBoard
REMOVED = re.compile(r"Removing temporary output (.+)\.$", flags=re.MULTILINE)


@dataclass
class Verified:
    """Result of ``verify``: problems, one line each; removed, absent: names of files; files, bytes: amount hashed."""

    problems: list = field(default_factory=list)
    removed: list = field(default_factory=list)
    absent: list = field(default_factory=list)
    files: int = 0
    bytes: int = 0

    def lines(self):
        """The report: a line per problem and per file that is not there, then the summary."""
        lines = [*self.problems]
        lines += [f"{name}: removed since, as a temporary output" for name in self.removed]
        lines += [f"{name}: not there, and not a file of this run: not verified" for name in self.absent]
        found = f"{len(self.problems)} problem{'' if len(self.problems) == 1 else 's'}"
        return [*lines, f"{self.files} files verified ({self.bytes:,} bytes): {found}"]


def verify(run):
    """Check every artefact under the folder ``run``, and every input in its provenance. Returns ``Verified``.

    Problems are: a file that has changed since it was made; a file whose input now has, by its own provenance or by its
    bytes, another content than the file was made from; a missing file; a file without provenance; provenance that
    cannot be read. Inputs from elsewhere (weights, shared data) are verified where they exist. Raises ValueError for a
    folder without provenance.
    """
    run = Path(os.path.abspath(run))  # links are kept: results/ may be a link to another disk
    records = sorted(run.rglob(f"*{SUFFIX}"))
    if not records:
        raise ValueError(f"{run}: no provenance in it; expected the folder of a run, such as results/digits")
    return _Walk(run).over(records)


class _Walk:
    def __init__(self, run):
        # Provenance names files relative to the folder that holds results/.
        self.run, self.base = run, run.parents[1]
        self.found, self.digests = Verified(), {}
        logs = (self.base / ".snakemake/log").glob("*.log")
        self.temporary = {
            name for log in logs for name in REMOVED.findall(log.read_text(errors="replace", encoding="utf-8"))
        }

    def over(self, records):
        for file in records:
            artefact = file.with_name(file.name.removesuffix(SUFFIX))
            if (record := self.record(artefact)) is not None:
                self.artefact(artefact, record)
                for name, digest in _inputs(record).items():
                    self.input(artefact, name, digest)
                self.latents(artefact, record.get("latents"))
        for path in sorted(self.run.rglob("*")):
            if self.is_artefact(path) and not provenance_path(path).exists():
                self.problem(path, "has no provenance beside it: make it again")
        for names in (self.found.problems, self.found.removed, self.found.absent):
            names[:] = dict.fromkeys(names)
        return self.found

    def artefact(self, path, record):
        if not path.exists():
            self.missing(path)
        elif (digest := self.digest(path)) != record["sha256"]:
            self.problem(path, f"sha256 is {digest[:12]}, was {record['sha256'][:12]} when it was made: it has changed")

    def input(self, artefact, name, digest):
        path = self.place(name)
        own = self.record(path) if provenance_path(path).exists() else None
        made = own["sha256"] if own else self.digest(path) if path.exists() else None
        if None not in (made, digest) and made != digest:
            by = "by its own provenance" if own else "now"
            self.problem(
                artefact, f"made from {name} of sha256 {digest[:12]}, which is {made[:12]} {by}: make it again"
            )
        elif path.exists():
            if self.digest(path) != made:  # not an artefact of this run, or already reported
                self.problem(
                    path, f"sha256 is {self.digest(path)[:12]}, was {made[:12]} when it was made: it has changed"
                )
        else:
            self.missing(path)

    def latents(self, artefact, said):
        """Check the store of a training, whose provenance has the store's fingerprint in place of its sha256."""
        path = said and self.place(said["path"])
        own = self.record(path) if path and provenance_path(path).exists() else None
        if own and own.get("fingerprint") not in (None, said["fingerprint"]):
            self.problem(
                artefact, f"made from other latents than those in {said['path']}, by its provenance: make it again"
            )

    def missing(self, path):
        name = self.name(path)
        if name in self.temporary:
            self.found.removed.append(name)
        elif path.is_relative_to(self.run):
            self.problem(path, "is missing: make it again")
        else:
            self.found.absent.append(name)

    def record(self, artefact):
        file = provenance_path(artefact)
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            if isinstance(record["sha256"], str) and isinstance(record["inputs"], dict):
                return record
            reason = "sha256 or inputs have the wrong type"
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = f"{type(error).__name__}: {error}"
        self.problem(file, f"cannot be read as provenance ({reason})")
        return None

    def digest(self, path):
        if path not in self.digests:
            self.digests[path] = sha256(path)
            self.found.files += 1
            self.found.bytes += path.stat().st_size
        return self.digests[path]

    def is_artefact(self, path):
        inside = path.relative_to(self.run).parts
        kept = inside[0] not in ASIDE and not set(OWN) & set(inside[:-1])
        return kept and path.is_file() and not path.name.startswith(".") and not path.name.endswith(SUFFIX)

    def place(self, name):
        """Path of a file that provenance names; the run's folder may have been moved."""
        parts = Path(name).parts
        inside = parts[:2] == ("results", self.run.name)
        return self.run.joinpath(*parts[2:]) if inside else self.base / name

    def name(self, path):
        """A path as provenance names it: the inverse of ``place``."""
        if path.is_relative_to(self.run):
            return str(Path("results", self.run.name, path.relative_to(self.run)))
        return str(path.relative_to(self.base) if path.is_relative_to(self.base) else path)

    def problem(self, path, what):
        self.found.problems.append(f"{self.name(path)}: {what}")


def _inputs(record):
    """{path: sha256 or None} of all files from which an artefact was made, by its provenance ``record``."""
    inputs = {**record["inputs"], **record.get("shards", {})}
    if record.get("source_sha256"):
        inputs[record["source"]] = record["source_sha256"]
    return inputs
