"""One training on several GPUs or nodes: torchrun inside the allocation that a job has already.

On one node torchrun starts the processes. On several, ``srun`` starts one torchrun a node, and these meet at the
address that Slurm gives: the node that runs the job's script, which is the allocation's first, and a port derived from
the job's number, so that two jobs on a node do not meet by mistake.
"""

import os
import subprocess
import sys

TORCHRUN = (sys.executable, "-m", "torch.distributed.run")
MODULE = "twostage.training"


def launch(gpus, nodes, threads, arguments):
    """Run ``python -m twostage.training *arguments`` as one process a GPU (one a node without any): its exit code.

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
    return subprocess.run(command, check=False).returncode


def join(nodes, each, arguments):
    """In each task of ``srun``: become this node's torchrun."""
    port = 20000 + int(os.environ["SLURM_JOB_ID"]) % 20000
    command = [*TORCHRUN, f"--nnodes={nodes}", f"--nproc-per-node={each}", f"--node-rank={os.environ['SLURM_NODEID']}"]
    command += [f"--master-addr={os.environ['SLURM_LAUNCH_NODE_IPADDR']}", f"--master-port={port}"]
    os.execv(command[0], [*command, "-m", MODULE, *arguments])


if __name__ == "__main__":
    join(*sys.argv[1:3], sys.argv[3:])
