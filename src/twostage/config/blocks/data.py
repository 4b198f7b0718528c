"""``data``: the images, and how they are split into training and held-out ones."""

from typing import Literal

from pydantic import Field, model_validator

from twostage.config.blocks.base import Block
from twostage.config.values import Below1, Colour, Count, PathText, Share


class Data(Block):
    """The images, and how they are split into training and held-out ones."""

    name: Literal["digits", "image_folder", "cifar10", "none"] = Field(
        description="Data set: scikit-learn's digits, class folders of images, torchvision's CIFAR-10, or none, where "
        "all latents are imported and nothing is encoded or decoded: `data` is then left out"
    )
    path: PathText | None = Field(None, description="Folder with the images; not for digits")
    held_out_path: PathText | None = Field(
        None,
        description="Folder with the held-out images, where the data set has its own; else `held_out` is split off. "
        "Held-out images that equal a training image are left out",
    )
    image_size: Count = Field(description="Side of the square images after ADM's centre crop, pixels")
    min_side: Count | None = Field(
        None, description="Smallest shorter side of an image that is accepted, pixels; unless given, `image_size`"
    )
    held_out: Share = Field(
        0.1, description="Share of each class held out of training, seeded by `seed`; copies of an image stay together"
    )
    flips: bool = Field(
        False, description="Store the latents of mirrored images too, for training and for the oracle alike"
    )
    background: Colour = Field(
        "white",
        description='Colour that transparent images are laid over: `white`, `black`, `grey` or `"#rrggbb"`',
    )
    max_corrupt: Below1 = Field(
        0.0,
        description="Largest share of unreadable images to leave out (counted and listed) instead of stopping",
    )
    shards: Count = Field(
        1, description="Encoding jobs for the training images of a latent space; their files are joined without copying"
    )
    images: Count | None = Field(
        None,
        description="Training images that `estimate` reckons with, else it counts them; given with `held_out_images`, "
        "it runs before the images are there",
    )
    held_out_images: Count | None = Field(None, description="Held-out images that `estimate` reckons with")
    classes: Count | None = Field(
        None,
        description="Classes that `estimate` reckons with; else it counts the folders (1,000 where there are none)",
    )

    @model_validator(mode="after")
    def _has_path(self):
        if self.name == "image_folder" and self.path is None:
            raise ValueError("image_folder needs `path`, the folder that holds one folder a class")
        if self.name == "cifar10" and self.path is None:
            raise ValueError("cifar10 needs `path`, the folder that its archive is unpacked in")
        return self
