# The validated configuration, paths and names that every stage uses.
import json
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

# Jobs find the package beside the Snakefile, in whatever environment they run.
SOURCE = str(Path(workflow.basedir) / "src")
if SOURCE not in sys.path:
    sys.path.insert(0, SOURCE)
if SOURCE not in os.environ.get("PYTHONPATH", "").split(os.pathsep):
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [SOURCE, os.environ.get("PYTHONPATH")]))

from twostage.config import ConfigError, load
from twostage.provenance import code_of

try:
    CONFIG = load(config)
except ConfigError as error:
    raise WorkflowError(error)

SPACES = list(CONFIG.spaces)
MODELS = list(CONFIG.models)
ENVIRONMENT = "../../envs/twostage.yaml"


pathvars:
    results=f"results/{CONFIG.run}",
    logs=f"results/{CONFIG.run}/logs",
    benchmarks=f"results/{CONFIG.run}/benchmarks",


wildcard_constraints:
    space="|".join(SPACES),
    model="|".join(MODELS),
    step=r"\d{7}",
    shard=r"\d+",


def slice_of(block):
    """A block of the configuration as plain values, for params."""
    return block.model_dump(mode="json")


def as_json(value):
    """A slice of the configuration as one command line argument."""
    return json.dumps(value, sort_keys=True)


def device_of(stage):
    return "cuda" if getattr(CONFIG.jobs, stage).gpu else "cpu"


def snapshot_paths(space, model):
    """{step: path} of a model's EMA weights."""
    folder = f"results/{CONFIG.run}/training/{space}/{model}"
    return {step: f"{folder}/step-{step:07d}.safetensors" for step in CONFIG.snapshots(model)}
