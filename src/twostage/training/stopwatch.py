"""How long a part of the training steps takes, on a GPU without waiting for it."""

import time

import torch


class Stopwatch:
    """A context whose seconds add up; on a GPU those between two events on its stream."""

    def __init__(self, device):
        self.gpu = torch.device(device).type == "cuda"
        self.began, self.spans = None, []

    def __enter__(self):
        self.began = self._now()

    def __exit__(self, *error):
        self.spans.append((self.began, self._now()))

    def taken(self):
        """Seconds since this was last asked, float; on a GPU it waits for the last of them."""
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
