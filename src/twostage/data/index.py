"""The index of class folders: the files with their class and a digest of their bytes.

An index is made without decoding images, in minutes for a million files. Its identity is its content: file names below
the folder, sizes, digests and class names, but neither the folder's place nor a date. So a copied data set has the same
identity.
"""

import csv
import hashlib
import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from twostage.data.archive import readable
from twostage.data.folders import describe_passed_over, list_images, look_alike
from twostage.data.images import peculiarities
from twostage.provenance import atomic_write

COLUMNS = ("folder", "path", "size", "digest", "class")
TEXT = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}  # names of files need not be UTF-8
BLOCK = 1024  # files handed to the threads at a time
SAID = {
    "unreadable": "cannot be read as images; encoding stops at them unless max_corrupt allows to leave them out",
    "transparent": "may have transparent pixels: these are laid over the colour data.background",
    "16-bit": "have 16-bit grey values: scaled to 8 bits",
    "rotated": "have an EXIF orientation: not applied, as in ADM",
    "animated": "have several frames: the first one is taken",
}


def write_index(folders, output, workers=1, classes=None):
    """Write the index of class folders as CSV: folder, path (below that folder), size (bytes), digest, class.

    folders: {"path": folder, "held_out_path": folder or None}; classes: see ``list_images``. An index that has the same
    content already is not touched. Returns (whether it was written, one sentence per kind of files that are skipped or
    read in an unexpected way).
    """
    listings = {key: (folder, list_images(folder, classes)) for key, folder in folders.items() if folder}
    files = [
        (key, os.path.relpath(path, folder), path, size, listing.classes[label])
        for key, (folder, listing) in listings.items()
        for (path, size), label in zip(listing.files, listing.labels)
    ]
    digests, found = [], {kind: [] for kind in SAID}
    with ThreadPoolExecutor(workers) as pool, tqdm(total=len(files), desc="index", unit="file", disable=None) as bar:
        for start in range(0, len(files), BLOCK):
            block = files[start : start + BLOCK]
            for (_, _, path, _, _), (digest, kinds) in zip(block, pool.map(_looked_at, [file[2] for file in block])):
                digests.append(digest)
                for kind in kinds:
                    found[kind].append(path)
            bar.update(len(block))
    said = describe_passed_over(*(listing for _, listing in listings.values()))
    said += [
        f"{len(paths)} of {len(files)} files {SAID[kind]} (such as {paths[0]})"
        for kind, paths in found.items()
        if paths
    ]
    said += _single(listings["path"][1]) + look_alike(listings["path"][1].classes)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((key, path, size, digest, name) for (key, path, _, size, name), digest in zip(files, digests))
    content = text.getvalue().encode(TEXT["encoding"], TEXT["errors"])
    if Path(output).is_file() and Path(output).read_bytes() == content:
        return False, said
    with atomic_write(output) as temporary:
        temporary.write_bytes(content)
    return True, said


def _single(listing):
    """A list with one sentence on classes of one image; an empty list if there are none."""
    names = [name for name, count in zip(listing.classes, np.bincount(listing.labels)) if count == 1]
    if not names:
        return []
    return [
        f"{len(names)} of {len(listing.classes)} classes hold one image (such as {names[0]}): N = 1, so its weight is "
        "1 and the class's transition 0"
    ]


def _looked_at(path):
    """Digest of a file's bytes and its peculiarities; ("", ["unreadable"]) for a file that cannot be read."""
    try:
        file = readable(path)
        content = file.getvalue() if isinstance(file, io.BytesIO) else Path(file).read_bytes()
    except OSError:
        return "", ["unreadable"]
    return hashlib.blake2b(content, digest_size=16).hexdigest(), peculiarities(io.BytesIO(content))


class Index:
    """An index that ``write_index`` wrote. ``identity``: hex digest of its content; ``path``: where it lies.

    Raises ValueError for a file that is no index.
    """

    def __init__(self, path):
        self.path = Path(path)
        try:
            self.identity = hashlib.blake2b(self.path.read_bytes(), digest_size=16).hexdigest()
            # There may be millions of images, so only 16 bytes of each are kept, not its row.
            self._digests = {
                f"{folder} {size} {name}": bytes.fromhex(digest) for folder, name, size, digest, _ in self._rows()
            }
        except (OSError, ValueError, csv.Error):
            raise ValueError(
                f"{path}: no index of images; expected the table that `python -m twostage.data index` writes"
            ) from None

    def digests(self, key, folder, files):
        """Digests (bytes) of the bytes of files [(path, size)] below ``folder``; key: "path" or "held_out_path".

        Raises ValueError for a file that the index does not have, or has with another size.
        """
        found = []
        for path, size in files:
            digest = self._digests.get(f"{key} {size} {os.path.relpath(path, folder)}")
            if digest is None:
                raise ValueError(
                    f"{path} is new or has changed since {self.path} was written; bring the index up to date with "
                    "`python -m twostage.data index` (docs/reruns.md)"
                )
            found.append(digest)
        return found

    def _rows(self):
        with open(self.path, **TEXT) as stream:
            rows = csv.reader(stream)
            if next(rows, None) != list(COLUMNS):
                raise ValueError
            yield from rows


def refuse_other_index(path, theirs, other, ours):
    """Raise ValueError if ``path`` was made from other images than ``other``; theirs, ours: their identities.

    An unknown identity (None, "unknown"; "none" for imported latents) is accepted.
    """
    known = [identity for identity in (theirs, ours) if identity not in (None, "", "unknown", "none")]
    if len(known) == 2 and theirs != ours:
        raise ValueError(
            f"{path} was made from other images (index {theirs[:12]}) than {other} (index {ours[:12]}): make the "
            "older one again"
        )
