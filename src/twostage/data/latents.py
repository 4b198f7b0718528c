"""The latent store: HDF5, raw latents sorted by class, with the exact statistics that normalise them.

Layout: ``/latents`` float32 (N, C, H, W) sorted by class, ``/labels`` int64 (N,), ``/class_offsets`` int64 (K + 1,),
``/source`` int64 (N,) (index into the split of the data set), optional ``/latents_flip`` like ``/latents``,
``/content`` int64 (N,) (content ids of the images: equal images, equal ids), with flips ``/content_flip`` like it,
``/left_out``, the images that could not be used, and ``/class_names``, one text per class.
Attributes: ``mean``, ``std`` float64 (C,), population moments over all samples and positions of this file, flips
included; ``normalise_mean``, ``normalise_std``: the statistics that normalise (for a held-out store, those of the
training split); ``encoder``, ``encoder_sha256``, ``posterior``, ``split``, ``image_size`` (a side, or "8 x 12", the
height first), ``dataset``, ``dataset_fingerprint``, and ``index``, the identity of the images' index ("unknown" if
there is none, "none" for imported latents). Where something else than the moments normalises, ``normalise`` says so
(``statistics_of``).

h5py reads the metadata once, in ``LatentStore.open``. Latents lie uncompressed and in one piece in their file, and are
read with positioned reads: no HDF5 handle is shared between workers, there is no lock, and memory does not grow.
"""

import contextlib
import hashlib
import io
import itertools
import json
import operator
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, SupportsIndex

import h5py
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64, Integer, Num
from torch import Tensor

from twostage.arguments import Array
from twostage.data.copies import content_ids, digest
from twostage.finite import finite
from twostage.hdf5 import opened, read_texts, write_texts
from twostage.provenance import PathLike, atomic_write

SCHEMA, SCHEMA_VERSION = "twostage.latents", 1
COPY_ROWS_BYTES = 64 << 20
CACHED_BYTES = 1 << 20  # of latents that stay in a core's cache between reading and normalising
LATENTS = ("latents", "latents_flip")  # the data sets of a joined store that lie in its shards (``_parts``)


# ---------------------------------------------------------------------------------------------------------- statistics


class ChannelMoments:
    """Mean and variance per channel, streamed in float64 and merged exactly (Chan, Golub & LeVeque 1983).

    >>> moments = ChannelMoments(channels=1)
    >>> moments.add(np.array([[1.0], [3.0]])), moments.add(np.array([[5.0], [7.0]]))
    (None, None)
    >>> moments.count, moments.mean.tolist(), moments.squares.tolist()
    (4, [4.0], [20.0])
    """

    def __init__(self, channels: int) -> None:
        self.count, self.mean, self.squares = 0, np.zeros(channels), np.zeros(channels)

    def add(self, latents: Num[Array, "n {len(self.mean)} *size"]) -> None:
        """Add latents (n, C, ...): an array or tensor on the CPU."""
        values = np.asarray(latents, dtype=np.float64)
        if len(values):
            axes = (0, *range(2, values.ndim))
            mean = values.mean(axes, keepdims=True)
            self.merge(values[:, 0].size, mean.reshape(-1), ((values - mean) ** 2).sum(axes))

    def merge(
        self, count: int, mean: Float64[np.ndarray, " channels"], squares: Float64[np.ndarray, " channels"]
    ) -> None:
        """Add ``count`` values per channel with this mean and this sum of squared deviations from it."""
        total, shift = self.count + count, mean - self.mean
        self.mean = self.mean + shift * (count / total)
        self.squares = self.squares + squares + shift**2 * (self.count * count / total)
        self.count = total

    @property
    def std(self) -> Float64[np.ndarray, " channels"]:
        """Population standard deviation per channel (division by the count)."""
        return np.sqrt(self.squares / self.count)


# ------------------------------------------------------------------------------------------------------------- writing


class StoreWriter:
    """Writes a store of at most ``capacity`` samples, in one file, by ``write_store``.

    >>> with write_store("mirrored.h5", 2, (1, 1, 1), flips=True) as writer:
    ...     writer.write(0, torch.tensor([1.0, 2.0]).reshape(2, 1, 1, 1), torch.tensor([1.0, 4.0]).reshape(2, 1, 1, 1))
    ...     writer.finish([0, 0], range(2), num_classes=1, attributes={})
    >>> writer.moments.mean
    array([2.])
    """

    def __init__(
        self, path: PathLike, temporary: PathLike, capacity: int, sample_shape: Sequence[int], flips: bool
    ) -> None:
        self.path, self.sample_shape, self.moments = path, tuple(sample_shape), ChannelMoments(sample_shape[0])
        self.file = h5py.File(temporary, "w")
        names = ("latents", "latents_flip") if flips else ("latents",)
        for name in names:
            self.file.create_dataset(name, (capacity, *self.sample_shape), "<f4")
        self.flips, self.rows = flips, 0

    def write(
        self,
        start: int,
        latents: Float[Array, "n channels height width"],
        flipped: Float[Array, "n channels height width"] | None = None,
    ) -> None:
        """Write latents (n, C, H, W), and those of the mirrored images if the store has them, as rows from
        ``start``."""
        if tuple(latents.shape[1:]) != self.sample_shape or (flipped is None) == self.flips:
            raise ValueError(
                f"latents are {tuple(latents.shape)}; expected (n, {self.sample_shape}), flips: {self.flips}"
            )
        for name, values in (("latents", latents), ("latents_flip", flipped)):
            if values is not None:
                values = np.asarray(values, dtype=np.float32)
                rows = np.arange(start, start + len(values))
                finite(values, f"{self.path}: /{name} to write", "check the encoder's weights and the images", rows)
                with write_errors(self.path):
                    self.file[name][start : start + len(values)] = values
                self.moments.add(values)
        self.rows = max(self.rows, start + len(latents))

    def finish(
        self,
        labels: Integer[np.ndarray, " n"] | Sequence[int],
        source: Integer[np.ndarray, " n"] | Sequence[int],
        num_classes: int,
        attributes: Mapping[str, Any],
        normalisation: tuple[Float[np.ndarray, " channels"], Float[np.ndarray, " channels"]] | None = None,
        left_out: Iterable[object] = (),
        contents: Int64[np.ndarray, "n passes"] | None = None,
        class_names: Sequence[str] | None = None,
    ) -> None:
        """Write index, attributes, unusable images, content ids and class names, as the functions below describe."""
        with write_errors(self.path):
            write_index(self.file, labels, source, num_classes)
            write_attributes(self.file, self.moments, attributes, normalisation)
            write_left_out(self.file, left_out)
            write_contents(self.file, contents, self.flips)
            write_texts(self.file, "class_names", class_names)


@contextlib.contextmanager
def write_errors(path: PathLike) -> Iterator[None]:
    """Turn HDF5's many errors of a failed write (a full disk, a quota) into one OSError: the file and the reason."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        found = re.search(r"error message = '([^']*)'", str(error))
        reason = found[1] if found else _first_line(error)
        raise OSError(
            f"{path}: cannot be written ({reason}); make room and run again: finished files are kept"
        ) from None


@contextlib.contextmanager
def write_store(
    path: PathLike, capacity: int, sample_shape: Sequence[int], *, flips: bool = False
) -> Iterator[StoreWriter]:
    """Context that yields a StoreWriter. The store appears at ``path`` when the block ends without an error.

    The block writes rows 0..n-1, n <= capacity, then calls ``finish(labels, source, num_classes, attributes)`` with
    sorted labels (n,). ``attributes`` are those in the module's docstring, except the moments.

    >>> latents, labels = torch.arange(4.0).reshape(4, 1, 1, 1), [0, 0, 1, 1]
    >>> with write_store("latents.h5", 4, (1, 1, 1)) as writer:
    ...     writer.write(0, latents)
    ...     writer.finish(labels, range(4), num_classes=2, attributes={"split": "train"})
    """
    with atomic_write(path) as temporary:
        writer = StoreWriter(path, temporary, capacity, sample_shape, flips)
        try:
            yield writer
        finally:
            with write_errors(path):
                writer.file.close()
        if writer.rows < capacity:  # fewer rows than reserved (unreadable images): contiguous HDF5 data cannot shrink
            shrunk = temporary.with_name(f"{temporary.name}.shrunk")
            try:
                with write_errors(path):
                    _copy_rows(temporary, shrunk, writer.rows)
                os.replace(shrunk, temporary)
            finally:
                shrunk.unlink(missing_ok=True)


def _copy_rows(source, target, rows):
    with h5py.File(source) as old, h5py.File(target, "w") as new:
        for name, dataset in old.items():
            if not name.startswith("latents"):
                old.copy(name, new)
                continue
            copied = new.create_dataset(name, (rows, *dataset.shape[1:]), dataset.dtype)
            step = max(1, COPY_ROWS_BYTES // max(1, dataset[:1].nbytes))
            for start in range(0, rows, step):
                copied[start : min(start + step, rows)] = dataset[start : min(start + step, rows)]
        new.attrs.update(old.attrs)


def write_index(
    file: h5py.File,
    labels: Integer[np.ndarray, " n"] | Sequence[int],
    source: Integer[np.ndarray, " n"] | Sequence[int],
    num_classes: int,
) -> None:
    labels, source = np.asarray(labels, dtype=np.int64), np.asarray(source, dtype=np.int64)
    if len(labels) == 0 or len(labels) != len(source):
        raise ValueError(f"{len(labels)} labels for {len(source)} samples; expected as many, and at least one")
    if (np.diff(labels) < 0).any() or labels[0] < 0 or labels[-1] >= num_classes:
        raise ValueError(f"labels must be sorted and lie in 0 to {num_classes - 1}")
    file["labels"], file["source"] = labels, source
    file["class_offsets"] = np.searchsorted(labels, np.arange(num_classes + 1)).astype(np.int64)


def write_attributes(
    file: h5py.File,
    moments: ChannelMoments,
    attributes: Mapping[str, Any],
    normalisation: tuple[Float[np.ndarray, " channels"], Float[np.ndarray, " channels"]] | None = None,
) -> None:
    """Write a store's attributes, moments and schema.

    normalisation: (mean, std) of another store; None: those that ``attributes`` ask for (``statistics_of``).
    """
    file.attrs.update(attributes)
    file.attrs["count"] = moments.count
    file.attrs["mean"], file.attrs["std"] = moments.mean, moments.std
    file.attrs["normalise_mean"], file.attrs["normalise_std"] = (
        np.asarray(values, float)
        for values in normalisation or statistics_of(attributes.get("normalise"), moments.mean, moments.std)
    )
    file.attrs["schema"], file.attrs["schema_version"] = SCHEMA, SCHEMA_VERSION


def statistics_of(
    normalise: str | None, mean: Float[np.ndarray, " channels"], std: Float[np.ndarray, " channels"]
) -> tuple[Float[np.ndarray, " channels"], Float[np.ndarray, " channels"]]:
    """(mean, std) per channel that normalise latents whose own moments are ``mean`` and ``std``.

    normalise: JSON. None or "channels" are the moments; "all" takes one std for all channels, the root mean square of
    theirs, so that noise which is isotropic here is so in the latents' own units too; {"mean", "std"}, each a number or
    one per channel, are taken as they are. Raises ValueError for another number of channels.

    >>> statistics_of('"all"', np.zeros(2), np.array([1.0, 7.0]))
    (array([0., 0.]), array([5., 5.]))
    """
    asked: Any = json.loads(normalise) if normalise else "channels"
    if asked == "channels":
        return mean, std
    if asked == "all":
        return mean, np.full(len(mean), np.sqrt(np.mean(np.square(std))))
    for key in ("mean", "std"):
        if np.size(asked[key]) not in (1, len(mean)):
            raise ValueError(
                f"normalise has a {key} of {np.size(asked[key])} channels; expected one number, or {len(mean)}, as the "
                "latents have channels"
            )
    own_mean, own_std = (np.broadcast_to(np.asarray(asked[key], float), len(mean)) for key in ("mean", "std"))
    return own_mean, own_std


def write_left_out(file: h5py.File, problems: Iterable[object]) -> None:
    """Write ``/left_out``: one line per image that could not be used, path and reason; nothing if there is none."""
    write_texts(file, "left_out", [str(problem) for problem in problems])


def write_contents(file: h5py.File, contents: Int64[np.ndarray, "n passes"] | None, flips: bool) -> None:
    """Write ``/content``, and with flips ``/content_flip``: content ids, int64.

    contents: (n, 1), the ids of the images, or with flips (n, 2), also those of the mirrored images. If it is None (the
    images behind the latents are not known), nothing is written.
    """
    if contents is not None:
        file["content"] = contents[:, 0]
        if flips:
            file["content_flip"] = contents[:, 1]


# ------------------------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True)
class Piece:
    """Rows ``start`` to ``stop`` of a data set, which lie in one piece in ``path`` from byte ``offset`` on."""

    path: str
    offset: int
    start: int
    stop: int


class LatentStore:
    """A latent store, opened by ``LatentStore.open(path)``; safe to use after a fork and to pickle.

    ``shape`` (N, C, H, W); ``labels`` int64 (N,); ``class_offsets`` int64 (K + 1,); ``class_names``, texts by label
    (the numbers, if the store has no names); ``source`` int64 (N,); ``mean``, ``std`` float64 tensors (C,), the
    statistics that normalise; ``index``, identity of the images' index, None if it is not known; ``has_flips``;
    ``left_out`` (list of lines); ``attributes`` (dict); ``fingerprint``; ``content`` int64 (N,), the content ids of
    the images (equal images have equal ids); ``content_flip``, those of the mirrored images, None without flips;
    ``distinct``, the number of different images. If a store has no content ids (it was made by an earlier version, or
    imported), its latents are read once instead: equal latents then have equal ids.

    >>> with write_store("latents.h5", 4, (1, 1, 1)) as writer:
    ...     writer.write(0, torch.arange(4.0).reshape(4, 1, 1, 1))
    ...     writer.finish([0, 0, 1, 1], range(4), num_classes=2, attributes={})
    >>> store = LatentStore.open("latents.h5")
    >>> store.shape, store.mean.tolist()
    ((4, 1, 1, 1), [1.5])
    >>> store.read([3, 0], normalised=False).flatten()
    tensor([3., 0.])
    >>> store.class_data(1).shape
    torch.Size([2, 1, 1, 1])
    """

    labels: Int64[np.ndarray, " n"]
    class_offsets: Int64[np.ndarray, " offsets"]
    source: Int64[np.ndarray, " n"]
    mean: Float64[Tensor, " channels"]
    std: Float64[Tensor, " channels"]

    @classmethod
    def open(cls, path: PathLike, split: str | None = None) -> "LatentStore":
        """Open and check a store. Raises ValueError, with the file and the reason, for one that cannot be used.

        split: "train" or "held_out": refuse a store of the other split; None accepts both.
        """
        store = cls(read_header(path))
        if split and store.attributes.get("split", split) != split:
            raise ValueError(
                f"{path}: latents of the {store.attributes['split']} split; expected those of the {split} split, in a "
                "file of their own"
            )
        for name in ("mean", "std"):
            finite(getattr(store, name), f"{path}: {name} of the channels", "encode it again")
        if (store.std <= 0).any():
            channel = int(torch.argmin(store.std))
            raise ValueError(
                f"{path}: latent channel {channel} is constant; expected channels that vary, to normalise by"
            )
        return store

    def __init__(self, header: "Header") -> None:
        self._header = header
        self._files: dict[str, io.FileIO] = {}
        self.path, self.shape, self.attributes = header.path, header.shape, header.attributes
        self.labels, self.class_offsets, self.source = header.labels, header.class_offsets, header.source
        self.has_flips, self.left_out = "latents_flip" in header.parts, header.left_out
        self.mean = torch.from_numpy(np.array(self.attributes["normalise_mean"]))
        self.std = torch.from_numpy(np.array(self.attributes["normalise_std"]))
        self.num_classes = len(self.class_offsets) - 1
        self.class_names = header.class_names or [str(label) for label in range(self.num_classes)]
        self.fingerprint = header.fingerprint()

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return (
            f"LatentStore({str(self.path)!r}, shape={self.shape}, classes={self.num_classes}, flips={self.has_flips})"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": {}}

    @property
    def index(self) -> str | None:
        found = self.attributes.get("index", "unknown")
        return None if found in ("unknown", "none") else found

    @cached_property
    def content(self) -> Int64[np.ndarray, " n"]:
        return self._content("content", flipped=False)

    @cached_property
    def content_flip(self) -> Int64[np.ndarray, " n"] | None:
        return self._content("content_flip", flipped=True) if self.has_flips else None

    @cached_property
    def distinct(self) -> int:
        return len(np.unique(self.content))

    def _content(self, name, flipped):
        # Ids of images for both, or of latents for both: the two kinds cannot be compared.
        if self._header.contents is not None:
            return self._header.contents[name]
        size = max(1, COPY_ROWS_BYTES // (4 * int(np.prod(self.shape[1:]))))
        found = []
        for start in range(0, len(self), size):
            rows = self.read(slice(start, min(start + size, len(self))), normalised=False, flipped=flipped)
            found += [digest(row) for row in (rows + 0.0).numpy()]  # -0.0 becomes 0.0, which it equals
        return content_ids(found)

    def class_slice(self, label: SupportsIndex) -> slice:
        """Rows of a class, a slice. Raises ValueError for an unknown label and for a class without samples."""
        try:
            label = -1 if isinstance(label, bool | np.bool_) else operator.index(label)
        except TypeError:
            label = repr(label)
        if isinstance(label, str) or not 0 <= label < self.num_classes:
            raise ValueError(f"label is {label}; expected 0 to {self.num_classes - 1}, the classes of {self.path}")
        start, stop = (int(offset) for offset in self.class_offsets[label : label + 2])
        if start == stop:
            raise ValueError(f"class {label} has no samples in {self.path}")
        return slice(start, stop)

    def read(
        self,
        index: slice | Integer[Array, " n"] | Bool[Array, " all"] | Sequence[int] | SupportsIndex,
        normalised: bool = True,
        flipped: bool | Bool[Array, " n"] | Sequence[bool] = False,
        out: Float32[Tensor, "_ channels height width"] | None = None,
    ) -> Float32[Tensor, "n channels height width"]:
        """Latents at ``index``: float32 tensor (n, C, H, W), in the order of the index.

        index: a slice, integers 0..N-1, or a mask of N booleans; flipped: False, True, or one boolean per row, to read
        the latents of mirrored images; out: a float32 tensor on the CPU with at least n such rows, of which the first n
        are filled and returned (new memory for each call may take longer than the reading). Raises IndexError outside
        the store, ValueError for an index or flips of another kind, for flips that the store lacks and for latents that
        are not finite.
        """
        rows = self._rows(index)
        if len(rows) and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(
                f"index {rows.min()} to {rows.max()}; expected 0 to {len(self) - 1}, the rows of {self.path}"
            )
        flipped = np.asarray(flipped)
        if (flipped.dtype != bool and flipped.size) or flipped.shape not in ((), rows.shape):
            raise ValueError(
                f"flipped is {flipped.dtype} {flipped.shape}; expected True, False, or a boolean for each of the "
                f"{len(rows)} rows"
            )
        flipped = np.broadcast_to(flipped.astype(bool), rows.shape)
        latents = torch.empty(len(rows), *self.shape[1:]) if out is None else out[: len(rows)]
        size = max(1, CACHED_BYTES // (4 * int(np.prod(self.shape[1:]))))
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            self._read_part(rows[part], flipped[part], latents[part].numpy())
            if normalised:
                self.normalise_(latents[part])
        return latents

    def _read_part(self, rows, flipped, latents):
        """Read latents (n, C, H, W) of ``rows`` (n,), checked but not normalised, into the array ``latents``."""
        for name, chosen in (("latents", ~flipped), ("latents_flip", flipped)):
            if not chosen.any():
                continue
            part = latents if chosen.all() else np.empty((chosen.sum(), *self.shape[1:]), dtype="<f4")
            self._gather(name, rows[chosen], part)
            # torch sums in a fifth of numpy's time
            finite(torch.from_numpy(part), f"{self.path}: /{name}", "encode it again", rows[chosen])
            if part is not latents:
                latents[chosen] = part

    def read_raw(self, start: int, stop: int, out: Float32[np.ndarray, "{stop}-{start} channels height width"]) -> None:
        """Read latents as they lie in the file, unchecked, into ``out``, a float32 array (stop - start, C, H, W).

        Rows 0..N-1 are the plain samples, N..2N-1 the mirrored ones; all rows of a call are of one kind.
        """
        flipped, start = divmod(start, len(self))
        self._gather("latents_flip" if flipped else "latents", start + np.arange(len(out)), out)

    def _rows(self, index):
        """Numbers of the rows that an index selects, int64 (n,)."""
        if isinstance(index, slice):
            try:
                return np.arange(*index.indices(len(self)))
            except TypeError:
                raise ValueError(f"index is {index}; expected whole numbers in it") from None
        index = np.atleast_1d(np.asarray(index))
        if index.shape == (0,):
            return np.empty(0, np.int64)
        if index.dtype == bool and index.shape == (len(self),):
            return np.flatnonzero(index)
        if index.dtype.kind not in "iu" or index.ndim != 1:
            raise ValueError(
                f"index is {index.dtype} {index.shape}; expected whole numbers (n,), or a boolean for each of the "
                f"{len(self)} rows of {self.path}"
            )
        return index.astype(np.int64)

    def class_data(self, label: SupportsIndex | None = None) -> Float32[Tensor, "n channels height width"]:
        """Normalised latents of a class (None: of all), float32 (n, C, H, W); flips come after the plain ones."""
        rows = slice(0, len(self)) if label is None else self.class_slice(label)
        parts = [self.read(rows, flipped=flipped) for flipped in self._passes()]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def batches(
        self, batch_size: int, label: SupportsIndex | None = None, normalised: bool = True
    ) -> Iterator[Float32[Tensor, "n channels height width"]]:
        """The samples of ``class_data`` in its order, as float32 tensors of at most ``batch_size`` samples."""
        if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
            raise ValueError(f"batch_size is {batch_size!r}; expected a whole number, at least 1")
        rows = slice(0, len(self)) if label is None else self.class_slice(label)
        return self._batches(batch_size, rows, normalised)

    def _batches(self, batch_size, rows, normalised):
        for flipped in self._passes():
            for start in range(rows.start, rows.stop, batch_size):
                yield self.read(slice(start, min(start + batch_size, rows.stop)), normalised, flipped)

    def normalise(self, latents: Float[Array, "n channels height width"]) -> Float[Tensor, "n channels height width"]:
        """(z - mean) / std per channel; latents: (n, C, H, W), a tensor or array of any float dtype and device."""
        return self.normalise_(torch.as_tensor(latents).clone())

    def denormalise(self, x: Float[Array, "n channels height width"]) -> Float[Tensor, "n channels height width"]:
        """x std + mean per channel, the inverse of ``normalise``."""
        x = torch.as_tensor(x)
        mean, std = self._statistics(x)
        return x * std + mean

    def normalise_(self, latents: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n channels height width"]:
        """``normalise`` in place."""
        mean, std = self._statistics(latents)
        return latents.sub_(mean).div_(std)

    def _statistics(self, x):
        return (values.to(x.device, x.dtype).reshape(-1, 1, 1) for values in (self.mean, self.std))

    def _passes(self):
        return (False, True) if self.has_flips else (False,)

    def _gather(self, name, rows, out):
        if name not in self._header.parts:
            raise ValueError(f"{self.path} holds no latents of mirrored images; encode with flips")
        parts = self._header.parts[name]
        starts = np.array([part.start for part in parts])
        in_order = bool((np.diff(rows) >= 0).all())
        order = slice(None) if in_order else np.argsort(rows, kind="stable")
        sorted_rows, target = rows[order], out if in_order else np.empty_like(out)
        breaks = np.flatnonzero(np.diff(sorted_rows) != 1) + 1
        for first, last in itertools.pairwise([0, *breaks.tolist(), len(rows)]):
            while first < last:  # a run of consecutive rows, cut where one part ends and the next begins
                row = int(sorted_rows[first])
                part = parts[np.searchsorted(starts, row, side="right") - 1]
                count = min(last - first, part.stop - row)
                self._read_rows(part, row, target[first : first + count])
                first += count
        if not in_order:
            out[order] = target

    def _read_rows(self, part, row, out):
        file = self._files.get(part.path)
        if file is None:  # setdefault: if two threads come here at the same time, both use the same file
            file = self._files.setdefault(part.path, open(part.path, "rb", buffering=0))  # noqa: SIM115
        view, offset = memoryview(out).cast("B"), part.offset + (row - part.start) * out[0].nbytes
        while len(view):
            count = os.preadv(file.fileno(), [view], offset)
            if count == 0:
                raise ValueError(
                    f"{part.path}: ends before its latents do; expected an untouched file: encode it again"
                )
            view, offset = view[count:], offset + count


@dataclass
class Header:
    """The metadata of a store's file, and where its latents lie."""

    path: Path
    shape: tuple[int, int, int, int]
    labels: Int64[np.ndarray, " n"]
    class_offsets: Int64[np.ndarray, " offsets"]
    source: Int64[np.ndarray, " n"]
    attributes: dict[str, Any]
    parts: dict[str, list[Piece]]  # of each data set
    left_out: list[str]  # one line per image that could not be used
    contents: dict[str, Int64[np.ndarray, " n"]] | None  # {"content", and with flips "content_flip": ids}; None without
    class_names: list[str]  # empty in a store that lacks them

    def fingerprint(self) -> str:
        """Hex digest of data, split, encoder, posterior, flips, rows, and of the normalisation where one was asked for;
        the same however the store is sharded."""
        facts = {key: self.attributes.get(key) for key in IDENTITY_ATTRIBUTES}
        if "normalise" in self.attributes:
            facts["normalise"] = self.attributes["normalise"]
        digest = hashlib.sha256(json.dumps([facts, self.shape, sorted(self.parts)], default=str).encode())
        digest.update(self.source.tobytes())
        digest.update(self.labels.tobytes())
        return digest.hexdigest()

    @property
    def moments(self) -> ChannelMoments:
        moments = ChannelMoments(self.shape[1])
        moments.count, moments.mean = int(self.attributes["count"]), self.attributes["mean"]
        moments.squares = self.attributes["std"] ** 2 * moments.count
        return moments


IDENTITY_ATTRIBUTES = ("encoder", "encoder_sha256", "posterior", "split", "dataset_fingerprint")


def read_header(path: PathLike) -> Header:
    """Read and check everything except the latents. Raises ValueError with the path and the reason."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(
            f"{path}: no such file; expected a latent store, which `python -m twostage.data encode` writes"
        )
    try:
        with opened(path, joined=LATENTS) as file:
            return _checked_header(path, file)
    except OSError as error:
        raise ValueError(f"{path}: not a whole HDF5 file ({_first_line(error)}); encode it again") from None
    except KeyError as error:
        raise ValueError(f"{path}: not a latent store ({_first_line(error)}); encode it again") from None


def _checked_header(path, file):
    if file.attrs.get("schema") != SCHEMA:
        raise ValueError(
            f"{path}: an HDF5 file, but no latent store; expected one that `python -m twostage.data` wrote"
        )
    if file.attrs["schema_version"] != SCHEMA_VERSION:
        raise ValueError(
            f"{path}: store version {file.attrs['schema_version']}; expected {SCHEMA_VERSION}: encode it again"
        )
    names = [name for name in LATENTS if name in file]
    shape = file["latents"].shape
    labels, offsets, source = (file[name][:] for name in ("labels", "class_offsets", "source"))
    consistent = (
        len(shape) == 4
        and all(file[name].shape == shape and file[name].dtype == np.dtype("<f4") for name in names)
        and len(labels) == len(source) == shape[0] == offsets[-1]
        and (np.diff(offsets) >= 0).all()
        and np.array_equal(labels, np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)))
    )
    if not consistent:
        raise ValueError(
            f"{path}: latents, labels and class offsets disagree; expected the same samples: encode it again"
        )
    attributes = {key: _plain(value) for key, value in file.attrs.items()}
    for name in ("mean", "std", "normalise_mean", "normalise_std"):
        if np.shape(attributes[name]) != (shape[1],):
            raise ValueError(
                f"{path}: {name} of shape {np.shape(attributes[name])}; expected one for each of {shape[1]} channels: "
                "encode it again"
            )
    parts = {name: _parts(path, file[name]) for name in names}
    left_out, class_names = read_texts(file, "left_out"), read_texts(file, "class_names")
    if class_names and len(class_names) != len(offsets) - 1:
        raise ValueError(f"{path}: {len(class_names)} class names for {len(offsets) - 1} classes: encode it again")
    written = ("content", "content_flip")[: len(names)]
    contents = {name: file[name][:] for name in written} if all(name in file for name in written) else None
    if contents and any(len(ids) != shape[0] for ids in contents.values()):
        raise ValueError(f"{path}: content ids of other samples than the latents: encode it again")
    return Header(path, shape, labels, offsets, source, attributes, parts, left_out, contents, class_names)


def _parts(path, dataset):
    if not dataset.is_virtual:
        offset = dataset.id.get_offset()
        if offset is None:
            raise ValueError(f"{path}: {dataset.name} is not stored in one piece; expected a store that twostage wrote")
        return [Piece(str(path), offset, 0, len(dataset))]
    parts = []
    for mapping in dataset.virtual_sources():
        (start, *firsts), (last, *_) = mapping.vspace.get_select_bounds()
        values = (last + 1 - start) * int(np.prod(dataset.shape[1:]))
        whole = mapping.vspace.get_select_npoints() == values and not any(firsts)
        from_whole = mapping.src_space.get_select_type() == h5py.h5s.SEL_ALL
        own = mapping.dset_name.strip("/") == dataset.name.strip("/") and not os.path.isabs(mapping.file_name)
        if not (whole and from_whole and own):
            raise ValueError(
                f"{path}: {dataset.name} consists of parts of {mapping.file_name}; expected whole shards, as "
                "`python -m twostage.data join` writes them: join it again"
            )
        parts.append(
            _shard_part(path, Path(path).parent / mapping.file_name, mapping.dset_name, start, last + 1, dataset)
        )
    parts.sort(key=lambda part: part.start)
    if [part.start for part in parts] != [0, *[part.stop for part in parts[:-1]]] or parts[-1].stop != len(dataset):
        raise ValueError(f"{path}: its shards leave gaps; expected every sample in one shard: join it again")
    return parts


def _shard_part(joined, shard, name, start, stop, dataset):
    if not shard.is_file():
        raise ValueError(f"{shard}: no such file; it is a shard of {joined}: encode that shard again")
    try:
        with opened(shard, joined=LATENTS) as file:
            source = file[name]
            same = file.attrs["encoder_sha256"] == dataset.file.attrs["encoder_sha256"]
            if source.shape != (stop - start, *dataset.shape[1:]) or not same or source.id.get_offset() is None:
                raise ValueError(f"{shard}: not the shard that {joined} was joined from; join again")
            return Piece(str(shard), source.id.get_offset(), start, stop)
    except (OSError, KeyError) as error:
        raise ValueError(f"{shard}: a damaged shard of {joined} ({_first_line(error)}); encode it again") from None


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value


def _first_line(error):
    return (str(error).strip("'\"").splitlines() or [type(error).__name__])[0]
