"""Images that are too few to have stages, as their number alone says: refused before what needs a split."""

import os

from twostage.config.errors import ConfigError
from twostage.data.datasets import number_held_out
from twostage.data.folders import folders_of, images_in
from twostage.unlabelled import NO_CLASSES

MANY = 20  # images of a class up to which they are counted; of more, the weight is taken to be none


def refuse_without_stages(config, spaces):
    """Raise ConfigError, one line, where images of class folders have no split in any of ``spaces``.

    The split is where the mean posterior weight of the true image rises through one half. Of a class of n training
    images, mirrored ones too, it begins at 1 / n, or above where some are copies. Latents that are imported are not
    counted.
    """
    data = config.data
    encoded = [space for space in spaces if config.spaces[space].imported is None]
    if data.name != "image_folder" or not encoded or not os.path.exists(data.path):
        return
    folders = folders_of(data.path, data.classes)
    weight, left = 0.0, len(folders)
    for folder in folders:
        if weight + left < len(folders) / 2:  # whatever the others hold; so of a large set few folders are listed
            return
        count = images_in(folder, MANY)
        train = count if data.held_out_path else count - number_held_out(count, data.held_out)
        weight += 1 / (train * (1 + data.flips)) if count < MANY else 0.0
        left -= 1
    if weight < len(folders) / 2:
        return
    what = "" if data.classes == NO_CLASSES else " as a mean over its classes"
    raise ConfigError(
        f"config: data.path is {data.path!r}, with so few training images that at t = 0 each has "
        f"{weight / len(folders):.0%} of the posterior weight{what}, so that there are no stages and no split; "
        "expected three training images per class or more, or only targets that need no split, such as samples of the "
        "oracle"
    )
