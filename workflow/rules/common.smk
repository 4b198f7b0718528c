# The validated configuration, paths and names that every stage uses.
import json
import os
import re
import shlex
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

if not workflow.current_basedir.is_local:
    raise WorkflowError(
        f"{workflow.current_basedir}: the package is not there; expected a module of workflow/Snakefile"
    )

# Jobs find the package beside the Snakefile, in whatever environment they run, and whoever imports it as a module.
SOURCE = os.path.normpath(f"{workflow.current_basedir}/../../src")
if SOURCE not in sys.path:
    sys.path.insert(0, SOURCE)


def before(variable, folder):
    """An environment variable's list of folders with one put first."""
    return os.pathsep.join([folder, *filter(None, [os.environ.get(variable)])])


# With this, `python` in shell commands is Snakemake's own interpreter if no environment of the rule is activated.
os.environ.update(PYTHONPATH=before("PYTHONPATH", SOURCE), PATH=before("PATH", str(Path(sys.executable).parent)))

# Stores are written under another name and then renamed, so they need no locks; network file systems refuse or lose
# locks.
os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")

from twostage import provenance
from twostage.cluster import partition_from_environment
from twostage.config import ConfigError, check_files, check_places, load
from twostage.data.chunks import VARIABLE as NETWORK_MB
from twostage.own_code import source_of
from twostage.startup import quick_start
from twostage.storage import COMMIT, OPTIONS
from twostage.storage import VARIABLE as COPIES
from twostage.training import OPERATIONAL

quick_start()  # on Slurm each job starts two more Snakemakes

# With --default-storage-provider the files of the run lie in a storage, and jobs work on copies of those that their
# rules name. A job finds by this variable what its rule or the configuration names in another way.
STORAGE = workflow.storage_registry.default_storage_provider
if STORAGE is not None:
    PREFIX = os.path.join(workflow.storage_settings.default_storage_prefix, "")
    os.environ[COPIES] = os.path.abspath(STORAGE.object(f"{PREFIX}results").local_path().parent)
    named = workflow.spawned_job_args_factory
    copies = f"--local-storage-prefix {shlex.quote(str(workflow.storage_settings.local_storage_prefix))}"
    os.environ[OPTIONS] = " ".join(
        [named.get_default_storage_provider_args(), *named.get_storage_provider_args(), copies]
    )
    os.environ[COMMIT] = provenance.git_commit() or ""
    workflow.register_envvars(COMMIT)  # it travels to the jobs, which have no git

try:
    check_files(workflow.configfiles)
    CONFIG = load(config)
    # Targets are known only after the rules are read, but a missing folder or file of weights already ends a run here.
    if STORAGE is None or workflow.is_main_process:
        check_places(CONFIG, estimating=bool({"estimate", "limits"} & {*sys.argv}), stored=STORAGE is not None)
except ConfigError as error:
    raise WorkflowError(str(error)) from None

# An environment variable, not a param: another GPU makes nothing run again.
os.environ[NETWORK_MB] = str(CONFIG.networks.memory_mb)


def code_of(*modules):
    """Hash of what these modules compute, as a param. It is computed for the jobs of a run, not whenever rules are
    read."""
    return lambda wildcards: provenance.code_of(*modules)


def slice_of(block):
    """A block of the configuration as plain values, for params."""
    return block.model_dump(mode="json")


SPACES = list(CONFIG.spaces)
MODELS = list(CONFIG.models)
EXPERIMENTS = {name: slice_of(value) for name, value in CONFIG.experiments if value is not None}
SPLIT = None if CONFIG.split == "measured" else CONFIG.split
ENVIRONMENT = "../../envs/twostage.yaml"
REPORT_ENVIRONMENT = "../../envs/report.yaml"


pathvars:
    results=f"results/{CONFIG.run}",
    logs=f"results/{CONFIG.run}/logs",
    benchmarks=f"results/{CONFIG.run}/benchmarks",


wildcard_constraints:
    space="|".join(SPACES),
    model="|".join(MODELS),
    step=r"\d{7,}",
    shard=r"\d+",
    experiment="|".join(EXPERIMENTS) or "none",


def as_json(value):
    """A slice of the configuration as one command line argument."""
    return json.dumps(value, sort_keys=True)


def device_of(stage):
    return "cuda" if getattr(CONFIG.jobs, stage).gpu else "cpu"


def as_constraint(names):
    """A wildcard constraint to these names; it matches nothing if there are none."""
    return "|".join(map(re.escape, names)) or "none"


@cache
def time_limits():
    """Time limits per job for `runtime: auto`; computed when the first job of a run needs one."""
    from twostage.estimate.limits import TimeLimits

    return TimeLimits(CONFIG, PLANS, trusted=not workflow.is_main_process)


def time_limit(wildcards, rulename, attempt):
    """Minutes of a job, from the estimate. A dry run shows no time limit, so it skips the estimate."""
    if workflow.dryrun:
        return CONFIG.jobs.longest
    try:
        return time_limits().minutes(rulename, dict(wildcards.items()), attempt)
    except ValueError as error:
        raise WorkflowError(str(error)) from None


def resources_of(stage):
    """Memory (MB), time (minutes) and GPUs of a stage's jobs."""
    jobs = getattr(CONFIG.jobs, stage)
    runtime = time_limit if jobs.runtime == "auto" else jobs.runtime
    asked = {"mem_mb": jobs.mem_mb, "runtime": runtime, "gpu": jobs.gpu, "gpu_model": jobs.gpu_model}
    return {key: value for key, value in asked.items() if value is not None} | partition_from_environment()
