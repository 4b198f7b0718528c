"""Copies of images, found by content: by a digest of the pixels after reading and cropping.

Two images are copies when their pixels (uint8, after the crop) and shapes are equal, whatever their files, names and
class labels. The mirrored image has a digest of its own, because an image may equal the mirror of another, which
matters if mirrored images are encoded too.
"""

import csv
import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tqdm import tqdm

from twostage.data.folders import list_images
from twostage.provenance import atomic_write

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
    """Content ids int64 (n,) of hex digests: the first eight bytes of each."""
    return np.frombuffer(bytes.fromhex("".join(text[:16] for text in digests)), dtype="<i8").astype(np.int64)


def digests_of(read, items, workers=1):
    """``image_digests`` of ``read(item)`` for all items, by threads; ("", "") where ``read`` raises BadImage."""
    from twostage.data.images import BadImage  # here, since the oracle, which reads stores, needs no Pillow

    def one(item):
        try:
            return image_digests(read(item))
        except BadImage:
            return "", ""

    found = []
    with ThreadPoolExecutor(workers) as pool, tqdm(total=len(items), desc="pixels", unit="image", disable=None) as bar:
        for start in range(0, len(items), BLOCK):
            found += pool.map(one, items[start : start + BLOCK])
            bar.update(len(found) - start)
    return found


def contents_of(names, digests):
    """Content ids int64 (N, 2) of images and of the mirrored images.

    names: N different texts; digests: N pairs of hex digests. An image that cannot be read ("") equals no other.
    """
    return _unpack(_pack(name, *pair) for name, pair in zip(names, digests))


def _pack(name, plain, mirrored):
    """The two content ids of one image, as 16 bytes."""
    if plain:
        return bytes.fromhex(plain[:16] + mirrored[:16])
    return hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=16).digest()


def _unpack(packed):
    return np.frombuffer(b"".join(packed), dtype="<i8").astype(np.int64).reshape(-1, 2)


def first_of(values):
    """For each of ``values`` (n,), the position of the first value equal to it: int64 (n,)."""
    _, first, group = np.unique(values, return_index=True, return_inverse=True)
    return first[group]


def describe_copies(names, content):
    """One sentence, with an example, on the copies among images with these names and content ids (N,); None if none."""
    first = first_of(content)
    copies = np.flatnonzero(first != np.arange(len(first)))
    if not len(copies):
        return None
    return (
        f"{len(copies)} of {len(first)} images are copies of an earlier one, such as {names[copies[0]]} of "
        f"{names[first[copies[0]]]}: they count as one image, and never lie on both sides of the split"
    )


# ------------------------------------------------------------------------------------------------------------ contents


def write_contents(folders, index, read, how, output, workers=1, classes=None):
    """Write the digests of the pixels of indexed images as CSV: digest (of a file's bytes), pixels, mirrored.

    folders: {"path": folder, "held_out_path": folder or None}; index: their ``Index``; read: path -> uint8 (H, W, C);
    how: the settings on which the pixels depend, as text, which stands in the head of the table; classes: see
    ``list_images``.
    Files with equal bytes are read once; files that are already in ``output`` are not read. Digests are empty for a
    file that cannot be read. Returns one sentence on the copies, or None.
    """
    files = [(key, folder, list_images(folder, classes).files) for key, folder in folders.items() if folder]
    paths = [path for _, _, found in files for path, _ in found]
    digests = [digest.hex() for key, folder, found in files for digest in index.digests(key, folder, found)]
    try:
        known = {row[0]: row for row in _rows(output, how) if row[1]}
    except (OSError, ValueError, csv.Error):
        known = {}
    new = {digest: path for path, digest in zip(reversed(paths), reversed(digests)) if digest not in known}
    pairs = dict(zip(new, digests_of(read, list(new.values()), workers)))
    rows = {digest: known.get(digest) or [digest, *pairs[digest]] for digest in digests}
    with atomic_write(output) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(_columns(how))
        writer.writerows(rows.values())
    return describe_copies(paths, contents_of(paths, [rows[digest][1:] for digest in digests])[:, 0])


def known_contents(contents, read, how, files, digests, workers=1):
    """``contents_of`` files [(path, size)] whose bytes have these digests, from a table that ``write_contents`` wrote.

    A file that is not in the table, or could not be read when the table was written, is read now. If there is no table,
    every file is read. Raises ValueError for a file that is no such table.
    """
    try:
        # There may be millions of images, so only 32 bytes of each are kept, not its row.
        known = {bytes.fromhex(row[0]): _pack("", *row[1:]) for row in _rows(contents, how) if row[1]}
    except FileNotFoundError:
        known = {}
    except (OSError, ValueError, csv.Error):
        raise ValueError(
            f"{contents}: no digests of pixels read as {how}; expected what `python -m twostage.data contents` writes"
        ) from None
    new = [path for (path, _), digest in zip(files, digests) if digest not in known]
    read_now = dict(zip(new, digests_of(read, new, workers)))
    return _unpack(known.get(digest) or _pack(path, *read_now[path]) for (path, _), digest in zip(files, digests))


def _columns(how):
    return ["digest", f"pixels ({how})", "mirrored"]


def _rows(path, how):
    """Yield the rows of such a table. Raises OSError, ValueError or csv.Error for a file that is none."""
    with open(path, encoding="utf-8", newline="") as stream:
        rows = csv.reader(stream)
        if next(rows, None) != _columns(how):
            raise ValueError(f"{path}: expected the columns {', '.join(_columns(how))}")
        for digest, pixels, mirrored in rows:
            yield [digest, pixels, mirrored]
