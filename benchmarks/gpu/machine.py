"""The device: a real GPU with sizes to match, or the pretended one with small ones; and how a call on it is timed."""

import contextlib
import os
import statistics
import time
from dataclasses import dataclass

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from twostage.testing.pretended_gpu import pretended_gpu

PEAK_BF16 = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # dense, makers' data sheets


@dataclass(frozen=True)
class Sizes:
    """How large things are. ``full`` takes some ten minutes on an H200, ``small`` seconds on the pretended GPU."""

    samples: int  # of the oracle: a class of ImageNet with flips, VA-VAE's 32 x 16 x 16
    latent: tuple
    points: int
    times: int
    queries: int  # of the nearest neighbours
    references: int
    features: int
    images: int  # to encode
    image_batch: int
    width: int  # of SD-VAE's first level; it has 128
    model: dict  # of the training, sampler and memory
    classes: int
    batch: int
    steps: int
    warm: int
    compiled: bool
    dinov2: tuple  # timm's name, side
    digits_steps: int


XL = {"patch_size": 1, "hidden_size": 1152, "depth": 28, "num_heads": 16}
FULL = Sizes(
    samples=2600, latent=(32, 16, 16), points=256, times=100, queries=10_000, references=50_000, features=2048,
    images=4096, image_batch=64, width=128, model=XL, classes=1000, batch=256, steps=20, warm=5, compiled=True,
    dinov2=("vit_base_patch14_dinov2.lvd142m", 224), digits_steps=600,
)  # fmt: skip
SMALL = Sizes(
    samples=40, latent=(2, 4, 4), points=4, times=5, queries=20, references=40, features=16,
    images=2, image_batch=2, width=32, model={"patch_size": 2, "hidden_size": 16, "depth": 1, "num_heads": 2},
    classes=3, batch=4, steps=2, warm=1, compiled=False, dinov2=("test_vit.r160_in1k", 32), digits_steps=4,
)  # fmt: skip


class Machine:
    """device: name of the GPU; pretended: whether there is none; sizes; count: GPUs; threads: CPU cores at hand."""

    def __init__(self):
        self.pretended = not torch.cuda.is_available()
        self.sizes = SMALL if self.pretended else FULL
        self.count = 1 if self.pretended else torch.cuda.device_count()
        self.device = "pretended GPU" if self.pretended else torch.cuda.get_device_name()
        self.threads = len(os.sched_getaffinity(0))

    @property
    def peak(self):
        """Operations per second in bf16, or None for a device whose data sheet is not at hand."""
        return next((peak for name, peak in PEAK_BF16.items() if name in self.device), None)

    @contextlib.contextmanager
    def gpu(self, backward=False):
        """Inside, device ``cuda`` is there."""
        with pretended_gpu(backward) if self.pretended else contextlib.nullcontext():
            yield
        if not self.pretended:
            torch.cuda.empty_cache()

    def in_turns(self, calls, rounds=9):
        """{name: median of its seconds}, calls taking turns, after one round that does not count."""
        found = {name: [] for name in calls}
        for _ in range(2 if self.pretended else rounds + 1):
            for name, call in calls.items():
                torch.cuda.synchronize()
                start = time.perf_counter()
                call()
                torch.cuda.synchronize()
                found[name].append(time.perf_counter() - start)
        return {name: statistics.median(seconds[1:]) for name, seconds in found.items()}


class Products(TorchDispatchMode):
    """Notes the matrix products of what runs inside; ``again`` runs them alone, on random numbers."""

    def __init__(self):
        super().__init__()
        self.shapes = []

    def __torch_dispatch__(self, operation, types, arguments=(), named=None):
        name = str(operation)
        if name.startswith(("aten.mm.", "aten.addmm.", "aten.bmm.", "aten.baddbmm.")):
            first, second = [x for x in arguments if isinstance(x, torch.Tensor)][-2:]
            if first.numel() and second.numel():
                self.shapes.append((tuple(first.shape), tuple(second.shape), first.dtype))
        return operation(*arguments, **(named or {}))

    def again(self):
        """A function that does the products, over and over on the same two tensors of each kind."""
        made = {key: [torch.rand(shape, dtype=key[2], device="cuda") for shape in key[:2]] for key in set(self.shapes)}
        return lambda: [torch.matmul(*made[key]) for key in self.shapes]
