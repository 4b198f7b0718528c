"""Folders of images: which folders are classes, which files are images, and which are skipped.

The folders may be packed as one zip archive (``twostage.data.archive``).
"""

import os
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from twostage.data.archive import entries as entries_of
from twostage.unlabelled import EVERYTHING, NO_CLASSES

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")

# Folders that operating systems, network disks and archives leave beside images; hidden folders are skipped too.
NOISE = {"@eaDir", "__MACOSX", "lost+found", "#recycle", "$RECYCLE.BIN", "System Volume Information"}
SPLIT_NAMES = {"train", "training", "val", "valid", "validation", "test", "testing"}
WAY_OUT = "put the images into one folder per class; one folder is one class"


@dataclass
class Listing:
    """The images below class folders, or, without classes, below a folder.

    ``classes``: names, in natural order (2 before 10); ``files``: [(path, size in bytes)], by class and path;
    ``labels``: int64 (N,); ``passed_over``: {kind: number of skipped files and folders, which are no images of a
    class}; ``deeper``: number of images that lie in folders below their class folder.
    """

    classes: list
    files: list = field(default_factory=list)
    labels: np.ndarray = None
    passed_over: Counter = field(default_factory=Counter)
    deeper: int = 0


def list_images(path, classes=None):
    """The Listing of a folder that holds one folder per class; images in folders below a class folder belong to it.

    classes: "none" for a folder whose images have no classes: those in it and in all folders below it.
    Raises ValueError for a folder that cannot be listed or has no class folders, for class folders that are splits
    (train, val), and for a class folder without images.
    """
    if classes == NO_CLASSES:
        return _without_classes(path)
    listing = Listing(class_folders(path))
    for entry in entries_of(path):
        if not _is("is_dir", entry):
            listing.passed_over["an image beside the class folders" if _is_image(entry) else _kind(entry)] += 1
        elif entry.name in NOISE or entry.name.startswith("."):
            listing.passed_over["a folder of a system or an archive"] += 1
    counts = []
    for name in listing.classes:
        folder, before = os.path.join(path, name), len(listing.files)
        listing.files += sorted(_below(folder, listing), key=lambda file: file[0])
        counts.append(len(listing.files) - before)
        listing.deeper += sum(os.path.dirname(file) != folder for file, _ in listing.files[before:])
        if not counts[-1]:
            raise ValueError(
                f"{folder}: an empty class folder; expected images ({', '.join(SUFFIXES)}): add some or remove "
                "the folder"
            )
    listing.labels = np.repeat(np.arange(len(counts)), counts)
    return listing


def _without_classes(path):
    listing = Listing([EVERYTHING])
    entries = _entries(path, "images")
    folders = _folders_in(entries)
    if folders and not any(map(_is_image, entries)):
        _refuse_splits(path, folders)
    listing.files = sorted(_below(path, listing), key=lambda file: file[0])
    if not listing.files:
        raise _no_images(path)
    listing.labels = np.zeros(len(listing.files), dtype=np.int64)
    return listing


def _no_images(path):
    return ValueError(f"{path}: no images; expected some ({', '.join(SUFFIXES)}), in it or in folders below it")


def class_folders(path):
    """Names of the class folders directly in ``path``, in natural order. Raises ValueError as ``list_images`` does."""
    entries = _entries(path, "class folders")
    names = _folders_in(entries)
    if not names:
        images = sum(map(_is_image, entries))
        found = f"{images} images, but no class folders" if images else "no class folders"
        raise ValueError(f"{path}: {found}; {WAY_OUT}" + (", or set data.classes to none" if images else ""))
    names.sort(key=natural)
    _refuse_splits(path, names)
    return names


def _entries(path, what):
    try:
        return entries_of(path)
    except OSError as error:
        raise ValueError(f"{path}: cannot list the {what} ({error.strerror}); expected a folder") from None


def _folders_in(entries):
    return [entry.name for entry in entries if _is("is_dir", entry) and not _is_noise(entry)]


def _refuse_splits(path, names):
    if {name.lower() for name in names} <= SPLIT_NAMES and (len(names) > 1 or _has_folders(Path(path) / names[0])):
        raise ValueError(
            f"{path}: its folders are splits ({', '.join(names)}), not classes; set data.path to {path}/{names[0]}, "
            "and data.held_out_path to the folder of the held-out images, if there is one"
        )


def folders_of(path, classes=None):
    """The class folders of ``path``, as paths; [path] for images without classes. Raises ValueError as ``list_images``
    does."""
    return [path] if classes == NO_CLASSES else [os.path.join(path, name) for name in class_folders(path)]


def images_in(folder, most):
    """Number of images in a folder and in folders below it, counted up to ``most``."""
    return sum(1 for _ in islice(_below(folder, Listing([])), most))


def refuse_single_images(path, classes=None):
    """Raise ValueError (as ``list_images`` does) if no class holds more than one image.

    Stops at the first class with two images.
    """
    if classes == NO_CLASSES:
        count = images_in(path, 2)
        if not count:
            raise _no_images(path)
        if count == 1:
            raise ValueError(f"{path}: one image; expected at least two, because the oracle distinguishes them")
        return
    folders = folders_of(path)
    if any(images_in(folder, 2) != 1 for folder in folders):  # a class without images is for `list_images` to refuse
        return
    raise ValueError(
        f"{path}: one image in each of its {len(folders)} classes; expected at least two in one of them, because the "
        "oracle distinguishes the images of a class"
    )


def describe_passed_over(*listings):
    """One sentence per kind of files that were skipped or lie in an unexpected place: a list of str."""
    total = sum((listing.passed_over for listing in listings), Counter())
    lines = [f"{count} skipped: {kind}" for kind, count in sorted(total.items())]
    if deeper := sum(listing.deeper for listing in listings):
        lines.append(f"{deeper} images lie in folders below their class folder: they belong to that class")
    return lines


def look_alike(classes):
    """A list with one sentence on class names that look the same to a reader; an empty list if there are none."""
    first = {}
    for name in classes:
        other = first.setdefault(" ".join(unicodedata.normalize("NFKC", name).casefold().split()), name)
        if other != name:
            return [
                f"the class folders {other!a} and {name!a} count as two classes; their names differ only in spaces, "
                "case or the coding of their letters"
            ]
    return []


def natural(name):
    """Sort key of names in which numbers count as numbers (2 before 10); names without digits sort as usual."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", name)], name


def _below(folder, listing):
    """Yield (path, size in bytes) of the images below a folder; count other files in ``listing.passed_over``."""
    try:
        entries = entries_of(folder)
    except OSError as error:
        raise ValueError(f"{folder}: cannot list the images ({error.strerror}); expected a folder to read") from None
    for entry in entries:
        if _is("is_dir", entry):
            if _is_noise(entry):
                listing.passed_over["a folder of a system or an archive"] += 1
            elif entry.name.lower().endswith(SUFFIXES):
                listing.passed_over["a folder named like an image"] += 1
            elif not entry.is_symlink():  # a link may lead in a circle
                yield from _below(entry.path, listing)
            else:
                listing.passed_over["a link to a folder"] += 1
        elif not _is_image(entry):
            listing.passed_over[_kind(entry)] += 1
        elif _is("is_file", entry):
            yield entry.path, entry.stat().st_size
        else:
            listing.passed_over["a broken link" if entry.is_symlink() else "a pipe, socket or device"] += 1


def _is(kind, entry):
    """Whether an entry is of a kind ("is_dir", "is_file"); False for a link that leads in a circle."""
    try:
        return getattr(entry, kind)()
    except OSError:
        return False


def _is_noise(entry):
    return entry.name.startswith(".") or entry.name in NOISE


def _is_image(entry):
    return entry.name.lower().endswith(SUFFIXES) and not entry.name.startswith(".")


def _kind(entry):
    if entry.name.startswith("."):
        return "a hidden file"
    suffix = Path(entry.name).suffix.lower()
    return f"a file of type {suffix}" if suffix else "a file without a type"


def _has_folders(folder):
    return any(_is("is_dir", entry) and not _is_noise(entry) for entry in entries_of(folder))
