"""The N samples an oracle looks at, in memory or streamed from a latent store: one view of both."""

import queue
import threading

import torch

MEGABYTE = 1 << 20
WIDE = torch.float64  # what logits and sums are kept in


class Samples:
    """Samples x^(1..N) as rows, with their mean, a centre, and the squared norms about it.

    data: floating tensor (N, D) or (N, C, H, W), or an open LatentStore; label: the class of the store (None: all).
    A store whose samples fit in half of ``budget_mb`` is read into memory once, a larger one is streamed.

    count, dim: N and D; shape: of one sample; mean: (D,) float64; centre: (D,) in the data's dtype, subtracted from
    the rows before matrix products. It is zero unless the mean outweighs the spread, when products about zero would
    lose digits.

    Raises ValueError for no samples, an integer dtype, NaN or infinite values.
    """

    def __init__(self, data, label=None, device=None, budget_mb=1024):
        if budget_mb <= 0:
            raise ValueError(f"budget_mb is {budget_mb}; expected a number of megabytes above 0")
        self.budget = int(budget_mb * MEGABYTE)
        self.device = torch.device(device) if device is not None else None
        self._store, self._label = (data, label) if hasattr(data, "batches") else (None, None)
        if self._store is None:
            self._take(torch.as_tensor(data))
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
        square = 0.0
        for _, rows in self.chunks(self.block()):
            wide = rows.to(WIDE)
            total += wide.sum(0)
            square += wide.square().sum()
        if not (torch.isfinite(total).all() and torch.isfinite(square)):
            raise ValueError("the data hold NaN or infinite values; expected finite numbers: clean them first")
        self.mean = total / self.count
        self.centre = self.mean.to(self.dtype)
        if 2 * self.mean.square().sum() <= square / self.count:
            self.centre = torch.zeros_like(self.centre)
        self.is_centred = bool(self.centre.any())
        self._centred = None
        self.half_norms = torch.empty(self.count, dtype=WIDE, device=self.device)
        if self._rows is not None:
            self._centred = self._rows - self.centre if self.is_centred else self._rows
        for start, rows in self.chunks(self.block()):
            self.half_norms[start : start + len(rows)] = self.centred(start, rows, WIDE).square().sum(1) / 2

    @property
    def in_memory(self):
        """Whether the rows are held in memory, not streamed."""
        return self._rows is not None

    def block(self):
        """Rows a chunk for passes that widen them to float64."""
        return max(1, min(self.budget // 4, 32 * MEGABYTE) // (8 * self.dim))

    def chunks(self, size):
        """Yield (start, rows (n, D)) with n <= size, in order, as they are in the data (not centred)."""
        if self._rows is not None:
            for start in range(0, self.count, size):
                yield start, self._rows[start : start + size]
            return
        start = 0
        for batch in _ahead(self._store.batches(size, self._label)):
            rows = batch.reshape(len(batch), -1).to(self.device)
            yield start, rows
            start += len(rows)

    def centred(self, start, rows, dtype=None):
        """The rows that ``chunks`` gave at ``start``, minus the centre; in float64 nothing is rounded."""
        if dtype == WIDE and rows.dtype != WIDE:
            return rows.to(WIDE).sub_(self.centre)
        if not self.is_centred:
            return rows
        if self._centred is not None:
            return self._centred[start : start + len(rows)]
        return rows - self.centre

    def take(self, index):
        """Rows (k, D) at integer positions ``index`` (k,), as they are in the data."""
        index = index.to(self.device)
        if self._rows is not None:
            return self._rows[index]
        taken = torch.empty(len(index), self.dim, dtype=self.dtype, device=self.device)
        for start, rows in self.chunks(self.block()):
            here = (index >= start) & (index < start + len(rows))
            taken[here] = rows[index[here] - start]
        return taken


def exact_product(a, b):
    """``a @ b`` in full precision of its dtype, whatever reduced precision the process allows elsewhere."""
    before = torch.get_float32_matmul_precision()
    if before == "highest":
        return a @ b
    torch.set_float32_matmul_precision("highest")
    try:
        return a @ b
    finally:
        torch.set_float32_matmul_precision(before)


def check_times(t, name="t"):
    """``t`` as a float64 tensor; ValueError unless every value lies in [0, 1]."""
    t = torch.as_tensor(t, dtype=WIDE)
    outside = ~((t >= 0) & (t <= 1))
    if outside.any():
        raise ValueError(f"{name} is {t[outside].flatten()[0].item()}; expected times in [0, 1]")
    return t


def _ahead(batches):
    """The same batches, the next one read in a thread while this one is used."""
    ready = queue.Queue(maxsize=1)
    stop = threading.Event()

    def put(item):
        while not stop.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except queue.Full:
                continue

    def read():
        try:
            for batch in batches:
                put((batch, None))
                if stop.is_set():
                    return
            put((None, None))
        except BaseException as error:
            put((None, error))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        while True:
            batch, error = ready.get()
            if error is not None:
                raise error
            if batch is None:
                return
            yield batch
    finally:
        stop.set()
        reader.join()


def _length(part):
    return part.stop - part.start


def _product(shape):
    result = 1
    for size in shape:
        result *= size
    return result
