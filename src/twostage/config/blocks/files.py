"""Files of weights, which several blocks name."""

import re

from pydantic import ConfigDict, Field, model_validator

from twostage.config.blocks.base import Block
from twostage.config.values import PathText


class File(Block):
    """A file of weights. If it is not at its path, it is fetched. A path alone is enough."""

    model_config = ConfigDict(json_schema_extra={"type": ["object", "string"]})

    path: PathText | None = Field(
        None, description="Path of the file. Default: `weights/` and the file's name at its source"
    )
    repo: str | None = Field(
        None, description="Hugging Face hub id to fetch the file from. Needs `revision` and `file`"
    )
    revision: str | None = Field(
        None,
        pattern="^[0-9a-f]{40}$",
        description="Commit of `repo`, 40 hex digits. A commit cannot change later; a branch can",
    )
    file: str | None = Field(None, description="Name of the file in `repo`")
    url: str | None = Field(
        None, pattern="^(https?|file)://", description="Address to fetch the file from, instead of `repo`"
    )
    sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="Expected SHA-256 of the file, 64 hex digits. Default: the file is not checked",
    )

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, value):
        return {"path": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _has_one_source(self):
        if self.repo and self.url:
            raise ValueError("both `repo` and `url`; expected one place to fetch the file from")
        if bool(self.repo) != bool(self.revision) or bool(self.repo) != bool(self.file):
            raise ValueError("`repo`, `revision` and `file` go together: a hub id, a pinned commit and a file in it")
        if not (self.path or self.repo or self.url):
            raise ValueError("a file needs `path`, where it lies, or where it is fetched from: `repo` or `url`")
        if not self.path and re.search(r"/$|[{}]", self.place):
            raise ValueError(f"its name at its source, {self.place!r}, is no file name here; expected `path` with one")
        return self

    @property
    def place(self):
        """Path of the file: `path`, or its name under weights/."""
        if self.path:
            return re.sub("//+", "/", self.path)  # Snakemake warns of doubled slashes
        named = re.split("[?#]", self.url or "")[0].rpartition("/")[2]
        parts = [self.repo.replace("/", "--"), self.file] if self.repo else [named]
        return "/".join(["weights", *parts])


class Checkpoint(File):
    """A checkpoint of a LightningDiT: a file, and the entry of it to load."""

    weights: str | None = Field(
        None,
        description="Entry of the checkpoint to load, e.g. `model`. Default: `ema`; if there is none, `model`, with a "
        "warning",
    )
