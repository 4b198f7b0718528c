"""Snakemake without its imports, which take half of a start: each start is a fork of a process that has made them.

A fork is otherwise what ``python -m snakemake`` is: a process with a folder, environment, arguments, output and exit
code of its own, which leaves nothing behind for the next. Nothing of twostage is imported before it: a checkout has
its own. Jobs are no forks. Tests of what a shell, a terminal or Slurm does to Snakemake start it themselves.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

# What every start comes to import, beside Snakemake's plugins.
PRELOADED = ["snakemake.cli", "snakemake.profiles", "snakemake.report.html_reporter", "snakemake.storage"]
PRELOADED += ["jinja2", "nbformat", "numpy", "pandas", "PIL.Image", "pydantic", "requests", "safetensors", "smart_open"]


class Server:
    """The process that forks, which ends with this one."""

    def __init__(self):
        self.environment = dict(os.environ)
        self.process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, arguments, cwd, environment=None):
        """As ``subprocess.run([sys.executable, "-m", "snakemake", *arguments], ...)``: the finished process."""
        environment = dict(os.environ if environment is None else environment)
        for name in {name for name in {*environment, *self.environment} if name.startswith("PYTHON")}:
            # What the interpreter reads at its start cannot change after it.
            assert environment.get(name) == self.environment.get(name), f"{name} is not what it was"
        with tempfile.TemporaryDirectory() as folder:
            outputs = [str(Path(folder) / name) for name in ("stdout", "stderr")]
            wanted = {"arguments": list(map(str, arguments)), "cwd": str(cwd), "environment": environment}
            wanted |= {"outputs": outputs, "file_size": resource.getrlimit(resource.RLIMIT_FSIZE)}
            self.process.stdin.write(json.dumps(wanted) + "\n")
            self.process.stdin.flush()
            code = self.process.stdout.readline()
            assert code, "the server of forks has ended"
            texts = [Path(path).read_text(encoding="utf-8") for path in outputs]
        return subprocess.CompletedProcess(wanted["arguments"], int(code), *texts)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def serve():
    """Fork for each line of stdin and answer with the exit code; in a fork, return what is wanted of it."""
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            return json.loads(line)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    sys.exit()


def become(wanted):
    """Make this process what the shell makes of one that is to be Snakemake."""
    os.chdir(wanted["cwd"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    resource.setrlimit(resource.RLIMIT_FSIZE, wanted["file_size"])
    sys.path[0] = wanted["cwd"]
    sys.modules["snakemake.workflow"].Workflow._rundir = wanted["cwd"]  # looked up when it is imported
    sys.argv[1:] = wanted["arguments"]
    places = [(os.devnull, os.O_RDONLY), *((path, os.O_WRONLY | os.O_CREAT) for path in wanted["outputs"])]
    for number, (path, flags) in enumerate(places):
        opened = os.open(path, flags)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = os.fdopen(0, closefd=False)


if __name__ == "__main__":
    import gc
    import importlib
    import pkgutil
    import runpy

    gc.disable()
    sys.path.pop(0)  # this folder
    plugins = [module.name for module in pkgutil.iter_modules() if module.name.startswith("snakemake_")]
    sys.path.insert(0, "")
    for name in (*PRELOADED, *plugins):
        importlib.import_module(name)
    gc.enable()
    gc.freeze()
    become(serve())
    runpy.run_module("snakemake", run_name="__main__", alter_sys=True)
