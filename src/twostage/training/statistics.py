"""Training statistics: an append-only file of JSON lines, TensorBoard when asked, and the watch for divergence."""

import json
import math
import time

import torch

EXPLODED = 100.0  # mean squared error; a model that says nothing has about 2, data and noise having unit variance


class Diverged(ArithmeticError):
    """The loss is not finite or has exploded."""


class Statistics:
    """Losses and gradient norms of the steps: checked, averaged over ``log_every`` steps, written as JSON lines.

    path: the file, continued after ``step`` (lines of later steps, which a killed process left, are cut off), or None
    in the processes that do not write. tensorboard: folder of event files, or None.
    """

    def __init__(self, path, step, tensorboard=None):
        self.path, self.step = path, step
        self.recent, self.unchecked = [], 0
        self.clock = time.monotonic()
        self.seconds, self.repeated = _cut_after(path, step) if path else (0.0, 0)
        self.board = _board(tensorboard, step) if path and tensorboard else None

    def add(self, loss, norm):
        """Take note of a step's loss and gradient norm, two scalars on the training device; nothing waits for them."""
        self.step += 1
        self.recent.append(torch.stack([loss.detach(), norm.detach()]))

    def check(self, describe):
        """Raise Diverged for the first of the recent steps that is not finite or has exploded.

        describe(step) tells of the step's learning rate and batch.
        """
        values = torch.stack(self.recent[self.unchecked :]).tolist() if self.recent[self.unchecked :] else []
        first = self.step - len(values)
        for step, (loss, norm) in enumerate(values, start=first):
            if not (math.isfinite(loss) and math.isfinite(norm)) or loss > EXPLODED:
                raise Diverged(f"step {step + 1}: loss {loss:.4g}, gradient norm {norm:.4g}; {describe(step)}")
        self.unchecked = len(self.recent)

    def write(self, processes, lr, batch_size, **also):
        """Append a line with the means since the last one, and ``also``. Every process calls it; one writes."""
        if not self.recent:
            return
        loss, norm = processes.mean_(torch.stack(self.recent).mean(0)).tolist()
        now = time.monotonic()
        elapsed, self.clock = now - self.clock, now
        self.seconds += elapsed
        line = {
            "step": self.step,
            "loss": loss,
            "grad_norm": norm,
            "lr": lr,
            "samples_per_second": batch_size * len(self.recent) / elapsed,
            "seconds": self.seconds,
            **also,
        }
        self.recent, self.unchecked = [], 0
        if self.path:
            with open(self.path, "a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")
            if self.board:
                for name in ("loss", "grad_norm", "samples_per_second"):
                    self.board.add_scalar(name, line[name], self.step)

    def close(self):
        if self.board:
            self.board.close()


def _cut_after(path, step):
    """Drop lines after ``step`` and a torn one, in place, so that links to the file hold.

    Returns the seconds spent up to ``step``, and the steps beyond it that a killed process had logged.
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
    return SummaryWriter(folder, purge_step=step + 1)  # later events are of a killed process: they are hidden
