"""Data sets that are the same everywhere: facts about their images that are known before the images are there."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """image_shape: (H, W, C); train, held_out: numbers of images, held_out 0 where a share of train is held out;
    classes: number of classes."""

    image_shape: tuple[int, int, int]
    train: int
    held_out: int
    classes: int

    @property
    def side(self):
        """Side of the images, in pixels."""
        return self.image_shape[0]


KNOWN = {"digits": Known((8, 8, 1), 1797, 0, 10), "cifar10": Known((32, 32, 3), 50_000, 10_000, 10)}
