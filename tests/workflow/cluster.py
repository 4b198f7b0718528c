"""A Slurm of its own on this machine, for tests: daemons, ports, keys and state in a temporary folder.

munged, slurmctld and one slurmd a pretended node run as the present user, on loopback: no systemd, no cgroups, no
accounting database, nothing outside the folder. Pretended GPUs are character devices, which is all that Slurm looks at.
"""

import contextlib
import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
COMMANDS = ("sbatch", "srun", "squeue", "sinfo", "scancel", "scontrol", "sacct", "sacctmgr", "sshare")
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
NODES = {  # name: what it has besides eight CPUs
    "gpu1": "Gres=gpu:2 Weight=1",
    "shared1": "Weight=1",
    "fragile1": "Weight=1",
    "fragile2": "Weight=9",
    "drained1": "Weight=1",
    "pair1": "Weight=1",
    "pair2": "Weight=1",
}
PARTITIONS = """\
PartitionName=main Nodes=gpu1 Default=YES PreemptMode=REQUEUE PriorityTier=1
PartitionName=low Nodes=shared1 PreemptMode=REQUEUE PriorityTier=1
PartitionName=urgent Nodes=shared1 PreemptMode=OFF PriorityTier=10
PartitionName=fragile Nodes=fragile[1-2] PreemptMode=REQUEUE PriorityTier=1
PartitionName=pair Nodes=pair[1-2] PreemptMode=REQUEUE PriorityTier=1
PartitionName=drained Nodes=drained1 PreemptMode=REQUEUE PriorityTier=1
"""
CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
MpiDefault=none
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,defer_batch
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
ReturnToService=2
EnforcePartLimits=ALL
SlurmdParameters=config_overrides
SlurmdTimeout=10
SlurmctldTimeout=30
InactiveLimit=0
KillWait=10
Waittime=0
MinJobAge=3600
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
GresTypes=gpu
{nodes}
{partitions}"""


def missing():
    """What keeps a Slurm from being started here, as a reason to skip; None when nothing does."""
    absent = [name for name in DAEMONS + COMMANDS if shutil.which(name, path=PATH) is None]
    return f"no {', '.join(absent)}; apt-get install munge slurmctld slurmd slurm-client" if absent else None


class Cluster:
    """A running Slurm, by ``Cluster.start()``; ``environment`` is what its commands need, ``stop()`` ends it."""

    @classmethod
    @contextlib.contextmanager
    def start(cls):
        cluster = cls(Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp")))  # a socket's path has to be short
        try:
            cluster._start()
            yield cluster
        finally:
            cluster.stop()

    def __init__(self, folder):
        self.folder = folder
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))},
            "PATH": f"{folder}/bin{os.pathsep}{PATH}",
        }

    def _start(self):
        self.folder.chmod(0o755)
        for name in ("bin", "munge", "state", *(f"spool-{node}" for node in NODES)):
            (self.folder / name).mkdir()
        host, (port, *ports) = socket.gethostname().split(".")[0], _free_ports(1 + len(NODES))
        nodes = [
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={at} CPUs=8 RealMemory=16000 {has}"
            for (name, has), at in zip(NODES.items(), ports)
        ]
        text = CONFIGURATION.format(
            host=host,
            port=port,
            user=getpass.getuser(),
            folder=self.folder,
            nodes="\n".join(nodes),
            partitions=PARTITIONS.replace("\n", " MaxTime=60 DefaultTime=10 State=UP\n"),
        )
        (self.folder / "slurm.conf").write_text(text)
        (self.folder / "gres.conf").write_text("".join(f"Name=gpu File={at}\n" for at in ("/dev/null", "/dev/zero")))
        # A step of a job loses SLURM_CONF on its way through Snakemake's executor, so each command is told again.
        for name in DAEMONS + COMMANDS:
            wrapper, program = self.folder / "bin" / name, shutil.which(name, path=PATH)
            wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {program} "$@"\n')
            wrapper.chmod(0o755)
        munge, key = self.folder / "munge", self.folder / "munge" / "key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        options = {"key-file": key, "socket": munge / "socket", "pid-file": self.folder / "munged.pid"}
        options |= {"log-file": munge / "log", "seed-file": munge / "seed"}
        self.run("munged", "--force", *(f"--{name}={value}" for name, value in options.items()))
        self.run("slurmctld")
        for node in NODES:
            self.run("slurmd", "-N", node)
        self.wait_for(lambda: self.states() == dict.fromkeys(NODES, "idle"), "the nodes to come up")

    def run(self, *command, check=True):
        """Run a command of this Slurm; what it prints."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert not check or done.returncode == 0, f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def states(self):
        """{node: its state}"""
        return dict(line.split() for line in self.run("sinfo", "--noheader", "-N", "-o", "%N %t").splitlines())

    def job(self, job):
        """A job's state, how often it was restarted and its nodes, as Slurm knows them."""
        shown = self.run("scontrol", "--oneliner", "show", "job", str(job))
        return dict(word.partition("=")[::2] for word in shown.split())

    def start_slurmd(self, node):
        self.run("slurmd", "-N", node)

    def kill_slurmd(self, node):
        """End a node's slurmd as a crash would; what runs on the node is left running."""
        os.kill(self._pid(f"slurmd-{node}"), signal.SIGKILL)

    def wait_for(self, condition, what, timeout=120):
        deadline = time.monotonic() + timeout
        while not (found := condition()):
            assert time.monotonic() < deadline, f"waited {timeout} s for {what}\n{self.report()}"
            time.sleep(0.2)
        return found

    def report(self):
        """What the controller says of nodes and jobs, and the end of its log."""
        said = [self.run(*words, check=False) for words in (("sinfo", "-N"), ("squeue", "--states=all"))]
        log = self.folder / "slurmctld.log"
        return "\n".join([*said, *(log.read_text().splitlines()[-30:] if log.exists() else [])])

    def stop(self):
        self.run("scancel", "--signal=KILL", "--full", f"--user={getpass.getuser()}", check=False)
        for names in ([f"slurmd-{node}" for node in NODES], ["slurmctld"], ["munged"]):
            _end([self._pid(name) for name in names if (self.folder / f"{name}.pid").exists()])
        shutil.rmtree(self.folder, ignore_errors=True)

    def _pid(self, name):
        return int((self.folder / f"{name}.pid").read_text())


def _end(pids):
    """End daemons together, by force those that take longer than ten seconds."""
    for number in (signal.SIGTERM, *[0] * 100, signal.SIGKILL):
        pids = [pid for pid in pids if _signalled(pid, number)]
        if not pids:
            break
        time.sleep(0.1)


def _signalled(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
