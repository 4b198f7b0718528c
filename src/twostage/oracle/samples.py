"""The N samples of an oracle, in memory or streamed from a latent store, behind one interface."""

import itertools
from functools import cached_property
from numbers import Real

import numpy as np
import torch

from twostage.arguments import as_device, as_tensor
from twostage.read_ahead import read_ahead

MEGABYTE = 1 << 20
WIDE = torch.float64  # dtype of logits and sums
LEAST = -700.0  # smallest difference to the largest logit: exp is many times slower where it underflows; no sum changes
SMALLEST = 1e-30  # smallest weight in a product, which numbers too small for float32 would slow down
PAIR_NUMBERS = 1 << 16  # float64 numbers of differences that fit into a core's cache
SAME_KEY = 1e-11  # if projections of two rows differ by less than this, relative to their scale, the rows are compared


class Samples:
    """Samples x^(1..N) as rows, with their mean, a centre, and the squared norms about it.

    data: floating tensor or array (N, D) or (N, C, H, W), or an open LatentStore; label: the class of the store (None:
    all).
    A store whose samples fit into half of ``budget_mb`` is read into memory once; a larger one is streamed.

    count, dim: N and D; shape: of one sample; mean: (D,) float64; half_norms: (N,) float64, |x - centre|^2 / 2;
    centre: (D,) in the data's dtype, subtracted from the rows before matrix products; None if the mean is not larger
    than the spread, so that products about zero lose no digits; longest: the largest |x - centre|.
    multiplicity: (N,) number of rows equal to each row, itself included, or None if all rows differ; distinct: number
    of different rows, the N of the posterior.

    Raises ValueError for no samples, an integer dtype, NaN or infinite values.
    """

    def __init__(self, data, label=None, device=None, budget_mb=1024):
        if isinstance(budget_mb, bool) or not isinstance(budget_mb, Real) or not budget_mb > 0:
            raise ValueError(f"budget_mb is {budget_mb!r}; expected a number of megabytes above 0")
        self.budget = int(budget_mb * MEGABYTE)
        self.device = as_device(device) if device is not None else None
        self._store, self._label = (data, label) if hasattr(data, "batches") else (None, None)
        if self._store is None:
            self._take(as_tensor("the data", data))
            if label is not None:
                raise ValueError(f"label is {label} for a tensor; expected None, or a LatentStore as data")
        else:
            self._open(label)
        self._measure()

    def _open(self, label):
        store = self._store
        self.shape = tuple(store.shape[1:])
        plain = len(store) if label is None else _length(store.class_slice(label))
        self.count = plain * (2 if store.has_flips else 1)
        self.dim = _product(self.shape)
        self.device = self.device or torch.device("cpu")
        self.dtype = torch.float32
        self._rows = None
        if self.count * self.dim * 4 <= self.budget // 2:
            self._take(store.class_data(label))

    def _take(self, tensor):
        if not tensor.is_floating_point():
            raise ValueError(f"the data have dtype {tensor.dtype}; expected a floating dtype, such as float32")
        if tensor.ndim < 2 or tensor.shape[0] == 0 or tensor[0].numel() == 0:
            raise ValueError(f"the data have shape {tuple(tensor.shape)}; expected (N, D) or (N, C, H, W), N >= 1")
        if tensor.dtype not in (torch.float32, torch.float64):
            tensor = tensor.float()
        self.device = self.device or tensor.device
        self.shape, self.dtype, self.count = tuple(tensor.shape[1:]), tensor.dtype, tensor.shape[0]
        self._rows = tensor.detach().to(self.device).reshape(self.count, -1)
        self.dim = self._rows.shape[1]

    def _measure(self):
        total = torch.zeros(self.dim, dtype=WIDE, device=self.device)
        self._keys = torch.empty(self.count, dtype=WIDE, device=self.device)
        self.half_norms = self._half_norms(None, total)
        self._near = SAME_KEY * (2 * self.half_norms.max() * self.dim).sqrt()
        check_finite("the data", self.half_norms)
        self.mean = total / self.count
        self.centre, self._centred = None, self._rows
        if self.mean.square().sum() > self.half_norms.mean():
            self.centre = self.mean.to(self.dtype)
            self.half_norms = self._half_norms(self.centre)
            fits = self.in_memory and self._rows.nbytes <= self.budget // 2
            self._centred = self._rows - self.centre if fits else None

    @cached_property
    def terms(self):
        """What is added to the logits, (2, N) float64: ``-half_norms``, times t^2 / (1 - t)^2, and -1/2, times
        |x_t|^2 / (1 - t)^2."""
        return torch.stack([-self.half_norms, torch.full_like(self.half_norms, -0.5)])

    @cached_property
    def longest(self):
        return float((2 * self.half_norms.max()).sqrt())

    def _half_norms(self, centre, total=None):
        """|x - centre|^2 / 2 of all samples, (N,) float64. If ``total`` is given, adds their sum to it and sets the
        keys.

        A key is the product with one random direction: copies have the same key, up to rounding.
        """
        half_norms = torch.empty(self.count, dtype=WIDE, device=self.device)
        if total is not None:
            direction = torch.from_numpy(np.random.default_rng(0).standard_normal(self.dim)).to(self.device)
        for start, wide in self.wide_blocks(0, None, centre, MEGABYTE if self.device.type == "cpu" else 8 * MEGABYTE):
            half_norms[start : start + len(wide)] = torch.linalg.vector_norm(wide, dim=1).square_().div_(2)
            if total is not None:
                total += wide.new_ones(len(wide)) @ wide
                self._keys[start : start + len(wide)] = wide @ direction
        return half_norms

    @cached_property
    def multiplicity(self):
        """Number of rows equal to each row, itself included, (N,) float64; None if all rows differ."""
        groups = self._copies
        if not groups:
            return None
        found = torch.ones(self.count, dtype=WIDE, device=self.device)
        for group in groups:
            found[group] = float(len(group))
        return found

    @property
    def distinct(self):
        """Number of different rows."""
        return self.count - sum(len(group) - 1 for group in self._copies)

    def firsts(self):
        """Positions of the first of each set of equal rows, ascending int64 numpy (distinct,)."""
        first = np.ones(self.count, dtype=bool)
        for group in self._copies:
            first[group[1:].cpu().numpy()] = False
        return np.flatnonzero(first)

    @cached_property
    def _copies(self):
        """The sets of two or more equal rows, each as ascending positions (k,): rows of near keys, compared exactly."""
        keys, order = self._keys.sort()
        near = (keys.diff() <= self._near).cpu().numpy()
        ends = np.flatnonzero(np.diff(np.concatenate([[False], near, [False]]).astype(int)))
        found = []
        for start, stop in ends.reshape(-1, 2):
            left = order[start : stop + 1].sort().values
            rows = self.take(left)
            while len(left) > 1:
                same = (rows == rows[0]).all(1)
                if same.sum() > 1:
                    found.append(left[same])
                left, rows = left[~same], rows[~same]
        return found

    def wide_blocks(self, first, rows, centre, most=8 * MEGABYTE):
        """Yield (start, block) with the ``rows`` that begin at ``first`` (None: all), minus ``centre``, in float64.

        most: bytes of a block, which has at least one row. The blocks share one buffer: use a block before you take the
        next one.
        """
        most = min(self.budget // 8, most)
        size = max(1, most // (8 * self.dim))
        buffer = torch.empty(size, self.dim, dtype=WIDE, device=self.device)
        read = max(size, min(self.budget // 8, 8 * MEGABYTE) // (8 * self.dim))
        for begin, chunk in self.chunks(read) if rows is None else [(first, rows)]:
            for start in range(0, len(chunk), size):
                part = buffer[: len(chunk) - start]
                part.copy_(chunk[start : start + size])
                yield begin + start, part if centre is None else part.sub_(centre)

    @property
    def in_memory(self):
        """Whether the rows are held in memory, not streamed."""
        return self._rows is not None

    @property
    def held(self):
        """Bytes held in memory beyond the data given: rows read from a store, and rows minus their centre."""
        read = self._rows is not None and self._store is not None
        copied = self.centre is not None and self._centred is not None
        return (self._rows.nbytes if read else 0) + (self._centred.nbytes if copied else 0)

    def chunks(self, size):
        """Yield (start, rows (n, D)) with n <= size, in order, as they are in the data (not centred).

        Streamed rows share few buffers: use a chunk before you take the next one.
        """
        if self._rows is not None:
            for start in range(0, self.count, size):
                yield start, self._rows[start : start + size]
            return
        buffers = torch.empty(3, min(size, self.count), *self.shape)  # one in use, one read ahead, one being filled
        turns = itertools.cycle(buffers)
        read = read_ahead(lambda part: self._read(*part, next(turns)), self._parts(len(buffers[0])), depth=2)
        for (start, _), latents in zip(self._parts(len(buffers[0])), read):
            yield start, latents.reshape(len(latents), -1).to(self.device)

    def _parts(self, size):
        """Yield (start, stop) of streamed chunks: the first are small, as nothing else is done while they are read."""
        plain, start, length = self._plain, 0, max(1, size // 8)
        while start < self.count:
            stop = min(start + length, self.count if start >= plain else plain)
            yield start, stop
            start, length = stop, min(2 * length, size)

    def _read(self, start, stop, out):
        """Latents of streamed rows, which are all plain or all mirrored, into the beginning of ``out``."""
        flipped = start >= self._plain
        first = self._first - flipped * self._plain
        return self._store.read(slice(first + start, first + stop), flipped=flipped, out=out)

    @property
    def _plain(self):
        """How many samples of the store are not mirrored."""
        return self.count // 2 if self._store.has_flips else self.count

    @property
    def _first(self):
        """Row of the store at which the samples begin."""
        return 0 if self._label is None else self._store.class_slice(self._label).start

    def centred(self, start, rows):
        """The rows that ``chunks`` gave at ``start``, minus the centre, in their own dtype."""
        if self.centre is None:
            return rows
        if self._centred is not None:
            return self._centred[start : start + len(rows)]
        return rows - self.centre

    def shifted(self, points, factor=1.0):
        """points (B, D) float64 minus ``factor`` (a float or (B, 1)) times the centre."""
        return points if self.centre is None else points - factor * self.centre.to(WIDE)

    def pairs(self, count):
        """Slices of ``count`` pairs, each small enough that on a CPU its differences fit into the cache."""
        numbers = PAIR_NUMBERS if self.device.type == "cpu" else min(self.budget // 4, 1 << 26) // 24
        size = max(1, numbers // self.dim)
        return [slice(start, start + size) for start in range(0, count, size)]

    def take(self, index):
        """Rows (k, D) at integer positions ``index`` (k,), as they are in the data."""
        if self.in_memory:
            return self._rows[index.to(self.device)]
        index = index.cpu().numpy()
        rows = self._store.read(self._first + index % self._plain, flipped=index >= self._plain)
        return rows.reshape(len(index), -1).to(self.device)


def product_weights(weights, dtype):
    """Posterior weights, the largest near 1, for a matrix product: in ``dtype``, with the smallest set to zero.

    They may have either sign.
    """
    return torch.nn.functional.hardshrink(weights.to(dtype), SMALLEST)


def as_times(t, name="t"):
    """``t`` as a float64 tensor, without a check of its values; ValueError if it is not real numbers."""
    t = as_tensor(name, t)
    if t.is_complex() or t.dtype == torch.bool:
        raise ValueError(f"{name} is {t.dtype}; expected times in [0, 1]")
    return t.to(WIDE)


def check_times(t, name="t"):
    """``t`` as a float64 tensor; ValueError unless every value lies in [0, 1]."""
    t = as_times(t, name)
    outside = ~((t >= 0) & (t <= 1))
    if outside.any():
        raise ValueError(f"{name} is {t[outside].flatten()[0].item()}; expected times in [0, 1]")
    return t


def one_each(name, values, count):
    """``values``, one or (count,), as (count,); ValueError for another shape."""
    if tuple(values.shape) not in ((), (1,), (count,)):
        raise ValueError(f"{name} has shape {tuple(values.shape)}; expected one value or ({count},), one per sample")
    return values.expand(count)


def check_finite(name, squares):
    """ValueError where ``squares`` (N,), the squared lengths of the rows of ``name``, are not finite."""
    bad = (~torch.isfinite(squares)).nonzero()
    if len(bad):
        raise ValueError(f"sample {bad[0].item()} of {name} holds NaN or infinite values; expected finite numbers")


def _length(part):
    return part.stop - part.start


def _product(shape):
    result = 1
    for size in shape:
        result *= size
    return result
