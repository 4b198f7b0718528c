"""A pretended GPU: tensors whose device is ``cuda:0`` but which compute on the CPU, for machines without a GPU.

    with pretended_gpu() as record:
        oracle = Oracle(data.to("cuda"))
        velocity = oracle.velocity(points.to("cuda"), 0.3)
    print(record)

It refuses what a GPU would refuse: tensors of two devices in one operation, a generator of the wrong device. It records
every operation that would make the host wait for the GPU, with the line of this package that asked for it. Results are
the CPU's, bit for bit, random numbers included. Speed and memory are not modelled.

There are two kinds, because autograd's engine asks the driver about every tensor with CUDA's dispatch keys. Without
``backward``, tensors have CUDA's dispatch keys, so autocast and the choice of kernels are those of a GPU. With
``backward``, they have the CPU's keys and only report ``cuda:0`` as their device.
"""

import contextlib
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_flatten, tree_map

CUDA = torch.device("cuda", 0)
PACKAGE = Path(__file__).resolve().parents[1]

# The result of these is a number, or has a shape that depends on numbers: the host waits for it.
WAITS = (
    "_local_scalar_dense", "bincount", "equal", "is_nonzero", "masked_select", "nonzero", "unique_consecutive",
    "unique_dim", "_unique2",
)  # fmt: skip
COPIES = ("aten._to_copy.default", "aten.copy_.default")
INDEXED = ("aten.index.Tensor", "aten.index_put", "aten._index_put")
LISTS = (
    "aten.cat",
    "aten.stack",
    "aten._fused",
    "aten._foreach",
)  # a GPU takes no CPU scalar in these operations' lists
# Lazy conjugation and negation set a bit that the dispatcher no longer reads at this level.
MATERIALISED = {"aten._conj.default": torch.ops.aten.conj_physical, "aten._neg_view.default": torch.ops.aten.neg}


class Event(NamedTuple):
    """An event, and its place in this package: the innermost line of its code ("?" where none of it was running)."""

    kind: str
    file: str
    line: int
    function: str

    def __str__(self):
        return f"{self.kind} at {self.file}:{self.line} ({self.function})"


class Record:
    """Events since the start or the last ``clear``.

    syncs: Counter of events at which the host waits for the GPU, as in torch's own ``set_sync_debug_mode``: numbers and
        shapes read back, copies to the CPU, and blocking copies to the GPU.
    transfers: Counter of copies to the GPU, blocking or not.
    operations: number of operations on the GPU, of any kind.
    bytes_in, bytes_out: bytes copied to the GPU and from it.
    """

    def __init__(self):
        self.generators = {}
        self.clear()

    def clear(self):
        self.syncs, self.transfers = Counter(), Counter()
        self.operations = self.bytes_in = self.bytes_out = 0

    def sync(self, kind):
        self.syncs[_event(kind)] += 1

    def copied_in(self, tensor, blocking):
        self.bytes_in += tensor.nbytes
        self.transfers[_event("copy to the GPU" if blocking else "non-blocking copy to the GPU")] += 1
        if blocking:
            self.sync("copy to the GPU")

    def copied_out(self, tensor, blocking):
        self.bytes_out += tensor.nbytes
        if blocking:
            self.sync("copy to the CPU")

    def __str__(self):
        lines = [f"{self.operations} operations, {self.bytes_in} bytes to the GPU, {self.bytes_out} from it"]
        for name, events in (("sync", self.syncs), ("transfer", self.transfers)):
            lines += [f"{name:9}{count:6} x {event}" for event, count in events.most_common()]
        return "\n".join(lines)


def _event(kind):
    frame = sys._getframe(1)
    while frame is not None:
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(PACKAGE) and file.parent != Path(__file__).parent:
            return Event(kind, str(file.relative_to(PACKAGE)), frame.f_lineno, frame.f_code.co_name)
        frame = frame.f_back
    return Event(kind, "?", 0, "?")


_now = None  # the record of the pretended GPU in use


@contextlib.contextmanager
def pretended_gpu(backward=False):
    """Inside, torch has one GPU; yields the ``Record`` of its events.

    backward: allow gradients, with the CPU's dispatch keys (see the module). Move modules and tensors to ``cuda``
    inside, and use none of them outside. Raises RuntimeError inside another pretended GPU.
    """
    global _now
    if _now is not None:
        raise RuntimeError("a GPU is pretended already; expected one at a time")
    torch._C._ensureCUDADeviceGuardSet()  # a device guard that does nothing, where there is no CUDA
    _now = Record()
    tensor = _Front if backward else _Keyed
    swapped = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with contextlib.ExitStack() as patches:
            for owner, name, value in _patches(backward):
                patches.callback(setattr, owner, name, getattr(owner, name))
                setattr(owner, name, value)
            patches.enter_context(_Operations(tensor))
            yield _now
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(swapped)
        _now = None


def _patches(backward):
    """The replacements in torch: (owner, name, value)."""
    autocast = torch.autocast
    yield torch.backends.cudnn, "enabled", False
    yield torch.cuda, "_lazy_init", lambda: None
    yield torch.cuda, "is_available", lambda: True
    yield torch.cuda, "is_bf16_supported", lambda *_, **__: True
    yield torch.cuda, "device_count", lambda: 1
    yield torch.cuda, "current_device", lambda: 0
    yield torch.cuda, "set_device", lambda device: None
    yield torch.cuda, "get_device_name", lambda device=None: "pretended GPU"
    for name in ("empty_cache", "reset_peak_memory_stats"):
        yield torch.cuda, name, lambda *_: None
    yield torch.cuda, "max_memory_allocated", lambda device=None: 0
    yield torch.cuda, "synchronize", lambda device=None: _now.sync("synchronize")
    yield torch.cuda, "Event", _CudaEvent
    yield torch, "Generator", _Generator
    yield torch, "tensor", _made_on_cpu(torch.tensor)
    yield torch, "as_tensor", _made_on_cpu(torch.as_tensor)
    yield torch.inference_mode, "__enter__", _no_grad_instead
    yield torch.inference_mode, "__exit__", _grad_as_before
    yield torch.Tensor, "pin_memory", lambda self, *_: self
    # Otherwise torch would run other code, which rounds differently, for tensor classes that it does not know.
    yield torch.utils._foreach_utils, "_foreach_supported_types", [torch.Tensor, _Keyed, _Front]
    yield torch._C, "_group_tensors_by_device_and_dtype", _grouped(torch._C._group_tensors_by_device_and_dtype)
    for name in ("eigvalsh", "svdvals"):
        yield torch.linalg, name, _unseen(getattr(torch.linalg, name))
    yield torch.optim.Optimizer, "_accelerator_graph_capture_health_check", lambda self: None
    if backward:
        yield torch, "autocast", lambda device_type, *rest, **named: autocast("cpu", *rest, **named)


class _CudaEvent:
    """A ``torch.cuda.Event``: a mark in the GPU's work for which the host can wait."""

    def __init__(self, *_, **__):
        self.time = None

    def record(self, stream=None):
        self.time = time.monotonic()

    def synchronize(self):
        _now.sync("synchronize")

    def elapsed_time(self, end):
        return 1e3 * (end.time - self.time)


def _made_on_cpu(make):
    def made(data, *rest, device=None, **named):
        if device is None or torch.device(device).type != "cuda":
            return make(data, *rest, device=device, **named)
        return make(data, *rest, **named).to(CUDA)

    return made


def _no_grad_instead(inference_mode):
    """In place of inference mode, in which tensors have no version and operations arrive as compounds; wrappers of
    tensors work with neither."""
    inference_mode.before = torch.is_grad_enabled()
    torch.set_grad_enabled(torch.is_grad_enabled() and not inference_mode.mode)


def _grad_as_before(inference_mode, *error):
    torch.set_grad_enabled(inference_mode.before)


def _grouped(group):
    def found(lists, *rest):
        groups = group(lists, *rest).items()
        return {(_device_of(tensors[0]), kind): (tensors, rows) for (_, kind), (tensors, rows) in groups}

    return found


def _device_of(tensors):
    return next(tensor.device for tensor in tensors if tensor is not None)


def _unseen(function):
    """The function applied to the plain CPU tensors: under a mode, or for another tensor class, it runs other code."""

    def found(x, *rest, **named):
        with _disable_current_modes():
            result = function(x._real if isinstance(x, _Pretended) else x, *rest, **named)
        return type(x)(result) if isinstance(x, _Pretended) else result

    return found


class _Generator(torch.Generator):
    """A generator that reports the requested device and draws the CPU's numbers."""

    def __new__(cls, device="cpu"):
        made = super().__new__(cls, "cpu")
        if torch.device(device).type == "cuda":
            _now.generators[made._cdata] = made  # operations receive another Python object for it
        return made

    @property
    def device(self):
        return CUDA if self._cdata in _now.generators else torch.device("cpu")


class _Pretended(torch.Tensor):
    """A tensor whose device is cuda:0; ``_real`` holds its numbers, on the CPU."""

    device = property(lambda self: CUDA)
    is_cuda = property(lambda self: True)

    def __repr__(self):
        return f"pretended({self._real})"

    def numpy(self, *_, **__):
        raise TypeError(
            "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy it to the CPU first"
        )

    def tolist(self):
        _now.sync("tolist")
        return self._real.detach().tolist()

    @classmethod
    def __torch_dispatch__(cls, operation, types, arguments=(), named=None):
        return _run(cls, operation, arguments, named or {})


class _Keyed(_Pretended):
    """A pretended tensor with CUDA's dispatch keys."""

    @staticmethod
    def __new__(cls, real, requires_grad=False):
        meta = torch.empty_strided(real.size(), real.stride(), dtype=real.dtype, device="meta")
        made = torch.Tensor._make_subclass(cls, meta, requires_grad, dispatch_device=True, device_for_backend_keys=CUDA)
        made._real = real
        return made


class _Front(_Pretended):
    """A pretended tensor with the CPU's dispatch keys. Without the methods below, torch would see the CPU."""

    @staticmethod
    def __new__(cls, real, requires_grad=False):
        made = torch.Tensor._make_wrapper_subclass(
            cls, real.size(), strides=real.stride(), storage_offset=0, dtype=real.dtype, layout=real.layout,
            device="cpu", requires_grad=requires_grad,
        )  # fmt: skip
        made._real = real
        return made

    def cpu(self):
        _now.copied_out(self._real, blocking=True)
        return self._real.detach().clone()

    def to(self, *wanted, **named):
        if wanted and isinstance(wanted[0], torch.Tensor):
            device, dtype, waits_not = wanted[0].device, wanted[0].dtype, named.get("non_blocking", False)
        else:
            named.pop("copy", None)
            device, dtype, waits_not, _ = torch._C._nn._parse_to(*wanted, **named)
        moved = self if dtype in (None, self.dtype) else torch.ops.aten._to_copy(self, dtype=dtype)
        if device is None or device.type != "cpu":
            return moved
        _now.copied_out(moved._real, blocking=not waits_not)
        return moved._real.detach().clone()

    def new_empty(self, *size, **named):
        return _Front(self._real.new_empty(*size, **_elsewhere(named)))

    def new_ones(self, *size, **named):
        return _Front(self._real.new_ones(*size, **_elsewhere(named)))

    def new_zeros(self, *size, **named):
        return _Front(self._real.new_zeros(*size, **_elsewhere(named)))


def _elsewhere(named):
    return {name: value for name, value in named.items() if name != "device"}


class _Operations(TorchDispatchMode):
    """Intercepts operations that make tensors on ``cuda`` and have no pretended tensor among their arguments."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def __torch_dispatch__(self, operation, types, arguments=(), named=None):
        named = named or {}
        flat, _ = tree_flatten((arguments, named))
        if any(isinstance(value, _Pretended) or _names_gpu(value) for value in flat):
            return _run(self.kind, operation, arguments, named)
        _refuse_generators(operation, flat, on_gpu=False)
        return operation(*arguments, **named)


def _names_gpu(value):
    return isinstance(value, torch.device) and value.type == "cuda"


def _run(kind, operation, arguments, named):
    """Run one operation that has a pretended tensor among its arguments or its results."""
    name = str(operation)
    if name == "prim.device.default":
        return arguments[0].device
    flat, _ = tree_flatten((arguments, named))
    here = any(isinstance(value, _Pretended) for value in flat)
    device = named.get("device")
    wanted = None if device is None else torch.device(device).type
    if kind is _Front and here and wanted == "cpu":
        wanted = None  # autograd asks for the device that the dispatcher sees
    if here and kind is _Keyed:
        if name == "aten._fused_sdp_choice.default":
            return 0  # attention by its formula, the only one that runs here
        if name.startswith("aten._scaled_dot_product"):
            raise RuntimeError(f"{name}: a pretended GPU has no such kernel")
    _refuse_generators(operation, flat, on_gpu=here or wanted == "cuda")
    if here and name not in COPIES:
        _refuse_two_devices(name, arguments, flat)
    if here:
        _note_waiting(name, arguments, named)

    wrapped = {}

    def unwrap(value):
        if not isinstance(value, _Pretended):
            return value
        wrapped[id(value._real)] = value
        return value._real

    real_arguments, real_named = tree_map(unwrap, (arguments, named))
    if wanted == "cuda":
        real_named["device"] = torch.device("cpu")
    real_named.pop("pin_memory", None)
    stays = wanted == "cuda" or (here and wanted is None)
    if name == "aten._to_copy.default":
        blocking = not named.get("non_blocking")
        if here and wanted == "cpu":
            _now.copied_out(real_arguments[0], blocking)
        elif wanted == "cuda" and not here:
            _now.copied_in(real_arguments[0], blocking)
    elif name == "aten.copy_.default":
        target, source = arguments[:2]
        blocking = not (arguments[2] if len(arguments) > 2 else named.get("non_blocking"))
        if not isinstance(target, _Pretended):
            _now.copied_out(real_arguments[1], blocking)
            stays = False
        elif not isinstance(source, _Pretended) and source.dim():
            _now.copied_in(source, blocking)
    _now.operations += 1
    operation = MATERIALISED.get(name, operation)
    result = operation(*real_arguments, **real_named)
    if name == "aten._local_scalar_dense.default":
        return result

    def wrap(value):
        if not isinstance(value, torch.Tensor) or isinstance(value, _Pretended):
            return value
        if id(value) in wrapped:
            return wrapped[id(value)]
        return kind(value) if stays else value

    return tree_map(wrap, result)


def _refuse_generators(operation, flat, on_gpu):
    """Raise RuntimeError for a generator of the other device."""
    for value in flat:
        if isinstance(value, torch._C.Generator) and (value._cdata in _now.generators) != on_gpu:
            raise RuntimeError(f"Expected a '{'cuda' if on_gpu else 'cpu'}' generator: {_event(str(operation))}")


def _refuse_two_devices(name, arguments, flat):
    """Raise RuntimeError for a CPU tensor that a CUDA kernel does not take."""
    for value in flat:
        if not isinstance(value, torch.Tensor) or isinstance(value, _Pretended):
            continue
        number = value.dim() == 0 and not name.startswith(LISTS)  # passed by value
        indexed = name.startswith(INDEXED) and isinstance(arguments[0], _Pretended)
        if not number and not (indexed and any(value is index for index in arguments[1])):  # indices are copied first
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu: "
                f"{_event(name)}, a CPU tensor {tuple(value.shape)} of {value.dtype}"
            )


def _note_waiting(name, arguments, named):
    operator = name.split(".")[1]
    if operator in WAITS or (operator == "repeat_interleave" and named.get("output_size") is None):
        _now.sync(operator)
    if name.startswith(INDEXED):
        indices = [index for index in arguments[1] if isinstance(index, torch.Tensor)]
        if any(index.dtype in (torch.bool, torch.uint8) for index in indices):
            _now.sync("boolean mask")
        if isinstance(arguments[0], _Pretended):
            for index in indices:
                if not isinstance(index, _Pretended):
                    _now.copied_in(index, blocking=True)
