"""``flux``: the two stages in Flux.1."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from twostage.config.blocks.base import Block
from twostage.config.values import Count, Distinct, NotNegative, PathText, Positive, Time
from twostage.sampling.experiments import SHOWN_TIMES


class Flux(Block):
    """The two stages in Flux.1 (App. H), with diffusers' FluxPipeline. Optional; needs the package `twostage[flux]`."""

    model: PathText = Field(
        description="Folder of a FluxPipeline, or a Hugging Face hub id, which is fetched at `revision`"
    )
    revision: str | None = Field(
        None,
        pattern="^[0-9a-f]{40}$",
        description="Commit of the hub id, 40 hex digits. A commit cannot change later; a branch can",
    )
    prompts: Distinct[str] = Field(
        [
            "a red fox asleep in fresh snow",
            "a lighthouse on a cliff in a storm, oil painting",
            "a bowl of lemons on a wooden table by a window",
            "a street market at night in the rain",
        ],
        min_length=1,
        description="Texts to sample images from",
    )
    shifts: Distinct[Positive] = Field([1, 0.7, 0.5, 0.3, 0.2, 0.1], min_length=1, description="Timestep shifts s")
    times: Distinct[Time] = Field(list(SHOWN_TIMES), min_length=1, description="Times whose predictions are shown")
    steps: Count = Field(50, description="Number of function evaluations per trajectory")
    guidance: NotNegative = Field(3.5, description="Scale of Flux's own (distilled) guidance")
    height: Count = Field(1024, description="Height of the images, in pixels. A multiple of 16")
    width: Count = Field(1024, description="Width of the images, in pixels. A multiple of 16")
    precision: Literal["float32", "bf16"] = Field("bf16", description="Precision of the pipeline")
    offload: bool = Field(
        False, description="Save GPU memory: keep only the part of the pipeline that is in use on the GPU"
    )

    @model_validator(mode="after")
    def _has_source(self):
        if not Path(self.model).is_dir() and self.revision is None:
            raise ValueError(
                f"model is {self.model!r}: no such folder, and a hub id needs `revision`, a pinned commit; expected "
                "either"
            )
        return self

    @model_validator(mode="after")
    def _sides_fit(self):
        for side in ("height", "width"):
            if getattr(self, side) % 16:
                raise ValueError(
                    f"{side} is {getattr(self, side)}; expected a multiple of 16, one of Flux's patches: "
                    f"{max(16, 16 * round(getattr(self, side) / 16))}"
                )
        return self
