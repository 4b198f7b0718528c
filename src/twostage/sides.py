"""Height and width of images and latents, as one number where both are equal, else as [height, width].

One number is what configurations, stores and models of square images have. Nothing here imports torch.
"""

from collections.abc import Sequence
from typing import TypeAlias

Size: TypeAlias = int | Sequence[int]


def sides_of(size: Size) -> tuple[int, int]:
    """(height, width) of a size.

    >>> sides_of(8), sides_of([8, 12])
    ((8, 8), (8, 12))
    """
    height, width = (size, size) if isinstance(size, int) else size
    return height, width


def size_of(height: int, width: int) -> int | list[int]:
    """The size of these sides.

    >>> size_of(8, 8), size_of(8, 12)
    (8, [8, 12])
    """
    return height if height == width else [height, width]


def in_words(size: Size) -> str:
    """A size for people, the height first.

    >>> in_words(8), in_words([8, 12])
    ('8 x 8', '8 x 12')
    """
    return "{} x {}".format(*sides_of(size))
