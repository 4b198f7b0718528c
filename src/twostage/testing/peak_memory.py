"""Peak memory of a computation, without computing it: the storages alive at the same time, counted on fake tensors.

    with on_fake_gpu(), Peak() as peak:
        network = make().to("cuda")
        network(torch.empty(4, 3, 256, 256, device="cuda"))
    peak.bytes

Fake tensors have shapes, strides and devices, but no numbers: a network of any size runs on any machine. They fail
where a shape depends on numbers (``nonzero``, boolean masks), and in a backward pass on ``cuda``, where autograd asks
the driver; so count training on fake tensors of device ``cpu``. Kernels' workspaces and the allocator's rounding and
splitting are not counted. ``Peak`` also counts real tensors.
"""

import contextlib
import weakref

import torch
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@contextlib.contextmanager
def on_fake_gpu():
    """Inside, every new tensor is fake, and device ``cuda`` can be used; yields the mode.

    Memory depends on which kernels run; so where operations differ between CPU and GPU, fake tensors run the GPU's.
    """
    torch._C._ensureCUDADeviceGuardSet()  # a device guard that does nothing, where there is no CUDA
    available, init = torch.cuda.is_available, fake_tensor.init_gpu_context
    torch.cuda.is_available = lambda: True
    fake_tensor.init_gpu_context = lambda device: None  # torch 2.11 makes a real tensor there
    try:
        with FakeTensorMode() as mode:
            yield mode
    finally:
        torch.cuda.is_available, fake_tensor.init_gpu_context = available, init


class Peak(TorchDispatchMode):
    """The largest sum of storages that were made inside and are alive at the same time.

    bytes: that sum; at: the operation and the shape at which it was reached; now: bytes alive now.
    device: count only this kind of device, "cuda" or "cpu"; None counts all.
    Tensors made before count only if they were given to ``hold``.
    """

    def __init__(self, device=None):
        super().__init__()
        self.device, self.bytes, self.now, self.at = device, 0, 0, None
        self._alive = {}

    def hold(self, tensors, at="held"):
        """Count the storages of ``tensors``, one or any nest of lists and dicts, until they are freed."""
        for tensor in tree_leaves(tensors):
            if isinstance(tensor, torch.Tensor) and self.device in (None, tensor.device.type):
                self._count(tensor, at)

    def __torch_dispatch__(self, operation, types, arguments=(), named=None):
        result = operation(*arguments, **(named or {}))
        self.hold(result, str(operation))
        return result

    def _count(self, tensor, at):
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._alive:
            return
        self._alive[key] = size
        self.now += size
        weakref.finalize(storage, self._freed, key)
        if self.now > self.bytes:
            self.bytes, self.at = self.now, (at, tuple(tensor.shape))

    def _freed(self, key):
        self.now -= self._alive.pop(key)
