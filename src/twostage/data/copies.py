"""Copies of images, found by content: a digest of what an image looks like once it is read and cropped.

Two images are copies when their pixels (uint8, after the crop) and shapes are equal, whatever their files, names and
class labels. The mirrored image has a digest of its own: where mirrored images are encoded too, an image may equal the
mirror of another.
"""

import csv
import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tqdm import tqdm

from twostage.data.images import BadImage
from twostage.provenance import atomic_write

COLUMNS = ("path", "size", "digest", "mirrored")
BLOCK = 1024  # images handed to the threads at a time


def digest(values):
    """blake2b of an array's shape and bytes (16 bytes, as hex): equal for equal arrays of one dtype."""
    values = np.ascontiguousarray(values)
    found = hashlib.blake2b(str(values.shape).encode(), digest_size=16)
    found.update(values)
    return found.hexdigest()


def image_digests(image):
    """(digest, digest of the mirrored image) of an image uint8 (H, W, C)."""
    return digest(image), digest(image[:, ::-1])


def content_ids(digests):
    """Content ids of hex digests (any shape), int64 of the same shape: the first eight bytes of each."""
    digests = np.asarray(digests)
    joined = bytes.fromhex("".join(text[:16] for text in digests.ravel().tolist()))
    return np.frombuffer(joined, dtype="<i8").astype(np.int64).reshape(digests.shape)


def digests_of(read, items, workers=1):
    """``image_digests`` of ``read(item)`` for all items, by threads; ("", "") where ``read`` raises BadImage."""

    def one(item):
        try:
            return image_digests(read(item))
        except BadImage:
            return "", ""

    found = []
    with ThreadPoolExecutor(workers) as pool, tqdm(total=len(items), desc="index", unit="image", disable=None) as bar:
        for start in range(0, len(items), BLOCK):
            found += pool.map(one, items[start : start + BLOCK])
            bar.update(len(found) - start)
    return found


def contents_of(names, digests):
    """Content ids int64 (N, 2) of images and of their mirrored twins.

    names: N different texts; digests: N pairs of hex digests. An image that cannot be read ("") is like no other.
    """
    alone = lambda *words: hashlib.blake2b(repr(words).encode(errors="surrogateescape"), digest_size=16).hexdigest()  # noqa: E731
    filled = [
        (plain, mirrored) if plain else (alone(name), alone(name, "mirrored"))
        for name, (plain, mirrored) in zip(names, digests)
    ]
    return content_ids(np.array(filled, dtype="U32").reshape(-1, 2))


def first_of(values):
    """Position of the first of the equal ones among ``values`` (n,), for each: int64 (n,)."""
    _, first, group = np.unique(values, return_index=True, return_inverse=True)
    return first[group]


def describe_copies(names, content):
    """One sentence on the copies among images of these names and content ids (N,), an example in it; else None."""
    first = first_of(content)
    copies = np.flatnonzero(first != np.arange(len(first)))
    if not len(copies):
        return None
    return (
        f"{len(copies)} of {len(first)} images are copies of an earlier one, such as {names[copies[0]]} of "
        f"{names[first[copies[0]]]}: they count as one image, and never lie on both sides of the split"
    )


# --------------------------------------------------------------------------------------------------------------- index


def write_index(files, read, output, workers=1):
    """Write the digests of image files as CSV: path, size (bytes), digest, mirrored (digest of the mirrored image).

    files: [(path, size)]; read: path -> uint8 (H, W, C). Digests are empty for a file that cannot be read. An index
    that says the same already is not touched. Returns (whether it was written, one sentence on the copies or None).
    """
    digests = digests_of(read, [path for path, _ in files], workers)
    rows = [[path, str(size), *pair] for (path, size), pair in zip(files, digests)]
    names = [path for path, _ in files]
    said = describe_copies(names, contents_of(names, digests)[:, 0])
    if _rows(output) == rows:
        return False, said
    with atomic_write(output) as temporary, open(temporary, "w", **TEXT) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    return True, said


def indexed_contents(index, read, files):
    """``contents_of`` files [(path, size)], their digests taken from an index that ``write_index`` wrote.

    Files that could not be read when the index was written are looked at again. Raises ValueError for an index that is
    no such table, and for a file that it lacks or knows by another size.
    """
    rows = _rows(index)
    if rows is None:
        raise ValueError(f"{index}: no index of images; expected the table that `python -m twostage.data index` writes")
    known = {(path, size): (plain, mirrored) for path, size, plain, mirrored in rows}
    digests = []
    for path, size in files:
        pair = known.get((path, str(size)))
        if pair is None:
            raise ValueError(f"{path} is new or has changed since {index} was written; delete the index and run again")
        digests.append(pair if pair[0] else digests_of(read, [path])[0])
    return contents_of([path for path, _ in files], digests)


TEXT = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}  # names of files need not be UTF-8


def _rows(path):
    """The rows of an index; None where the file is absent or something else."""
    try:
        with open(path, **TEXT) as stream:
            header, *rows = csv.reader(stream)
    except (OSError, ValueError, csv.Error):
        return None
    return rows if header == list(COLUMNS) and all(len(row) == len(COLUMNS) for row in rows) else None
