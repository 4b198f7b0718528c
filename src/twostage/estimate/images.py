"""How many images and classes there are: as the configuration says, else counted."""

import os

from twostage.data.archive import is_archive
from twostage.data.folders import SUFFIXES, class_folders, list_images
from twostage.data.known import KNOWN
from twostage.unlabelled import NO_CLASSES

ASSUMED_CLASSES = 1000  # ImageNet's, where the folders are not there and the configuration does not say


def count_images(config):
    """{"train": N, "held_out": M}: as the configuration says, else counted in the class folders, or in latents that
    stand for images."""
    data = config.data
    if data.images and data.held_out_images:
        return {"train": data.images, "held_out": data.held_out_images}
    if data.name == "none":
        return {"train": data.images or max(map(_imported, config.spaces.values())), "held_out": 0}
    if known := KNOWN.get(data.name):
        train, held_out = known.train, known.held_out
    else:
        folders = (data.path, data.held_out_path)
        train, held_out = (_files_below(path, data.unlabelled) if path else 0 for path in folders)
    if not held_out:
        held_out = round(train * data.held_out)
        train -= held_out
    return {"train": data.images or train, "held_out": data.held_out_images or held_out}


def count_classes(config):
    """(number of classes, whether it is a guess): as the configuration says, the data set's, or of folders."""
    data = config.data
    if data.unlabelled:
        return 1, False
    if known := KNOWN.get(data.name):
        return known.classes, False
    if data.classes:
        return data.classes, False
    if data.name == "none" or not os.path.exists(data.path):
        return ASSUMED_CLASSES, True
    return len(class_folders(data.path)), False


def _imported(space):
    from twostage.data.interchange import imported_count

    return imported_count(space.imported.format, space.imported.path)


def _files_below(path, unlabelled):
    """Images in class folders and in folders below them, by name: sizes are not asked for, so no file is touched.

    unlabelled: there are no class folders, and the images in the folder itself count too."""
    if is_archive(path):
        return len(list_images(path, NO_CLASSES if unlabelled else None).files)
    below = [os.walk(path)] if unlabelled else [os.walk(os.path.join(path, name)) for name in class_folders(path)]
    return sum(name.lower().endswith(SUFFIXES) for walk in below for _, _, names in walk for name in names)
