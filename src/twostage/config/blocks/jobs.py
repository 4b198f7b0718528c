"""``jobs``: what the jobs of each stage ask for."""

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from twostage.config.blocks.base import Block
from twostage.config.values import Count, Megabytes, Minutes, Natural


class Resources(Block):
    """Resources per job of a stage."""

    threads: Count = Field(1, description="Number of CPU threads. torch uses no more than these")
    mem_mb: Megabytes = Field(2000, description="Memory, in MB, or as text such as 64G")
    runtime: Literal["auto"] | Minutes = Field(
        30,
        description="Time limit, in minutes, or as text such as 2d, 12h, 90m. `auto`: 1.5 times the job's time from "
        "`estimate`, at least 15 minutes, at most `jobs.longest`",
    )
    gpu: Natural = Field(
        0,
        json_schema_extra={"type": ["integer", "string"], "pattern": r"^([A-Za-z0-9_.]+:)?\d+$"},
        description="Number of GPUs. 0: the job runs on the CPU. On Slurm also with the kind of GPU, such as `a100:2`",
    )
    gpu_model: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]+$")] | None = Field(
        None, description="Kind of GPU as sinfo prints it (Slurm only). The same as the kind in `gpu`"
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
    """Resources per training job. `gpu` counts the GPUs of all nodes; each GPU runs one process."""

    nodes: Count = Field(
        1, description="Number of nodes per job, joined by torchrun (Slurm only). `gpu` must be a multiple of it"
    )
    scratch: bool = Field(False, description="Copy the latents to the node's `$TMPDIR` before training")

    @model_validator(mode="after")
    def _as_many_on_each(self):
        if self.gpu % self.nodes:
            raise ValueError(f"gpu is {self.gpu} with nodes {self.nodes}; expected a multiple, as many on each node")
        return self


class Jobs(Block):
    """Resources per stage."""

    longest: Minutes = Field(
        2880,
        description="Longest time limit that `runtime: auto` asks for, in minutes, or as text such as 2d. Use your "
        "partition's limit. A longer training is split into several jobs",
    )
    data: Resources = Field(Resources(), description="Training of autoencoders, and encoding")
    oracle: Resources = Field(Resources(), description="Oracle posterior")
    synthetic: Resources = Field(Resources(), description="Synthetic Gaussians")
    training: TrainingResources = Field(TrainingResources(), description="Training of a model")
    sampling: Resources = Field(Resources(), description="Sampling, and the models' oracle loss")
    flux: Resources = Field(Resources(mem_mb=64000, runtime=240), description="Flux, if it is configured")
    evaluation: Resources = Field(Resources(), description="Classifier, features and distances")
    report: Resources = Field(Resources(mem_mb=1000, runtime=10), description="Figures, tables and claims")
