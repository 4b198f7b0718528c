"""Image data sets with a train and a held-out split: digits, class folders of images, CIFAR-10."""

import hashlib
import json
import os
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from PIL import Image

from twostage.data.copies import contents_of, digests_of, first_of, image_digests, known_contents
from twostage.data.folders import class_folders, list_images, refuse_single_images
from twostage.data.images import BadImage, Reader, centre_crop
from twostage.data.index import Index
from twostage.data.known import KNOWN
from twostage.sides import sides_of, size_of
from twostage.storage import here
from twostage.unlabelled import EVERYTHING, NO_CLASSES

SPLITS = ("train", "held_out")


class ImageDataset:
    """Images of one size with class labels, one split of a data set.

    ``labels``: int64 (N,); ``classes``: names, by label; ``image_shape``: (H, W, C); ``fingerprint``: hex digest
    that changes with the data, the split and the preprocessing; ``index``: identity of all images of the data set (hex
    digest), None if it is not known; ``copies_left_out``: number of images that were left out of the held-out split
    because they equal a training image.
    """

    copies_left_out, index = 0, None

    def __init__(self, name, split, labels, classes, image_shape, fingerprint):
        self.name, self.split = name, split
        self.labels = np.asarray(labels, dtype=np.int64)
        self.classes, self.image_shape, self.fingerprint = list(classes), tuple(image_shape), fingerprint
        self.max_corrupt = 0.0

    def __len__(self):
        return len(self.labels)

    def drop_classes(self):
        """Make of all images one class, for data without labels."""
        if self.classes != [EVERYTHING]:
            self.labels, self.classes = np.zeros_like(self.labels), [EVERYTHING]
            self.fingerprint = hashlib.sha256(f"{self.fingerprint}, no classes".encode()).hexdigest()

    def image(self, index):
        """Image ``index``: uint8 (H, W, C). Raises BadImage for a file that cannot be used."""
        raise NotImplementedError

    def name_of(self, index):
        """The name of image ``index`` for people."""
        return f"{self.split} image {index}"

    @cached_property
    def contents(self):
        """Content ids of the images and of the mirrored images, int64 (N, 2): equal images have equal ids.

        Every image is read for this, unless the data set was loaded with an index of its files.
        """
        rows = range(len(self))
        digests = digests_of(self.image, rows, min(8, os.cpu_count() or 1))
        return contents_of([self.name_of(row) for row in rows], digests)

    def images(self, indices):
        """Images at ``indices`` (integers, any order): uint8 (n, H, W, C). Raises BadImage (a ValueError)."""
        indices = np.atleast_1d(np.asarray(indices, dtype=np.int64))
        images = np.empty((len(indices), *self.image_shape), dtype=np.uint8)
        for row, index in enumerate(indices):
            images[row] = self.image(index)
        return images

    def readable_images(self, indices):
        """As ``images``, without the images that cannot be used.

        Returns (images uint8 (m, H, W, C), indices kept int64 (m,), the BadImage errors of the others).
        """
        images, kept, problems = np.empty((len(indices), *self.image_shape), dtype=np.uint8), [], []
        for index in indices:
            try:
                images[len(kept)] = self.image(index)
            except BadImage as problem:
                problems.append(problem)
            else:
                kept.append(index)
        return images[: len(kept)], np.array(kept, dtype=np.int64), problems

    def usable_images(self, indices):
        """Images at ``indices`` for training a network: (uint8 (m, H, W, C), indices kept int64 (m,)).

        Unusable images are left out if ``max_corrupt`` allows some; otherwise the first error (BadImage) is raised.
        Only encoding checks their total number.
        """
        images, kept, problems = self.readable_images(indices)
        if problems and (not self.max_corrupt or not len(kept)):
            raise problems[0]
        return images, kept


class ArrayDataset(ImageDataset):
    """A data set whose pixels fit into memory: uint8 (N, H, W, C)."""

    def __init__(self, name, split, pixels, labels, classes):
        digest = hashlib.sha256(f"{name} {split} {pixels.shape} {json.dumps(list(classes))}".encode())
        digest.update(np.ascontiguousarray(pixels))
        digest.update(np.asarray(labels, dtype=np.int64).tobytes())
        super().__init__(name, split, labels, classes, pixels.shape[1:], digest.hexdigest())
        self.pixels = pixels

    def image(self, index):
        return self.pixels[index]

    @cached_property
    def contents(self):
        return _contents_of_pixels(self.pixels)

    def images(self, indices):
        return self.pixels[np.atleast_1d(np.asarray(indices, dtype=np.int64))]

    def readable_images(self, indices):
        return self.images(indices), np.asarray(indices, dtype=np.int64), []


class ImageFolder(ImageDataset):
    """One folder per class, whose name is that of the class; images are read from disk when they are needed.

    read: path -> image uint8 (H, W, 3); find: function that returns ``contents`` when they are needed.
    """

    def __init__(self, split, paths, labels, classes, image_size, read, fingerprint, find):
        super().__init__("image_folder", split, labels, classes, (*sides_of(image_size), 3), fingerprint)
        self.paths, self._read, self._find = paths, read, find

    def name_of(self, index):
        return self.paths[index]

    @cached_property
    def contents(self):
        return self._find()

    def image(self, index):
        return self._read(self.paths[index])


def load_dataset(name, split, **options):
    """A split of a named data set.

    name: "digits" (scikit-learn's, 8 x 8 x 1, values 0..16 scaled to 0..255), "image_folder" (class folders of images,
    ADM's centre crop) or "cifar10" (torchvision's files; its test images are the held-out split).
    split: "train" or "held_out".
    options: ``path`` (folder; image_folder: or a .zip archive of it), ``held_out_path`` (image_folder: a folder or
    archive of its own for the held-out images, such as ImageNet's val), ``held_out`` (share of each class that is held
    out, if the data set has no held-out part), ``seed`` (of that choice), ``image_size`` (side, or (height, width),
    pixels; cifar10: also less than its 32), ``min_side`` (image_folder: smallest accepted length of the shorter side,
    pixels; by default image_size; 1 enlarges every image as ADM does), ``classes`` ("none": the images have no classes,
    and all labels are 0; an image_folder is then a folder with images in it and in folders below it), ``background``
    (image_folder: colour behind transparent images, "#rrggbb" or a name; by default white), ``max_corrupt`` (kept as an
    attribute: the share of unusable images that encoding may leave out), ``index``
    (image_folder: CSV that `python -m twostage.data index` writes; copies are found from contents.csv beside it, and
    images that are not in it are read). An option of None counts as not given.
    Copies of one image (equal pixels; class labels do not matter) lie on one side of a split. If the held-out images
    have a folder of their own, those that equal a training image are left out.
    Raises ValueError for names, options, files or splits that cannot be used.
    """
    loaders = {"digits": _digits, "image_folder": _image_folder, "cifar10": _cifar10}
    if name not in loaders:
        raise ValueError(f"data set is {name!r}; expected one of {', '.join(loaders)}")
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}; expected one of {', '.join(SPLITS)}")
    max_corrupt = options.pop("max_corrupt", None) or 0.0
    known = {"path", "held_out_path", "held_out", "seed", "image_size", "min_side", "background", "index", "classes"}
    if unknown := set(options) - known:
        raise ValueError(f"unknown data set option {min(unknown)!r}; expected {', '.join(sorted(known))}")
    if options.get("classes") not in (None, NO_CLASSES):
        raise ValueError(f"classes is {options['classes']!r}; expected none, or no such option")
    dataset = loaders[name](split, **{key: value for key, value in options.items() if value is not None})
    if options.get("classes"):
        dataset.drop_classes()
    if not len(dataset):
        if dataset.copies_left_out:
            raise ValueError(
                f"all {dataset.copies_left_out} held-out images equal a training image; expected others in "
                "held_out_path"
            )
        raise ValueError(f"the {split} split of {name} is empty; expected at least one image (see held_out)")
    dataset.max_corrupt = max_corrupt
    return dataset


def number_held_out(count, share):
    """Number of images that are held out of a class of ``count`` different ones, by ``split_rows``."""
    return min(max(round(count * share), int(share > 0)), max(count - 1, 0))


def split_rows(labels, split, held_out, seed, content=None):
    """Row numbers of a split, ascending int64: the share ``held_out`` of each class is held out, chosen by ``seed``.

    Of a class of n images, round(n * held_out) are held out: at least 1 if n > 1 and the share is positive, and at
    least one image stays in training. content: content ids (N,), if images may have copies. The choice is then made
    among different images, each in the class of its first copy, and the other copies follow it. So copies do not change
    how the other images are split. If all images of a class would be held out because they follow others, its first
    image, with its copies, stays in training.
    """
    if not 0 <= held_out < 1:
        raise ValueError(f"held_out is {held_out}; expected a share of each class, 0 <= held_out < 1")
    labels = np.asarray(labels)
    first = np.arange(len(labels)) if content is None else first_of(content)
    original = first == np.arange(len(labels))
    held = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        rows = np.flatnonzero((labels == label) & original)
        count = number_held_out(len(rows), held_out)
        # One random stream per class: adding a class or an image elsewhere does not change this class's split.
        held[np.random.default_rng([seed, int(label)]).permutation(rows)[:count]] = True
    held = held[first]
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        if held[rows].all():
            held[first == first[rows[0]]] = False
    return np.flatnonzero(held if split == "held_out" else ~held)


def _contents_of_pixels(pixels):
    return contents_of(range(len(pixels)), map(image_digests, pixels))


def _digits(split, held_out=0.2, seed=0, image_size=KNOWN["digits"].side, **_):
    _check_size("digits", image_size)
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    rows = split_rows(digits.target, split, held_out, seed, _contents_of_pixels(pixels)[:, 0])
    return ArrayDataset("digits", split, pixels[rows], digits.target[rows], [str(name) for name in digits.target_names])


def _cifar10(split, path=None, image_size=KNOWN["cifar10"].side, **_):
    _check_size("cifar10", image_size)
    from torchvision.datasets import CIFAR10

    if path is None:
        raise ValueError("cifar10 needs `path`, the folder that holds cifar-10-batches-py")
    try:
        train, test = (CIFAR10(here(path), train=part, download=False) for part in (True, False))
    except RuntimeError:
        raise ValueError(
            f"{Path(path) / CIFAR10.base_folder}: CIFAR-10's files are absent or have another checksum; download them "
            f'with `python -m twostage.data download --dataset \'{{"name": "cifar10", "path": "{path}"}}\'`'
        ) from None
    pixels = _reduced(train.data, image_size)
    if split == "train":
        return ArrayDataset("cifar10", split, pixels, train.targets, train.classes)
    own = _reduced(test.data, image_size)
    new = ~np.isin(_contents_of_pixels(own)[:, 0], _contents_of_pixels(pixels)[:, 0])
    dataset = ArrayDataset("cifar10", split, own[new], np.asarray(test.targets)[new], test.classes)
    dataset.copies_left_out = int((~new).sum())
    return dataset


def _reduced(pixels, size):
    """Images uint8 (N, H, W, 3), those of files by ADM's centre crop where a smaller size is asked for."""
    if pixels.shape[1:3] == sides_of(size):
        return pixels
    return np.stack([centre_crop(Image.fromarray(image), size) for image in pixels])


def download_cifar10(path):
    """Fetch CIFAR-10's archive into ``path`` and unpack it, its checksum checked by torchvision."""
    from torchvision.datasets import CIFAR10

    CIFAR10(path, download=True)


def _image_folder(
    split,
    path=None,
    held_out_path=None,
    held_out=0.1,
    seed=0,
    image_size=256,
    min_side=None,
    background="white",
    index=None,
    classes=None,
):
    if path is None:
        raise ValueError("image_folder needs `path`, the folder that holds one folder per class")
    refuse_single_images(path, classes)
    image_size = size_of(*sides_of(image_size))
    min_side = image_size if min_side is None else min_side
    reader = Reader(image_size, min_side, background)
    index = None if index is None else Index(here(index))
    find = partial(_contents_of_files, reader, index)
    key, root, listing = "path", Path(path), list_images(path, classes)
    names, files, labels = listing.classes, listing.files, listing.labels
    rows, contents = np.arange(len(files)), None
    if held_out_path is None:
        contents = find(key, root, files) if held_out else None
        if contents is not None and len(np.unique(contents[:, 0])) == 1:
            raise ValueError(
                f"{path}: all {len(files)} images are copies of one (their pixels after the crop, what is "
                f"transparent over {background}); expected different images"
            )
        rows = split_rows(labels, split, held_out, seed, None if contents is None else contents[:, 0])
    elif split == "held_out":
        key, root = "held_out_path", Path(held_out_path)
        if not classes and (odd := set(class_folders(root)) ^ set(names)):
            raise ValueError(
                f"{root}: class folder {min(odd)!r} is not in both {path} and {root}; expected the same classes"
            )
        seen = find("path", path, files)[:, 0]
        listing = list_images(root, classes)
        files, labels = listing.files, listing.labels
        contents = find(key, root, files)
        rows = np.flatnonzero(~np.isin(contents[:, 0], seen))
    left_out = len(files) - len(rows) if held_out_path else 0
    files, labels = [files[row] for row in rows], labels[rows]
    preprocessing = ["image_folder", split, names, image_size, min_side]
    preprocessing += [background] if background != "white" else []  # without "white", as in stores of earlier versions
    digest = hashlib.sha256(json.dumps(preprocessing).encode())
    for file, size in files:
        digest.update(f"{file[len(str(root)) :]}\0{size}\n".encode(errors="surrogateescape"))
    dataset = ImageFolder(
        split, [file for file, _ in files], labels, names, image_size, reader, digest.hexdigest(),
        find=partial(find, key, root, files) if contents is None else lambda: contents[rows],
    )  # fmt: skip
    dataset.copies_left_out, dataset.index = left_out, index and index.identity
    return dataset


def _contents_of_files(reader, index, key, folder, files):
    """Content ids of files below the folder of a key, from the tables of a run if there are any."""
    workers = min(8, os.cpu_count() or 1)
    if index is None:
        paths = [path for path, _ in files]
        return contents_of(paths, digests_of(reader, paths, workers))
    return known_contents(
        index.path.with_name("contents.csv"), reader, str(reader), files, index.digests(key, folder, files), workers
    )


def _check_size(name, image_size):
    if problem := KNOWN[name].problem(image_size):
        raise ValueError(f"image_size is {image_size}, of {name}; {problem}")
