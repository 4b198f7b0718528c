"""``models``: LightningDiTs by name."""

from typing import Literal

from pydantic import Field, model_validator

from twostage.config.blocks.base import Block
from twostage.config.blocks.files import Checkpoint
from twostage.config.values import Count
from twostage.model.sizes import SIZES


class Model(Block):
    """A LightningDiT. Under the names S, B, L and XL its size is the paper's by default."""

    hidden_size: Count = Field(description="Width of the tokens")
    depth: Count = Field(description="Number of transformer blocks")
    num_heads: Count = Field(
        description="Number of attention heads. `hidden_size` must be a multiple of 4 times this number"
    )
    steps: Count | None = Field(None, description="Number of training steps of this model. Default: `training.steps`")
    target: Literal["cfm", "oracle"] | None = Field(
        None,
        description="Regression target of this model. Default: `training.target`. A model with another target is "
        "trained only in the latent spaces of experiments that name it",
    )
    checkpoint: dict[str, Checkpoint] = Field(
        {},
        json_schema_extra={"type": ["object", "string"]},
        description="Weights to import instead of training, per latent space. One file alone is used in every latent "
        "space. `steps` then says how long the model was trained. Formats: LightningDiT's .pt, SiT's .pt, safetensors",
    )

    @model_validator(mode="after")
    def _heads_fit(self):
        if self.hidden_size % (4 * self.num_heads):
            raise ValueError(
                f"hidden_size {self.hidden_size} with num_heads {self.num_heads}; "
                "expected a multiple of 4 x num_heads (2-D rotary positions)"
            )
        return self

    @property
    def parameters(self):
        """Number of parameters of a LightningDiT of this size, without those for patches, positions and classes, whose
        number depends on the latents."""
        width, gated = self.hidden_size, int(2 / 3 * 4 * self.hidden_size)
        attention = 4 * width * (width + 1)
        feed_forward = 2 * gated * (width + 1) + width * (gated + 1)
        block = attention + feed_forward + 6 * width * (width + 1) + 2 * width
        times = width * (256 + 1) + width * (width + 1)
        last = 2 * width * (width + 1) + width
        return self.depth * block + times + last


def in_full(name, model, spaces):
    """A model as it is read, {key: value}, where its name alone, or a bare `checkpoint`, stands for more."""
    model = {**SIZES.get(name, {}), **model} if isinstance(model, dict) else model or SIZES.get(name, {})
    file = model.get("checkpoint") if isinstance(model, dict) else None
    if isinstance(file, str) or (isinstance(file, dict) and set(file) & set(Checkpoint.model_fields) - set(spaces)):
        return {**model, "checkpoint": dict.fromkeys(spaces, file)}
    return model
