"""Training statistics: an append-only file of JSON lines, TensorBoard if requested, and the check for divergence."""

import json
import math
import time

import torch

EXPLODED = 100.0  # mean squared error; an untrained model has about 2, since data and noise have unit variance


class Diverged(ArithmeticError):
    """The loss is not finite or has exploded."""


class Statistics:
    """Losses and gradient norms of the steps: checked, averaged over ``log_every`` steps, written as JSON lines.

    Reading a number waits for the GPU. So a line is read only when the next line ends; its numbers have then arrived.

    path: the file, continued after ``step`` (lines of later steps, from a killed process, are removed), or None in the
    processes that do not write. tensorboard: folder of event files, or None.
    """

    def __init__(self, path, step, tensorboard=None):
        self.path, self.step = path, step
        self.recent, self.unchecked, self.ended = [], 0, []
        self.clock = time.monotonic()
        self.seconds, self.repeated = _cut_after(path, step) if path else (0.0, 0)
        self.board = _board(tensorboard, step) if path and tensorboard else None

    def add(self, loss, norm):
        """Add a step's loss and gradient norm, two scalars on the training device, without waiting for them."""
        self.step += 1
        self.recent.append(torch.stack([loss.detach(), norm.detach()]))

    def check(self, describe):
        """Raise Diverged for the first step since the last line whose loss is not finite or has exploded.

        Waits for the numbers. describe(step) describes the step's learning rate and batch.
        """
        values = torch.stack(self.recent[self.unchecked :]).tolist() if self.recent[self.unchecked :] else []
        self.unchecked = len(self.recent)
        _refuse_diverged(values, self.step, describe)

    def end_line(self, processes, lr, batch_size, **also):
        """End a line with this step; also: further values for it. Its numbers are sent to the host without waiting.

        Every process calls this.
        """
        if not self.recent:
            return
        values = torch.stack(self.recent)
        means = processes.mean_(values.mean(0))
        now = time.monotonic()
        elapsed, self.clock = now - self.clock, now
        self.seconds += elapsed
        rate = batch_size * len(self.recent) / elapsed
        facts = {"lr": lr, "samples_per_second": rate, "seconds": self.seconds, **also}
        self.ended.append((self.step, facts, _HostCopy(torch.cat([means[None], values]))))
        self.recent, self.unchecked = [], 0

    def write(self, describe, keep=0):
        """Append the ended lines, except the last ``keep``, whose numbers may not have arrived yet.

        Instead of a line with a step that ``check`` refuses, raises Diverged. Only one process writes.
        """
        while len(self.ended) > keep:
            step, facts, copy = self.ended.pop(0)
            (loss, norm), *values = copy.read()
            _refuse_diverged(values, step, describe)
            line = {"step": step, "loss": loss, "grad_norm": norm, **facts}
            if self.path:
                with open(self.path, "a", encoding="utf-8") as stream:
                    stream.write(json.dumps(line) + "\n")
            if self.board:
                for name in ("loss", "grad_norm", "samples_per_second"):
                    self.board.add_scalar(name, line[name], step)

    def close(self):
        if self.board:
            self.board.close()


class _HostCopy:
    """Numbers that are being copied from the training device to the host."""

    def __init__(self, values):
        self.values = values.to("cpu", non_blocking=True)  # into pinned memory, from a GPU
        self.arrived = torch.cuda.Event() if values.is_cuda else None
        if self.arrived:
            self.arrived.record()

    def read(self):
        """Wait for the numbers and return them as a list."""
        if self.arrived:
            self.arrived.synchronize()
        return self.values.tolist()


def _refuse_diverged(values, last, describe):
    """Raise Diverged for the first (loss, gradient norm) of the steps up to ``last`` that is not finite or exploded."""
    for step, (loss, norm) in enumerate(values, start=last - len(values)):
        if not (math.isfinite(loss) and math.isfinite(norm)) or loss > EXPLODED:
            raise Diverged(f"step {step + 1}: loss {loss:.4g}, gradient norm {norm:.4g}; {describe(step)}")


def _cut_after(path, step):
    """Remove lines after ``step`` and an incomplete line, in place, so that links to the file stay valid.

    Returns the seconds spent up to ``step``, and the number of later steps that a killed process had logged.
    """
    seconds, kept, last = 0.0, 0, step
    with open(path, "a+b") as stream:
        stream.seek(0)
        for line in stream:
            try:
                entry = json.loads(line)
                last = max(last, entry["step"])
                if last > step or not line.endswith(b"\n"):
                    continue
            except (ValueError, KeyError, TypeError):
                break
            seconds, kept = entry["seconds"], kept + len(line)
        stream.truncate(kept)
    return seconds, last - step


def _board(folder, step):
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError("tensorboard is true, but TensorBoard is not installed; `pip install tensorboard`") from None
    return SummaryWriter(folder, purge_step=step + 1)  # hides later events, which come from a killed process
