"""What a Slurm cluster can run, asked before anything is submitted to it.

Slurm says of one job at a time that it cannot run, after hours of waiting where the site lets such jobs queue.
"""

import difflib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass

FIELDS = "%N|%P|%c|%m|%G|%l"  # of sinfo: node, partition, CPUs, memory (MB), generic resources, time limit


class ClusterError(ValueError):
    """A run that the cluster cannot take; the message has a line a reason."""


@dataclass(frozen=True)
class Offer:
    """A node in one of its partitions: CPUs, memory (MB), GPUs, and the partition's time limit (minutes)."""

    partition: str
    default: bool
    cpus: int
    mem_mb: int
    gpus: int
    minutes: float


@dataclass(frozen=True)
class Request:
    """What one job asks a node for; ``partition`` None is the cluster's default one, ``minutes`` None its limit."""

    rule: str
    cpus: int
    mem_mb: int
    gpus: int
    minutes: int | None
    partition: str | None = None

    @classmethod
    def of(cls, rule, threads, resources):
        """Of a rule's threads and resources; several nodes are asked for their share each."""
        gres = re.fullmatch(r"gpu(?::[A-Za-z]\w*)?(?::(\d+))?", str(resources.get("gres") or ""))
        gpus = int(gres[1] or 1) if gres else int(resources.get("gpu") or 0)
        nodes = int(resources.get("nodes") or 1)
        memory, minutes, partition = (resources.get(key) for key in ("mem_mb", "runtime", "slurm_partition"))
        return cls(rule, int(threads), int(memory or 0), gpus if gres else -(-gpus // nodes), minutes, partition)


def refuse_impossible(requests):
    """Raise ClusterError, a line a reason, for what the cluster reachable from here could never run."""
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
    """The offers in what sinfo printed."""
    offers = []
    for line in text.splitlines():
        _, partition, cpus, memory, gres, limit = line.strip().split("|")
        counts = re.findall(r"\bgpu(?::[A-Za-z][\w.-]*)?(?::(\d+))?", gres)
        gpus = sum(int(count or 1) for count in counts)
        numbers = (int(cpus.rstrip("+")), int(memory.rstrip("+")), gpus, minutes_of(limit))
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
    """Why no node can run a request, as one line with what to change; None when one can."""
    names = list(dict.fromkeys(offer.partition for offer in offers))
    if request.partition and request.partition not in names:
        near = difflib.get_close_matches(request.partition, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"{request.rule}: there is no partition {request.partition!r}; expected one of {', '.join(names)}{hint}"
    partition = request.partition or next((offer.partition for offer in offers if offer.default), None)
    here = [offer for offer in offers if partition in (None, offer.partition)]
    where = f"partition {partition}" if partition else "the cluster"
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
