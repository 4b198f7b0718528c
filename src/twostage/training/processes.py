"""The processes of one training: alone, or started by torchrun."""

import ctypes
import inspect
import os
from contextlib import nullcontext, suppress

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from twostage.arguments import as_device

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
TORCHRUN = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def by_torchrun(variable, otherwise):
    """The whole number in one of torchrun's variables. If any of the variables is missing, torchrun did not start this
    process (a batch system or a shell may set ``WORLD_SIZE`` alone), and the result is ``otherwise``."""
    return int(os.environ[variable]) if all(name in os.environ for name in TORCHRUN) else otherwise


def keep_freed_memory():
    """Let this process keep the memory that a step frees, for the next step.

    glibc would return it to the operating system, which maps and zeroes it again: about 3% of a step on a CPU. Other C
    libraries are left alone.
    """
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_MMAP_THRESHOLD, 2**30)


class Processes:
    """This process's rank among ``count`` processes, its device, and the communication between the processes.

    If torchrun started them (all of its variables are in the environment), the processes are joined by gloo on CPUs and
    nccl on GPUs.
    device: ``cpu``, ``cuda`` or ``auto`` (a GPU if there is one).
    """

    def __init__(self, device="auto"):
        kind = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        if kind not in ("cpu", "cuda"):
            raise ValueError(f"device is {device!r}; expected cpu, cuda or auto")
        as_device(kind)
        self.count = by_torchrun("WORLD_SIZE", 1)
        self.rank = by_torchrun("RANK", 0)
        self.device = torch.device("cpu")
        if kind == "cuda":
            local = by_torchrun("LOCAL_RANK", 0) if self.count > 1 else torch.cuda.current_device()
            self.device = torch.device("cuda", local)
            torch.cuda.set_device(self.device)
        if self.count > 1:
            dist.init_process_group("cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo")

    @property
    def first(self):
        """Whether this process is the first, which writes the files."""
        return self.rank == 0

    def share(self, batch_size, parts):
        """Number of rows of a batch per process. ValueError if the batch cannot be divided evenly."""
        if batch_size % (self.count * parts):
            raise ValueError(
                f"batch_size is {batch_size}; expected a multiple of {self.count} processes x {parts} parts"
            )
        return batch_size // self.count

    def parallel(self, model):
        """The model, wrapped so that gradients are averaged over the processes."""
        if self.count == 1:
            return model
        ids = [self.device.index] if self.device.type == "cuda" else None
        # The buffers are constants, equal in all processes from the start, so they need not be sent at each step.
        known = inspect.signature(DistributedDataParallel).parameters
        constant = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
        return DistributedDataParallel(model, device_ids=ids, gradient_as_bucket_view=True, **{constant: False})

    def unsynchronised(self, model):
        """Context in which a backward pass leaves the averaging to a later one."""
        return model.no_sync() if self.count > 1 else nullcontext()

    def mean_(self, values):
        """Average a tensor over the processes, in place."""
        if self.count > 1:
            dist.all_reduce(values)
            values /= self.count
        return values

    def sum_(self, values):
        """Add up a tensor over the processes, in place."""
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def counts_for(self, counts):
        """Number of rows that each process has for this one, if this one has ``counts[r]`` for process r: lists of
        ints.

        Exchanged over the CPU, so that nobody waits for GPUs.
        """
        if self.count == 1:
            return counts
        counts = torch.tensor(counts)
        theirs = torch.empty_like(counts)
        dist.all_to_all_single(theirs, counts)
        return theirs.tolist()

    def exchange(self, rows, sent, received):
        """Send ``rows`` (n, ...), ``sent[r]`` of them to each process r in turn; returns the ``received[r]`` rows from
        r.

        sent, received: lists of ints. With the two swapped, this sends answers back in the same order.
        """
        if self.count == 1:
            return rows
        found = rows.new_empty(sum(received), *rows.shape[1:])
        dist.all_to_all_single(found, rows.contiguous(), received, sent)
        return found

    def each_broadcast(self, rows, size, counts):
        """Yield the rows (n, D) of all processes in every process, ``size`` at a time; counts: rows per process, a
        list."""
        for rank, count in enumerate(counts):
            for start in range(0, count, size):
                stop = min(start + size, count)
                block = rows[start:stop] if rank == self.rank else rows.new_empty(stop - start, rows.shape[1])
                if self.count > 1:
                    dist.broadcast(block, rank)
                yield block

    def any(self, flag):
        """Whether the flag is set in any process; exchanged over the CPU, so that GPUs continue meanwhile."""
        if self.count == 1:
            return flag
        vote = torch.tensor([int(flag)])
        dist.all_reduce(vote, op=dist.ReduceOp.MAX)
        return bool(vote.item())

    def meet(self):
        """Wait until every process is here. When the first process leaves unfinished, torchrun kills the others 30 s
        later, even in the middle of a checkpoint."""
        self.any(False)

    def from_first(self, value):
        """The first process's value, in every process."""
        if self.count == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, device=torch.device("cpu"))
        return box[0]

    def close(self):
        if self.count > 1 and dist.is_initialized():
            dist.destroy_process_group()
