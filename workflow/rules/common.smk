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
REPORT_ENVIRONMENT = "../../envs/report.yaml"


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


def snapshot_names(model):
    """File names of a model's EMA weights, in the order of their steps."""
    return [f"step-{step:07d}.safetensors" for step in CONFIG.snapshots(model)]


def snapshot_paths(space, model):
    """{step: path} of a model's EMA weights in a latent space."""
    folder = f"results/{CONFIG.run}/training/{space}/{model}"
    return {step: f"{folder}/{name}" for step, name in zip(CONFIG.snapshots(model), snapshot_names(model))}


def architecture_of(space, model):
    """What LightningDiT is built from; the latent's size and channels come from the store."""
    size = CONFIG.models[model]
    return {
        "patch_size": CONFIG.spaces[space].patch_size,
        "hidden_size": size.hidden_size,
        "depth": size.depth,
        "num_heads": size.num_heads,
    }


def recipe_of(model):
    """The training recipe of a model: the configuration's, with the model's own steps and snapshots."""
    return {**slice_of(CONFIG.training), "steps": CONFIG.model_steps(model), "snapshots": CONFIG.snapshots(model)}


def resources_of(stage):
    """Memory, time and GPUs of a stage's jobs; GPUs only where some are asked for."""
    jobs = getattr(CONFIG.jobs, stage)
    return {"mem_mb": jobs.mem_mb, "runtime": jobs.runtime} | ({"gpu": jobs.gpu} if jobs.gpu else {})


def encoder_weights(wildcards):
    """The weights of a latent space's encoder: trained here, given as a file, or none."""
    encoder = CONFIG.spaces[wildcards.space].encoder
    if encoder.kind == "kl":
        return f"results/{CONFIG.run}/data/{wildcards.space}/encoder.safetensors"
    return getattr(encoder, "weights", None) or []
