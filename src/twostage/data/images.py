"""Reading one image file: decoding with an error that names the file, and ADM's centre crop."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from twostage.data.archive import readable
from twostage.sides import Size, in_words, sides_of

MAX_PIXELS = 100_000_000  # of the enlarged image from which the crop is cut
# No other decoder is tried, whatever the name of a file: some of Pillow's decoders start programs (EPS) or read other
# files.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
ORIENTATION = 0x0112  # EXIF tag; 1 is upright


class BadImage(ValueError):
    """An image that cannot be used: unreadable, or smaller than allowed. ``path``: its path; the message: the
    reason."""

    def __init__(self, path, why):
        super().__init__(f"{path}: {why}")
        self.path = str(path)


@dataclass(frozen=True)
class Reader:
    """``reader(path)`` is ``read_image`` with these settings; ``str(reader)`` gives the settings as text."""

    image_size: Size
    min_side: Size = 1
    background: str = "white"

    def __call__(self, path):
        return read_image(path, self.image_size, self.min_side, self.background)

    def __str__(self):
        least = self.min_side if isinstance(self.min_side, int) else in_words(self.min_side)
        return f"{in_words(self.image_size)}, min_side {least}, over {self.background}"


def read_image(path, image_size, min_side=1, background="white"):
    """One image file as RGB, cropped by ``centre_crop``: uint8 array (H, W, 3).

    image_size: side of the crop, or (H, W); min_side: smallest accepted length of the shorter side, or (H, W), of each.
    Grey, palette and CMYK images are converted to RGB; 16-bit grey is scaled to 8 bits; transparent pixels are laid
    over ``background`` (a colour in Pillow's notation: "white", "#rrggbb"); the first frame of an animation is taken.
    An EXIF orientation is not applied, as in ADM, whose reference statistics are computed that way. Raises BadImage (a
    ValueError) if the file cannot be decoded or is smaller than ``min_side``.
    """
    try:
        with Image.open(readable(path), formats=FORMATS) as image:
            image.load()
            image = _as_rgb(image, background)
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        raise BadImage(path, f"not a readable image ({_reason(error, path)})") from None
    width, height = image.size
    least_height, least_width = sides_of(min_side)
    if height < least_height or width < least_width:
        square = isinstance(image_size, int)
        crop = image_size if square else f"{image_size[0]} (high) x {image_size[1]}"
        least = f"a shorter side of at least {min_side}" if isinstance(min_side, int) else "no smaller side"
        raise BadImage(
            path,
            f"{width} x {height} pixels, smaller than the crop of {crop}; expected {least} "
            f"(set min_side to {min(image.size)} to enlarge small images as ADM does)",
        )
    rows, columns = sides_of(image_size)
    if max(rows**2 * width / height, columns**2 * height / width) > MAX_PIXELS:
        size = f"a side of {rows}" if rows == columns else in_words(image_size)
        raise BadImage(path, f"{width} x {height} pixels, too long and thin to be enlarged to {size}")
    return centre_crop(image, image_size)


def _as_rgb(image, background):
    if image.mode in ("I", "F") and image.format != "PNG":
        raise ValueError("32 bits per pixel, whose scale is not known; expected 8 or 16 bits")
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, background), image).convert("RGB")


def _eight_bits(image):
    """16-bit grey as 8-bit grey, round(value / 257). The value that a PNG declares transparent stays transparent."""
    values = np.asarray(image).astype(np.int64)
    grey = Image.fromarray(((values + 128) // 257).clip(0, 255).astype(np.uint8))
    if isinstance(transparent := image.info.get("transparency"), int):
        grey.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return grey


def peculiarities(file):
    """What ``read_image`` does to a file that one may not expect, found from its header alone: a list of names.

    file: path or open file. "16-bit": scaled to 8 bits; "transparent": may have transparent pixels; "rotated": has an
    EXIF orientation; "animated"; "unreadable": no image of the formats that are read.
    """
    try:
        with Image.open(file, formats=FORMATS) as image:
            exif = image.getexif() if "exif" in image.info or image.format == "TIFF" else {}  # slow where there is none
            found = {
                "16-bit": image.mode.startswith("I"),
                "transparent": image.has_transparency_data,
                "rotated": exif.get(ORIENTATION, 1) != 1,
                "animated": getattr(image, "is_animated", False) and image.format != "MPO",
            }
    except Exception:
        return ["unreadable"]
    return [name for name, there in found.items() if there]


def centre_crop(image, size):
    """ADM's centre crop (guided-diffusion, ``center_crop_arr``): halve by box filter, then bicubic, then cut.

    image: PIL RGB image of any size; size: side of the result in pixels, or (H, W): the image is then scaled, with its
    proportions, until it just covers H x W, and the longer of its sides is cut. Returns uint8 (H, W, 3).
    """
    rows, columns = sides_of(size)
    while image.height >= 2 * rows and image.width >= 2 * columns:
        image = image.resize(tuple(side // 2 for side in image.size), resample=Image.Resampling.BOX)
    scale = max(rows / image.height, columns / image.width)
    image = image.resize(tuple(round(side * scale) for side in image.size), resample=Image.Resampling.BICUBIC)
    left, top = (image.width - columns) // 2, (image.height - rows) // 2
    return np.asarray(image.crop((left, top, left + columns, top + rows)))


def _reason(error, path):
    text = str(error).replace(f" {str(path)!r}", "")  # the path is said already
    return text.splitlines()[0] if text else type(error).__name__
