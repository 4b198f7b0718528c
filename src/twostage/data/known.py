"""Data sets that are the same everywhere: facts about their images that are known before the images are there."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """image_shape: (H, W, C); train, held_out: numbers of images, held_out 0 where a share of train is held out;
    classes: number of classes; reduces: whether a smaller side may be asked for, by ADM's centre crop."""

    image_shape: tuple[int, int, int]
    train: int
    held_out: int
    classes: int
    reduces: bool = False

    @property
    def side(self):
        """Side of the images, in pixels."""
        return self.image_shape[0]

    def problem(self, side):
        """Why images of ``side`` pixels cannot be had, as the end of a sentence; None where they can.

        >>> KNOWN["cifar10"].problem(16), KNOWN["digits"].problem(16)
        (None, 'expected 8, the side of its images')
        """
        if side == self.side or (self.reduces and 1 <= side < self.side):
            return None
        return f"expected {'at most ' if self.reduces else ''}{self.side}, the side of its images"


KNOWN = {"digits": Known((8, 8, 1), 1797, 0, 10), "cifar10": Known((32, 32, 3), 50_000, 10_000, 10, reduces=True)}
