"""``networks``: images on their way through networks."""

from typing import Annotated

from pydantic import Field

from twostage.config.blocks.base import Block
from twostage.config.values import Mebibytes


class Networks(Block):
    """Images on their way through encoders, decoders and feature networks, in chunks of one size per network."""

    memory_mb: Annotated[Mebibytes, Field(le=24576)] = Field(
        16384,
        description="GPU memory that a chunk may take beside the weights, MiB, at most 24576: 16384 suits cards of "
        "80 GB, 8192 those of 40 GB. Another value may change last bits, and reruns nothing",
    )
