"""Batches of latents that depend only on (seed, step), whatever the processes, restarts and devices.

An epoch is one random order of all samples (mirrored ones count as separate samples). A store that fits into memory is
held there and shuffled as a whole. A larger store is cut into blocks of neighbouring rows; the blocks are shuffled,
then the rows within windows of many blocks, so that the disk is read only in long sequential pieces.

With several processes, each is at home in one stretch of the file (of the whole store, or of each window), and takes
the rows of a batch that lie there. If these are more than its share of the batch, the others go to processes that have
fewer, which read them where they lie. So the processes share the reading, too, and the batch stays the same: which
process takes a row changes only the order in which a mean is summed.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch

from twostage.read_ahead import read_ahead

BLOCK_BYTES = 8 << 20
READ_BYTES = 2 << 20  # largest size of one read, so that several run at the same time
READERS = 4  # threads that read
NEAR_BYTES = 256 << 10  # a read may include rows that are not needed: at most this many bytes at a time,
IN_VAIN = 4  # and in total at most one such part of the needed rows


class EpochOrder:
    """The order in which an epoch visits the rows 0 to count - 1.

    Without windows it is a permutation. With ``window_rows``, blocks of ``block_rows`` come in random order, and rows
    are shuffled within windows of ``window_rows`` (a multiple of ``block_rows``). The last two epochs are kept.
    """

    def __init__(self, count, seed, block_rows=None, window_rows=None):
        self.count, self.seed = count, seed
        self.block_rows, self.window_rows = block_rows, window_rows
        self.rows, self.homes = lru_cache(maxsize=2)(self._rows), lru_cache(maxsize=2)(self._homes)

    def _rows(self, epoch):
        """int64 (count,): the rows of an epoch in their order."""
        random = np.random.default_rng([self.seed, epoch])
        if self.window_rows is None:
            return random.permutation(self.count)
        blocks = random.permutation(-(-self.count // self.block_rows))
        starts = blocks * self.block_rows
        rows = (starts[:, None] + np.arange(self.block_rows)).reshape(-1)
        rows = rows[rows < self.count]
        for start in range(0, self.count, self.window_rows):
            random.shuffle(rows[start : start + self.window_rows])
        return rows

    def _homes(self, epoch, processes):
        """int64 (count,): for each row of ``rows(epoch)``, which of ``processes`` is at home where it lies.

        A window, or the whole file, is cut into equal stretches in the order of the file, one per process.
        """
        rows, size = self.rows(epoch), self.window_rows or self.count
        homes = np.empty_like(rows)
        for start in range(0, self.count, size):
            in_order = np.argsort(rows[start : start + size])
            homes[start : start + size][in_order] = np.arange(len(in_order)) * processes // len(in_order)
        return homes


def takers(homes, processes):
    """Which process takes each row of a batch, int64 (B,); homes: which process is at home there. Each takes B /
    processes.

    Each process takes the first rows of its own, in the order of the batch; rows that are left go to those with room.
    """
    size = len(homes) // processes
    by_home = np.argsort(homes, kind="stable")
    number = np.arange(len(homes)) - np.searchsorted(homes[by_home], homes[by_home])  # of a row among those of its home
    taken = homes.copy()
    room = size - np.minimum(np.bincount(homes, minlength=processes), size)
    taken[np.sort(by_home[number >= size])] = np.repeat(np.arange(processes), room)
    return taken


class Batches:
    """A training set cut into batches of ``batch_size`` rows, each shared evenly by ``processes``.

    store: a LatentStore; memory_mb: memory for latents (see the module's text); process: the number of this process.
    Labels are int64, latents normalised float32, both on the CPU.
    """

    def __init__(self, store, batch_size, seed, memory_mb, process=0, processes=1, block_bytes=BLOCK_BYTES):
        self.store, self.batch_size = store, batch_size
        self.process, self.processes = process, processes
        self.count = len(store) * (2 if store.has_flips else 1)
        self.labels = torch.from_numpy(np.tile(store.labels, self.count // len(store)))
        row_bytes = 4 * int(np.prod(store.shape[1:]))
        if self.count * row_bytes <= memory_mb << 20:
            self.order = EpochOrder(self.count, seed)
            self._rows = _Resident(store, self.count, process, processes)
        else:
            block_rows = max(1, block_bytes // row_bytes)
            window_rows = max(1, (memory_mb << 20) // 2 // (row_bytes * block_rows)) * block_rows
            self.order = EpochOrder(self.count, seed, block_rows, window_rows)
            self._rows = _Windows(store, self.order, self.positions)

    def indices(self, step):
        """Rows of the whole batch of a step, int64 (batch_size,): 0..N-1 are plain samples, N..2N-1 mirrored ones."""
        return np.concatenate([self.order.rows(epoch)[part] for epoch, part in self._parts(step)])

    def places(self, step):
        """Places of this process's rows in the whole batch of a step, int64 (batch_size / processes,)."""
        if self.processes == 1:
            return np.arange(self.batch_size)
        homes = [self.order.homes(epoch, self.processes)[part] for epoch, part in self._parts(step)]
        return np.flatnonzero(takers(np.concatenate(homes), self.processes) == self.process)

    def positions(self, start, stop):
        """This process's positions from ``start`` to ``stop`` in the sequence of all batches, int64 (n,)."""
        size = self.batch_size
        found = np.concatenate([step * size + self.places(step) for step in range(start // size, -(-stop // size))])
        return found[(found >= start) & (found < stop)]

    def load(self, step):
        """This process's share of a step's batch: latents (b, C, H, W), labels (b,), their ``places`` (b,) in the batch
        and their rows (b,) in the training set, int64."""
        places = self.places(step)
        rows = self.indices(step)[places]
        latents = self._rows.take(step * self.batch_size + places, rows)
        rows = torch.from_numpy(rows)
        return latents, self.labels[rows], torch.from_numpy(places), rows

    def close(self):
        """Wait for reads that are under way, and free the memory."""
        self._rows.close()

    def stream(self, start, stop, device):
        """``load(step)`` for each step from start to stop - 1, on ``device``; for a GPU, a thread reads ahead."""
        if torch.device(device).type == "cpu":
            for step in range(start, stop):
                yield self.load(step)
        else:
            for batch in read_ahead(lambda step: _pin(self.load(step)), range(start, stop)):
                yield tuple(tensor.to(device, non_blocking=True) for tensor in batch)

    def _parts(self, step):
        """(epoch, slice of its order) of each epoch from which a step's batch has rows."""
        position, left = step * self.batch_size, self.batch_size
        while left:
            epoch, offset = divmod(position, self.count)
            taken = min(left, self.count - offset)
            yield epoch, slice(offset, offset + taken)
            position, left = position + taken, left - taken


def _pin(batch):
    return tuple(tensor.pin_memory() for tensor in batch)


def read_rows(store, rows):
    """Latents of rows 0..2N-1, plain ones followed by mirrored ones, normalised: float32 (n, C, H, W)."""
    return store.read(rows % len(store), flipped=rows >= len(store))


class _Resident:
    """The part of the training set in which this process is at home, in memory."""

    def __init__(self, store, count, process, processes):
        self.store = store
        self.start, self.stop = (-(-number * count // processes) for number in (process, process + 1))
        self.latents = store.class_data() if processes == 1 else read_rows(store, np.arange(self.start, self.stop))

    def take(self, positions, rows):
        here = (rows >= self.start) & (rows < self.stop)
        if here.all():
            return self.latents[torch.from_numpy(rows - self.start)]
        latents = torch.empty(len(rows), *self.latents.shape[1:])
        latents[torch.from_numpy(here)] = self.latents[torch.from_numpy(rows[here] - self.start)]
        latents[torch.from_numpy(~here)] = read_rows(self.store, rows[~here])
        return latents

    def close(self):
        self.latents = None


class _Windows:
    """This process's rows of the current window of the order and of the next one, as they lie in the file.

    positions(start, stop): see ``Batches``. Latents are checked and normalised when they are taken, while they are
    still in the processor's cache.
    """

    def __init__(self, store, order, positions):
        self.store, self.order, self.positions = store, order, positions
        self.readers = ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="window")
        self.windows = {}  # (epoch, start) -> _Window
        self.buffers = []  # of windows that are not needed any more: new memory would have to be zeroed first

    def take(self, positions, rows):
        latents = torch.empty(len(rows), *self.store.shape[1:])
        done, current = 0, None
        while done < len(rows):
            current = self._window_of(int(positions[done]))
            done += self._ask(current).take(positions[done:], latents[done:])
        for window in [window for window in self.windows if window < current]:
            done_with = self.windows.pop(window)
            if not done_with.reads:
                self.buffers.append(done_with.latents)
        self._ask(self._after(current))
        latents = self.store.normalise_(latents)
        if not latents.sum().isfinite():
            read_rows(self.store, rows)  # raises an error with the row and the file
        return latents

    def close(self):
        self.readers.shutdown(cancel_futures=True)
        self.windows, self.buffers = {}, []

    def _window_of(self, position):
        epoch, offset = divmod(position, self.order.count)
        return epoch, offset - offset % self.order.window_rows

    def _after(self, window):
        epoch, start = window
        start += self.order.window_rows
        return (epoch, start) if start < self.order.count else (epoch + 1, 0)

    def _ask(self, window):
        if window not in self.windows:
            epoch, start = window
            first, stop = epoch * self.order.count, min(start + self.order.window_rows, self.order.count)
            positions = self.positions(first + start, first + stop)
            rows = self.order.rows(epoch)[positions - first]
            self.windows[window] = _Window(self.store, positions, rows, self.readers, self.buffers)
        return self.windows[window]


class _Window:
    """Rows of a store, read as they lie in the file: ``positions`` (n,), ascending, are those of ``rows`` (n,)."""

    def __init__(self, store, positions, rows, readers, buffers):
        self.positions = positions
        row_bytes = 4 * int(np.prod(store.shape[1:]))
        reads = pieces(rows, len(store), NEAR_BYTES // row_bytes, max(1, READ_BYTES // row_bytes))
        starts = np.array([start for start, _ in reads], dtype=np.int64)
        offsets = np.cumsum([0, *(stop - start for start, stop in reads)])
        found = np.searchsorted(starts, rows, side="right") - 1
        self.where = torch.from_numpy(offsets[found] + rows - starts[found])
        fitting = [buffer for buffer in buffers if len(buffer) >= offsets[-1]]
        buffers.clear()
        self.latents = fitting[0] if fitting else torch.empty(int(offsets[-1]), *store.shape[1:])
        raw = self.latents.numpy()
        self.reads = [
            readers.submit(store.read_raw, start, stop, raw[offset : offset + stop - start])
            for (start, stop), offset in zip(reads, offsets.tolist())
        ]

    def take(self, positions, out):
        """Read raw latents of the first positions, as far as they are in this window, into ``out``; returns their
        number."""
        while self.reads:
            self.reads.pop().result()
        start = int(np.searchsorted(self.positions, positions[0]))
        count = int(np.searchsorted(self.positions, positions[-1], side="right")) - start
        torch.index_select(self.latents, 0, self.where[start : start + count], out=out[:count])
        return count


def pieces(rows, plain, near, most):
    """Reads that cover ``rows`` of ``plain`` rows and as many mirrored ones: [(start, stop)], ascending.

    Neighbours are read together, at most ``most`` rows. Rows with others between them are read together too, if at most
    ``near`` others lie between two of them and, in total, at most a quarter as many as needed rows.
    """
    if not len(rows):
        return []
    rows = np.sort(rows)
    breaks = np.flatnonzero((np.diff(rows) != 1) | (rows[1:] == plain)) + 1
    runs = []
    for first, last in zip([0, *breaks.tolist()], [*breaks.tolist(), len(rows)]):
        start, stop, wanted = int(rows[first]), int(rows[last - 1]) + 1, last - first
        if runs:
            before, end, asked = runs[-1]
            same = (before < plain) == (start < plain)
            if same and start - end <= near and start - before - asked <= asked // IN_VAIN:
                start, wanted = before, wanted + asked
                runs.pop()
        runs.append((start, stop, wanted))
    return [(at, min(at + most, stop)) for start, stop, _ in runs for at in range(start, stop, most)]
