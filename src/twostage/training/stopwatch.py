"""Measures how long a part of the training steps takes, without waiting for a GPU."""

import time

import torch


class Stopwatch:
    """A context that sums up its seconds; on a GPU, the seconds between two events on its stream."""

    def __init__(self, device):
        self.gpu = torch.device(device).type == "cuda"
        self.began, self.spans = None, []

    def __enter__(self):
        self.began = self._now()

    def __exit__(self, *error):
        self.spans.append((self.began, self._now()))

    def taken(self):
        """Seconds measured since the last call, float; on a GPU it waits for the last event."""
        spans, self.spans = self.spans, []
        if self.gpu and spans:
            spans[-1][1].synchronize()
            return sum(start.elapsed_time(end) for start, end in spans) / 1e3
        return sum(end - start for start, end in spans)

    def _now(self):
        if not self.gpu:
            return time.monotonic()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event
