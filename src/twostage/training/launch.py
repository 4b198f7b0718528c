"""One training on several GPUs or nodes: torchrun inside the allocation that the job already has.

On one node, torchrun starts the processes. On several nodes, ``srun`` starts one torchrun per node. These meet at an
address that follows from Slurm: the first node of the allocation, which runs the job's script, and a port derived from
the job's number, so that two jobs on a node do not meet by mistake.

A batch system that ends a job sends SIGTERM to all of its processes or only to the first. The trainings then write a
checkpoint, which may take minutes; the process that started them waits for it.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

TORCHRUN = (sys.executable, "-m", "torch.distributed.run")
MODULE = "twostage.training"
GRACE = "TORCH_ELASTIC_SHUTDOWN_TIMEOUT"
GRACE_S = 600  # time that torchrun gives its processes after SIGTERM, instead of 30 s: XL's 10.8 GB at 18 MB/s


def launch(gpus, nodes, threads, arguments):
    """Run ``python -m twostage.training *arguments`` as one process per GPU (one per node without any): its exit code.

    gpus: of all nodes together. Raises ValueError when they do not come out even, or for several nodes outside Slurm.
    """
    if gpus % nodes:
        raise ValueError(f"{gpus} GPUs on {nodes} nodes; expected a multiple of the nodes, as many on each")
    each = max(1, gpus // nodes)
    if nodes == 1:
        command = [*TORCHRUN, "--standalone", f"--nproc-per-node={each}", "-m", MODULE, *arguments]
    elif "SLURM_JOB_ID" not in os.environ:
        raise ValueError(f"nodes is {nodes}, but this is no Slurm job; expected 1, or `snakemake --profile slurm`")
    else:
        command = ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1"]
        command += [f"--cpus-per-task={threads}", "--kill-on-bad-exit=1"]
        command += [sys.executable, "-m", __spec__.name, str(nodes), str(each), *arguments]
    environment = {GRACE: str(GRACE_S), **os.environ}
    with subprocess.Popen(command, env=environment) as process, _passing_on(process, to_workers=nodes == 1):
        return process.wait()


@contextlib.contextmanager
def _passing_on(process, to_workers):
    """Inside, SIGTERM and SIGUSR1 do not end this process; on one node they are passed on.

    They are passed to torchrun's processes and not to torchrun: told twice, it would no longer wait for its processes.
    On several nodes Slurm tells srun.
    """

    def pass_on(number, frame):
        workers = _children(process.pid)
        if to_workers and workers:
            for worker in workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, number)
        elif to_workers:  # it is still starting
            process.terminate()

    watched = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGTERM, signal.SIGUSR1) if watched else ()
    before = {number: signal.signal(number, pass_on) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _children(pid):
    """Process numbers of a process's children; none where the kernel does not list them."""
    with contextlib.suppress(OSError):
        found = [path.read_text(encoding="utf-8") for path in Path(f"/proc/{pid}/task").glob("*/children")]
        return [int(number) for text in found for number in text.split()]
    return []


def join(nodes, each, arguments):
    """Run in each task of ``srun``: replace this process by the node's torchrun."""
    port = 20000 + int(os.environ["SLURM_JOB_ID"]) % 20000
    command = [*TORCHRUN, f"--nnodes={nodes}", f"--nproc-per-node={each}", f"--node-rank={os.environ['SLURM_NODEID']}"]
    command += [f"--master-addr={os.environ['SLURM_LAUNCH_NODE_IPADDR']}", f"--master-port={port}"]
    os.execv(command[0], [*command, "-m", MODULE, *arguments])


if __name__ == "__main__":
    join(*sys.argv[1:3], sys.argv[3:])
