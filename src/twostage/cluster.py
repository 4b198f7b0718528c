"""Checks whether a Slurm cluster can run the jobs, before anything is submitted.

Slurm itself rejects one job at a time, and only after hours of waiting if the site lets such jobs queue.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass

from twostage.spelling import did_you_mean

FIELDS = "%N|%P|%c|%m|%G|%l"  # of sinfo: node, partition, CPUs, memory (MB), generic resources, time limit


class ClusterError(ValueError):
    """A run that the cluster cannot take; the message has one line per reason."""


@dataclass(frozen=True)
class Offer:
    """A node as part of one partition: CPUs, memory (MB), GPUs, and the partition's time limit (minutes)."""

    partition: str
    default: bool
    cpus: int
    mem_mb: int
    gpus: int
    minutes: float


@dataclass(frozen=True)
class Request:
    """The resources that one job requests per node; ``minutes`` None is the partition's limit.

    ``partition``: one, several separated by commas (the job runs in any of them), or None, the cluster's default.
    """

    rule: str
    cpus: int
    mem_mb: int
    gpus: int
    minutes: int | None
    partition: str | None = None

    @classmethod
    def of(cls, rule, threads, resources):
        """The request of a rule's threads and resources; with several nodes, each node's share.

        A resource in a form that is not known here is not checked: sbatch judges it.
        """
        nodes = _whole(resources.get("nodes")) or 1
        gpus = gpus_in_gres(str(resources.get("gres") or ""))
        if gpus is None:
            gpus = -(-_gpus(resources.get("gpu")) // nodes)
        memory, minutes = (_whole(resources.get(key)) for key in ("mem_mb", "runtime"))
        return cls(rule, int(threads), memory or 0, gpus, minutes, resources.get("slurm_partition"))

    @property
    def partitions(self):
        """Names of the partitions, list of str."""
        return [name.strip() for name in str(self.partition or "").split(",") if name.strip()]


def gpus_in_gres(text):
    """Number of GPUs in a list of generic resources, in the form of sbatch and sinfo; None if it names no GPU.

    Examples: ``gpu``, ``gpu:4``, ``gpu:2080ti:4(S:0-1)``, ``gpu:a100_1g.5gb:7``, ``gres/gpu:h100:2``. It is the last
    part if that is a number, otherwise one.
    """
    entries = [entry.strip().removeprefix("gres/") for entry in re.sub(r"\([^)]*\)", "", text).split(",")]
    counts = [re.fullmatch(r"gpu(?:[:=].*?)??(?:[:=](\d+))?", entry) for entry in entries]
    found = [int(match[1] or 1) for match in counts if match]
    return sum(found) if found else None


def _gpus(asked):
    """GPUs in ``--gpus``: a number, or numbers by kind as in ``a100:2,h100:1``; 0 for any other form."""
    counts = [re.fullmatch(r"(?:[^:]+:)?(\d+)", part.strip()) for part in str(asked or 0).split(",")]
    return sum(int(match[1]) for match in counts) if all(counts) else 0


def _whole(value):
    """A whole number, or None for anything else."""
    try:
        return None if value is None else int(value)
    except (TypeError, ValueError):
        return None


def refuse_impossible(requests):
    """Raise ClusterError, with one line per reason, for requests that the reachable cluster could never run."""
    if shutil.which("sbatch") is None:
        raise ClusterError(
            "there is no sbatch on the path; expected a login node of a Slurm cluster (load its module?), "
            "or leave --profile slurm out to run on this machine"
        )
    answer = subprocess.run(
        ["sinfo", "--noheader", "--Node", f"--format={FIELDS}"], capture_output=True, text=True, timeout=60
    )
    if answer.returncode:
        raise ClusterError(f"Slurm does not answer: {answer.stderr.strip().splitlines()[-1]}")
    problems = list(dict.fromkeys(filter(None, (problem(request, offers_of(answer.stdout)) for request in requests))))
    if problems:
        raise ClusterError("\n".join(problems))


def offers_of(text):
    """The offers in the output of sinfo."""
    offers = []
    for line in text.splitlines():
        _, partition, cpus, memory, gres, limit = (field.strip().rstrip("+") for field in line.split("|"))
        cpus, memory = (float("inf") if _whole(text) is None else int(text) for text in (cpus, memory))
        numbers = (cpus, memory, gpus_in_gres(gres) or 0, minutes_of(limit))
        offers.append(Offer(partition.rstrip("*"), partition.endswith("*"), *numbers))
    return offers


def minutes_of(limit):
    """Minutes of a time limit as Slurm prints it: ``[days-]hours:minutes:seconds``, ``minutes:seconds``, infinite."""
    if not re.fullmatch(r"[\d:-]+", limit):
        return float("inf")
    days, _, clock = limit.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    hours, minutes, seconds = [0] * (3 - len(parts)) + parts
    return 24 * 60 * int(days or 0) + 60 * hours + minutes + seconds / 60


def problem(request, offers):
    """The reason why no node can run a request, and what to change, in one line; None if a node can."""
    names = list(dict.fromkeys(offer.partition for offer in offers))
    for unknown in (name for name in request.partitions if name not in names):
        expected = f"expected one of {', '.join(names)}{did_you_mean(unknown, names)}"
        return f"{request.rule}: there is no partition {unknown!r}; {expected}"
    asked = request.partitions or [offer.partition for offer in offers if offer.default][:1]
    here = [offer for offer in offers if not asked or offer.partition in asked]
    where = f"partition{'s' * (len(asked) > 1)} {', '.join(asked)}" if asked else "the cluster"
    change = "ask for less under `jobs` in the configuration, or name another partition (docs/slurm.md)"
    if not here:
        return f"{request.rule}: the cluster has no nodes"
    if request.gpus and not any(offer.gpus for offer in here):
        having = list(dict.fromkeys(offer.partition for offer in offers if offer.gpus))
        others = f"partitions with GPUs: {', '.join(having)}" if having else "no partition has any"
        return f"{request.rule} asks for {request.gpus} GPU; {where} has none, {others}; {change}"
    fits = [
        offer
        for offer in here
        if request.cpus <= offer.cpus and request.mem_mb <= offer.mem_mb and request.gpus <= offer.gpus
    ]
    if not fits:
        best = max(here, key=lambda offer: (offer.gpus >= request.gpus, offer.mem_mb, offer.cpus))
        return (
            f"{request.rule} asks for {request.cpus} CPUs, {request.mem_mb} MB and {request.gpus} GPU on a node; "
            f"the largest of {where} has {best.cpus} CPUs, {best.mem_mb} MB and {best.gpus} GPU; {change}"
        )
    limit = max(offer.minutes for offer in fits)
    if request.minutes and request.minutes > limit:
        return f"{request.rule} asks for {request.minutes} minutes; {where} allows {limit:g}; {change}"
    return None


def partition_from_environment():
    """Resources that name the partition and the account of ``SBATCH_PARTITION`` and ``SBATCH_ACCOUNT``.

    Snakemake's executor passes its own guess of both to sbatch, which would override these variables.
    """
    named = {"slurm_partition": "SBATCH_PARTITION", "slurm_account": "SBATCH_ACCOUNT"}
    return {resource: os.environ[variable] for resource, variable in named.items() if os.environ.get(variable)}
