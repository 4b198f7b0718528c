"""Files of weights, which several blocks name."""

import re

from pydantic import ConfigDict, Field, model_validator

from twostage.config.blocks.base import Block
from twostage.config.values import PathText


class File(Block):
    """A file of weights: where it lies, and where it is fetched from while it is not there. A bare path is enough."""

    model_config = ConfigDict(json_schema_extra={"type": ["object", "string"]})

    path: PathText | None = Field(
        None, description="Where the file lies; unless given, weights/ and the name at its source"
    )
    repo: str | None = Field(None, description="Hugging Face hub id to fetch it from, with `revision` and `file`")
    revision: str | None = Field(
        None,
        pattern="^[0-9a-f]{40}$",
        description="Pinned commit of `repo`, 40 hex digits: a branch can change under you",
    )
    file: str | None = Field(None, description="Name of the file in `repo`")
    url: str | None = Field(
        None, pattern="^(https?|file)://", description="Address to fetch it from, instead of `repo`"
    )
    sha256: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="Expected digest; unless given, any file is taken"
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
            return re.sub("//+", "/", self.path)  # which Snakemake would warn of
        named = re.split("[?#]", self.url or "")[0].rpartition("/")[2]
        parts = [self.repo.replace("/", "--"), self.file] if self.repo else [named]
        return "/".join(["weights", *parts])


class Checkpoint(File):
    """A LightningDiT's checkpoint: a file, and which of its entries to take."""

    weights: str | None = Field(
        None,
        description="Entry of the checkpoint to take, e.g. `model`; unless given `ema`, and where there is none "
        "`model`, with a warning",
    )
