"""``data``: the images, and how they are split into training and held-out ones."""

from typing import Literal

from pydantic import Field, model_validator

from twostage.config.blocks.base import Block
from twostage.config.values import Below1, Colour, Count, ImageSize, PathText, Share
from twostage.unlabelled import NO_CLASSES


class Data(Block):
    """The images, and how they are split into training and held-out images."""

    name: Literal["digits", "image_folder", "cifar10", "none"] = Field(
        description="Data set: scikit-learn's digits, class folders of images, torchvision's CIFAR-10, or `none`. "
        "`none` is for runs whose latents are all imported; `data` can then be left out"
    )
    path: PathText | None = Field(
        None,
        description="Folder with the images, or for class folders a .zip archive of them. Not needed for digits",
    )
    held_out_path: PathText | None = Field(
        None,
        description="Folder with the held-out images, if the data set has its own. Default: the share `held_out` is "
        "split off. Held-out images that equal a training image are left out",
    )
    image_size: ImageSize = Field(
        description="Side of the images after ADM's centre crop, in pixels, or [height, width]"
    )
    min_side: Count | None = Field(
        None,
        description="Smallest accepted length of an image's shorter side, in pixels. Default: no image is enlarged, so "
        "`image_size`",
    )
    held_out: Share = Field(
        0.1,
        description="Share of each class that is held out of training. The choice depends on `seed`. Copies of an "
        "image stay on the same side",
    )
    flips: bool = Field(False, description="Also store the latents of mirrored images, for training and for the oracle")
    background: Colour = Field(
        "white",
        description='Colour behind transparent images: `white`, `black`, `grey` or `"#rrggbb"`',
    )
    max_corrupt: Below1 = Field(
        0.0,
        description="Largest accepted share of unreadable images. They are left out, counted and listed. With more, "
        "the run stops",
    )
    shards: Count = Field(
        1,
        description="Number of encoding jobs per latent space for the training images. Their files are joined without "
        "copying",
    )
    images: Count | None = Field(
        None,
        description="Number of training images that `estimate` uses. Default: it counts them. With `held_out_images` "
        "too, `estimate` runs before the images are there",
    )
    held_out_images: Count | None = Field(
        None, description="Number of held-out images that `estimate` uses. Default: it counts them"
    )
    classes: Count | Literal["none"] | None = Field(
        None,
        description="`none`: the images have no classes. They lie in the folder itself and in folders below it, and "
        "labels are not read. A number: that of the classes, for `estimate`. Default: it counts the class folders, or "
        "takes 1,000 if there are none",
    )

    @model_validator(mode="after")
    def _has_path(self):
        if self.name == "image_folder" and self.path is None:
            raise ValueError("image_folder needs `path`, the folder that holds one folder per class")
        if self.name == "cifar10" and self.path is None:
            raise ValueError("cifar10 needs `path`, the folder that its archive is unpacked in")
        return self

    @property
    def unlabelled(self):
        """Whether the images have no classes."""
        return self.classes == NO_CLASSES
