"""``networks``: how images pass through networks."""

from typing import Annotated

from pydantic import Field

from twostage.config.blocks.base import Block
from twostage.config.values import Mebibytes


class Networks(Block):
    """Encoders, decoders and feature networks. They take images in chunks, of one size per network."""

    memory_mb: Annotated[Mebibytes, Field(le=24576)] = Field(
        16384,
        description="GPU memory of a chunk of images, in MiB, in addition to the weights. At most 24576. 16384 suits "
        "cards of 80 GB, 8192 those of 40 GB. A change may alter the last bits of results, but reruns nothing",
    )
