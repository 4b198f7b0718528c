"""Time limits from the estimate: how long each job of a run may take (`runtime: auto`), in how many attempts.

Counting needs torch, which Snakemake's own process does not: it is done in a process of its own, once per
configuration. What it found is kept beside Snakemake's records, for the next run and for the Snakemakes that run jobs
on a cluster.
"""

import hashlib
import json
import math
import subprocess
import sys
from functools import cached_property
from pathlib import Path

from twostage import provenance

SPARE = 1.5  # times the estimate
LEAST = 15  # minutes
FOLDER = ".snakemake/twostage"
APART = ("space", "experiment", "features", "split")  # wildcards that tell jobs of a rule apart; the others share work


def minutes(hours, longest, attempt=1):
    """Time limit of a job that is estimated to take ``hours``, whole minutes; twice as many in each further attempt."""
    return min(max(math.ceil(60 * SPARE * hours), LEAST) * 2 ** (attempt - 1), longest)


def attempts(hours, limit):
    """Number of jobs of ``limit`` minutes that work of ``hours``, which can be resumed, is given."""
    return max(math.ceil(60 * SPARE * hours / limit), 1)


def resumes(rule):
    """Whether a rule's next attempt goes on where the last one ended: trainings do."""
    return rule.startswith("train_")


class TimeLimits:
    """Time limits of the jobs of a configuration; jobs are told apart by their rule and {wildcard: value}.

    config: ``twostage.config.Config``; plans: {experiment: {plan name: plan dict}}; folder: where hours are kept;
    trusted: whether to take what is kept there as it is, as jobs of a run do, else only if it was counted of the same.
    """

    def __init__(self, config, plans, folder=FOLDER, trusted=False):
        self.config, self.plans, self.trusted = config, plans, trusted
        self.path = Path(folder) / f"hours-{config.run}.json"

    def minutes(self, rule, wildcards, attempt=1):
        """Time limit of a job; the configuration's longest where nothing could be counted."""
        longest, hours = self.config.jobs.longest, self.hours(rule, wildcards)
        if hours is None:
            return longest
        return minutes(hours, longest, 1 if resumes(self._plain(rule)) else attempt)

    def attempts(self, rule, wildcards, limit):
        """Number of jobs of ``limit`` minutes that a training is given one after the other; 1 of any other."""
        return attempts(self.hours(rule, wildcards) or 0, limit) if resumes(self._plain(rule)) else 1

    def hours(self, rule, wildcards):
        """Estimated hours of a job by the clock; 0 where they are seconds, None where nothing could be counted."""
        if self._hours is None:
            return None
        where = ", ".join(str(wildcards[name]) for name in APART if name in wildcards)
        return self._hours.get(self._plain(rule), {}).get(where, 0)

    def _plain(self, rule):
        """A rule's name without the prefix that it has as a part of another workflow."""
        own = [name for name in self._hours or () if f"_{rule}".endswith(f"_{name}")]
        return max(own, key=len, default=rule)

    @cached_property
    def _hours(self):
        """{rule: {where: hours}}"""
        kept = _read(self.path)
        if kept and (self.trusted or (kept["hours"] is not None and kept["key"] == self._key())):
            return kept["hours"]
        hours = _counted_elsewhere(self.config, self.plans)
        self.keep(hours)
        return hours

    def keep(self, hours):
        """Write hours (of ``hours_of``) where they are looked for; a folder that cannot be written to keeps none."""
        try:
            provenance.write_json(self.path, {"key": self._key(), "hours": hours})
        except OSError as error:
            print(f"warning: {self.path}: {error.strerror}; the estimate will be counted again", file=sys.stderr)

    def _key(self):
        """Digest of what the hours follow from."""
        folder = Path("results") / self.config.run
        read = [folder / "oracle" / space / "transition.json" for space in self.config.spaces]
        found = [path.read_text(encoding="utf-8") if path.is_file() else None for path in read]
        index = folder / "data/index.csv"
        counted = index.stat().st_mtime_ns if index.is_file() else None
        weights = [Path(place).is_file() for place in self.config.files()]
        content = [self.config.model_dump(mode="json"), self.plans, found, counted, weights]
        content.append(provenance.code_of("twostage.estimate"))
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def hours_of(costs):
    """{rule: {where: hours of one job by the clock}} of ``Costs``."""
    found = {}
    for row in costs.rows:
        found.setdefault(row.rule, {})[row.where] = costs.hours_by_the_clock(row)
    return found


def _read(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _counted_elsewhere(config, plans):
    """The hours, counted by ``python -m twostage.estimate``; None where torch is missing, as where each rule has an
    environment of its own.

    Raises ValueError with the reason where the estimate fails.
    """
    asked = json.dumps({"config": config.model_dump(mode="json"), "plans": plans})
    done = subprocess.run([sys.executable, "-m", "twostage.estimate"], input=asked, capture_output=True, text=True)
    if done.returncode == 0:
        return json.loads(done.stdout)
    reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    if reason.startswith("ModuleNotFoundError"):
        print(f"warning: runtime auto: {reason}; every job asks for jobs.longest", file=sys.stderr)
        return None
    raise ValueError(f"runtime auto: the estimate failed: {reason}; write minutes in its place under `jobs`")
