"""Reading one image file: decoding with an error that names the file, and ADM's centre crop."""

import numpy as np
from PIL import Image

MAX_PIXELS = 100_000_000  # of the enlarged image that the crop is cut from
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


class BadImage(ValueError):
    """An image that cannot be used: unreadable, or smaller than allowed. ``path`` says which, the message why."""

    def __init__(self, path, why):
        super().__init__(f"{path}: {why}")
        self.path = str(path)


def read_image(path, image_size, min_side=1):
    """One image file as RGB, cropped by ``centre_crop``: uint8 array (image_size, image_size, 3).

    Grey, palette and CMYK images are converted to RGB; transparency is dropped; an EXIF orientation is not applied,
    as in ADM, whose reference statistics are computed that way. Raises BadImage (a ValueError) when the file cannot
    be decoded or its shorter side is below ``min_side`` pixels.
    """
    try:
        with Image.open(path) as image:
            image.load()
            image = image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadImage(path, f"not a readable image ({_reason(error, path)})") from None
    if min(image.size) < min_side:
        width, height = image.size
        raise BadImage(
            path,
            f"{width} x {height} pixels, smaller than the crop of {image_size}; expected a shorter side of at least "
            f"{min_side} (set min_side to {min(image.size)} to enlarge small images as ADM does)",
        )
    width, height = image.size
    if max(width, height) * image_size**2 > MAX_PIXELS * min(width, height):
        raise BadImage(path, f"{width} x {height} pixels, too long and thin to be enlarged to a side of {image_size}")
    return centre_crop(image, image_size)


def centre_crop(image, size):
    """ADM's centre crop (guided-diffusion, ``center_crop_arr``): halve by box filter, then bicubic, then cut.

    image: PIL RGB image of any size; size: side of the result, pixels. Returns uint8 (size, size, 3).
    """
    while min(image.size) >= 2 * size:
        image = image.resize(tuple(side // 2 for side in image.size), resample=Image.Resampling.BOX)
    scale = size / min(image.size)
    image = image.resize(tuple(round(side * scale) for side in image.size), resample=Image.Resampling.BICUBIC)
    left, top = ((side - size) // 2 for side in image.size)
    return np.asarray(image.crop((left, top, left + size, top + size)))


def _reason(error, path):
    text = str(error).replace(f" {str(path)!r}", "")  # the path is said already
    return text.splitlines()[0] if text else type(error).__name__
