"""Batches of latents, a function of (seed, step) alone: the same whatever the processes, restarts and devices.

An epoch is one random order of all samples (the mirrored ones count as samples of their own). A store that fits into
memory is held there and shuffled whole. A larger one is cut into blocks of neighbouring rows; the blocks are shuffled,
then the rows within windows of many blocks, so that the disk sees long sequential reads only.
"""

import queue
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

BLOCK_BYTES = 8 << 20


class EpochOrder:
    """The order in which an epoch visits rows 0..count-1.

    Without windows a permutation; with ``window_rows``, blocks of ``block_rows`` in random order, shuffled within
    windows of ``window_rows`` (a multiple of ``block_rows``).
    """

    def __init__(self, count, seed, block_rows=None, window_rows=None):
        self.count, self.seed = count, seed
        self.block_rows, self.window_rows = block_rows, window_rows
        self._last = None, None

    def rows(self, epoch):
        """int64 (count,): the rows of an epoch in their order. The last epoch asked for is remembered."""
        last = self._last  # a pair, so that a thread that reads ahead cannot change one of the two
        if epoch != last[0]:
            last = self._last = epoch, self._shuffle(epoch)
        return last[1]

    def _shuffle(self, epoch):
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


class Batches:
    """A training set cut into batches of ``batch_size`` rows, this process holding the rows of its ``share``.

    store: a LatentStore; share: slice of 0..batch_size (None: all of it); memory_mb: see the module's text.
    Labels are int64, latents normalised float32, both on the CPU.
    """

    def __init__(self, store, batch_size, seed, memory_mb, share=None, block_bytes=BLOCK_BYTES):
        self.store, self.batch_size = store, batch_size
        self.share = share or slice(0, batch_size)
        self.count = len(store) * (2 if store.has_flips else 1)
        self.labels = torch.from_numpy(np.tile(store.labels, self.count // len(store)))
        row_bytes = 4 * int(np.prod(store.shape[1:]))
        if self.count * row_bytes <= memory_mb << 20:
            self.order = EpochOrder(self.count, seed)
            self._rows = _Resident(store)
        else:
            block_rows = max(1, block_bytes // row_bytes)
            window_rows = max(1, (memory_mb << 20) // 2 // (row_bytes * block_rows)) * block_rows
            self.order = EpochOrder(self.count, seed, block_rows, window_rows)
            self._rows = _Windows(store, self.order, batch_size, self.share)

    def indices(self, step):
        """Rows of the whole batch of a step, int64 (batch_size,): 0..N-1 plain, N..2N-1 the mirrored ones."""
        parts, position, left = [], step * self.batch_size, self.batch_size
        while left:
            epoch, offset = divmod(position, self.count)
            part = self.order.rows(epoch)[offset : offset + left]
            parts.append(part)
            position, left = position + len(part), left - len(part)
        return np.concatenate(parts)

    def load(self, step):
        """(latents (b, C, H, W), labels (b,)) of this process's share of a step's batch."""
        rows = self.indices(step)[self.share]
        return self._rows.take(step, rows), self.labels[torch.from_numpy(rows)]

    def stream(self, start, stop, device):
        """``load(step)`` for step in start..stop-1, on ``device``; for a GPU read ahead by a thread."""
        if torch.device(device).type == "cpu":
            for step in range(start, stop):
                yield self.load(step)
        else:
            for latents, labels in read_ahead(lambda step: _pin(self.load(step)), range(start, stop)):
                yield latents.to(device, non_blocking=True), labels.to(device, non_blocking=True)


def read_ahead(make, items, depth=4):
    """``make(item)`` for each item, in order, made by a thread at most ``depth`` ahead; its errors are raised here."""
    ready, stopped = queue.Queue(maxsize=depth), threading.Event()

    def produce():
        for item in items:
            try:
                entry = (make(item), None)
            except Exception as error:
                entry = (None, error)
            while not stopped.is_set():
                try:
                    ready.put(entry, timeout=0.2)
                    break
                except queue.Full:
                    continue
            if stopped.is_set() or entry[1] is not None:
                return

    thread = threading.Thread(target=produce, name="read-ahead", daemon=True)
    thread.start()
    try:
        for _ in items:
            value, error = ready.get()
            if error is not None:
                raise error
            yield value
    finally:
        stopped.set()
        thread.join()


def _pin(batch):
    return tuple(tensor.pin_memory() for tensor in batch)


class _Resident:
    """The whole training set in memory."""

    def __init__(self, store):
        self.latents = store.class_data()

    def take(self, step, rows):
        return self.latents[torch.from_numpy(rows)]


class _Windows:
    """The current window of the order and the next one, each read block by block in the order of the file.

    Holds only the rows of this process's share, in the order in which they will be asked for.
    """

    def __init__(self, store, order, batch_size, share):
        self.store, self.order, self.batch_size, self.share = store, order, batch_size, share
        self.reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="window")
        self.windows = {}  # (epoch, start) -> Future of (positions, latents)

    def take(self, step, rows):
        first = step * self.batch_size + self.share.start
        positions = np.arange(first, first + len(rows))
        latents = torch.empty(len(rows), *self.store.shape[1:])
        done, current = 0, None
        while done < len(rows):
            current = self._window_of(int(positions[done]))
            held, values = self._ask(current).result()
            start = int(np.searchsorted(held, positions[done]))
            stop = int(np.searchsorted(held, positions[-1], side="right"))
            latents[done : done + stop - start] = values[start:stop]
            done += stop - start
        for window in [window for window in self.windows if window < current]:
            del self.windows[window]
        self._ask(self._after(current))
        return latents

    def _window_of(self, position):
        epoch, offset = divmod(position, self.order.count)
        return epoch, offset - offset % self.order.window_rows

    def _after(self, window):
        epoch, start = window
        start += self.order.window_rows
        return (epoch, start) if start < self.order.count else (epoch + 1, 0)

    def _ask(self, window):
        if window not in self.windows:
            rows = self.order.rows(window[0])[window[1] : window[1] + self.order.window_rows]
            self.windows[window] = self.reader.submit(self._read, window, rows)
        return self.windows[window]

    def _read(self, window, rows):
        epoch, start = window
        positions = epoch * self.order.count + start + np.arange(len(rows))
        place = positions % self.batch_size
        mine = (place >= self.share.start) & (place < self.share.stop)
        positions, rows = positions[mine], rows[mine]
        latents = torch.empty(len(rows), *self.store.shape[1:])
        by_row = np.argsort(rows)
        blocks = np.flatnonzero(np.diff(rows[by_row] // self.order.block_rows, prepend=-1))
        for slots in np.split(by_row, blocks[1:]):
            low, high = int(rows[slots[0]]), int(rows[slots[-1]]) + 1
            latents[torch.from_numpy(slots)] = self._read_rows(low, high)[torch.from_numpy(rows[slots] - low)]
        return positions, latents

    def _read_rows(self, low, high):
        """Rows low..high-1 of plain samples followed by mirrored ones, normalised."""
        plain = len(self.store)
        parts = [(low, min(high, plain), False), (max(low, plain) - plain, high - plain, True)]
        parts = [self.store.read(slice(a, b), flipped=flipped) for a, b, flipped in parts if a < b]
        return parts[0] if len(parts) == 1 else torch.cat(parts)
