"""Data sets that are the same everywhere: what is known of their images before they are there."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """image_shape: (H, W, C); train, held_out: numbers of images, 0 where a share is held out; classes: how many."""

    image_shape: tuple[int, int, int]
    train: int
    held_out: int
    classes: int

    @property
    def side(self):
        """Side of the images, in pixels."""
        return self.image_shape[0]


KNOWN = {"digits": Known((8, 8, 1), 1797, 0, 10), "cifar10": Known((32, 32, 3), 50_000, 10_000, 10)}
