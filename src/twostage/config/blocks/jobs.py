"""``jobs``: what the jobs of each stage ask for."""

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from twostage.config.blocks.base import Block
from twostage.config.values import Count, Megabytes, Minutes, Natural


class Resources(Block):
    """What a job of one stage asks for."""

    threads: Count = Field(1, description="CPU threads; torch uses these and no more")
    mem_mb: Megabytes = Field(2000, description="Memory, MB, or text such as 64G")
    runtime: Literal["auto"] | Minutes = Field(
        30,
        description="Time limit, minutes, or text such as 2d, 12h, 90m; `auto`: of each job, 1.5 times what `estimate` "
        "says, at least 15 minutes, at most `jobs.longest`",
    )
    gpu: Natural = Field(
        0,
        json_schema_extra={"type": ["integer", "string"], "pattern": r"^([A-Za-z0-9_.]+:)?\d+$"},
        description="GPUs; 0 runs on the CPU; with their kind, as in `a100:2`, on Slurm",
    )
    gpu_model: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]+$")] | None = Field(
        None, description="Kind of GPU (Slurm only), as sinfo prints it; the same as a `gpu` with a kind"
    )

    @model_validator(mode="before")
    @classmethod
    def _kind_of_gpu(cls, raw):
        """`gpu: "a100:2"`, as sbatch has it, is two of that kind."""
        kind, colon, count = str(raw.get("gpu", "") if isinstance(raw, dict) else "").rpartition(":")
        if not colon and re.fullmatch(r"(?!true$|false$|none$)[a-z][\w.]*", count.lower()):
            raise ValueError(f"gpu is {count!r}; expected a number, or a kind and a number: {count}:1")
        return raw | {"gpu": count, "gpu_model": kind} if colon else raw


class TrainingResources(Resources):
    """What a training asks for; `gpu` counts those of all nodes, and each runs one process."""

    nodes: Count = Field(1, description="Nodes of a job, joined by torchrun (Slurm only); `gpu` is a multiple of them")
    scratch: bool = Field(False, description="Copy the latents to the node's `$TMPDIR` before training")

    @model_validator(mode="after")
    def _as_many_on_each(self):
        if self.gpu % self.nodes:
            raise ValueError(f"gpu is {self.gpu} with nodes {self.nodes}; expected a multiple, as many on each node")
        return self


class Jobs(Block):
    """Resources a stage."""

    longest: Minutes = Field(
        2880,
        description="Longest time limit that `runtime: auto` asks for (your partition's), minutes, or text such as 2d; "
        "a training that takes longer is given as many jobs as it takes",
    )
    data: Resources = Field(Resources(), description="Autoencoder and encoding")
    oracle: Resources = Field(Resources(), description="Oracle posterior")
    synthetic: Resources = Field(Resources(), description="Synthetic Gaussians")
    training: TrainingResources = Field(TrainingResources(), description="Training, a model")
    sampling: Resources = Field(Resources(), description="Sampling, and the models' oracle loss")
    flux: Resources = Field(Resources(mem_mb=64000, runtime=240), description="Flux, where it is configured")
    evaluation: Resources = Field(Resources(), description="Classifier, features and distances")
    report: Resources = Field(Resources(mem_mb=1000, runtime=10), description="Figures, tables, claims")
