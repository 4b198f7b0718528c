"""One line of the estimate."""

from collections.abc import Callable
from dataclasses import dataclass, field

BYTES = 4  # float32, in which latents and weights are stored
WIDE = 8  # float64
MULTIPLY_ADD = 2


def _nothing():
    return 0


@dataclass(frozen=True)
class Row:
    """Jobs of one rule that do the same; numbers are sums over the ``jobs``.

    flops: floating-point operations; bf16_flops: those of them that run in bf16; gpu_seconds: seconds of GPUs besides;
    cpu_seconds: core-seconds besides, which pass while a GPU works, all but waited_seconds of them, for which it waits;
    disk: bytes; stage: whose block of `jobs` says what a job asks for; needs, makes: paths below results/{run} (or of
    weights), or their beginnings.
    on_gpu, on_host: functions of nothing that count the bytes which one of the jobs holds at its worst, on each of its
    GPUs and beside its process on the host; called only where memory is asked for, since it takes seconds.
    """

    rule: str
    where: str = ""
    jobs: int = 1
    samples: int = 0
    flops: float = 0.0
    bf16_flops: float = 0.0
    cpu_seconds: float = 0.0
    waited_seconds: float = 0.0
    gpu_seconds: float = 0.0
    disk: float = 0.0
    stage: str = "report"
    needs: tuple = ()
    makes: tuple = field(default=(), compare=False)
    on_gpu: Callable[[], float] = field(default=_nothing, compare=False, repr=False)
    on_host: Callable[[], float] = field(default=_nothing, compare=False, repr=False)
