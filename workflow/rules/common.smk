# The validated configuration, paths and names that every stage uses.
import json
import os
import re
import shlex
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

# Jobs find the package beside the Snakefile, in whatever environment they run, and whoever imports it as a module.
SOURCE = os.path.normpath(f"{workflow.current_basedir}/../../src")
if SOURCE not in sys.path:
    sys.path.insert(0, SOURCE)


def before(variable, folder):
    """An environment variable's list of folders with one put first."""
    return os.pathsep.join([folder, *filter(None, [os.environ.get(variable)])])


# So does `python` in shell commands find Snakemake's own interpreter, where no environment of the rule is activated.
os.environ.update(PYTHONPATH=before("PYTHONPATH", SOURCE), PATH=before("PATH", str(Path(sys.executable).parent)))

# Stores are written under another name and renamed, so locks guard nothing; network file systems refuse or lose them.
os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")

from twostage import provenance
from twostage.cluster import partition_from_environment
from twostage.config import ConfigError, check_files, check_places, load
from twostage.data.chunks import VARIABLE as NETWORK_MB
from twostage.report.results.parts import part_of
from twostage.sampling.plan import Plan
from twostage.startup import quick_start
from twostage.training import OPERATIONAL

quick_start()  # on Slurm each job starts two Snakemakes more

try:
    check_files(workflow.configfiles)
    CONFIG = load(config)
    # The targets are known later than the rules, but a missing folder or file of weights ends a run here.
    check_places(CONFIG, estimating=bool({"estimate", "limits"} & {*sys.argv}))
except ConfigError as error:
    raise WorkflowError(str(error)) from None

# An operation, not a param: another card reruns nothing.
os.environ[NETWORK_MB] = str(CONFIG.networks.memory_mb)


def code_of(*modules):
    """Hash of what these modules compute, as a param: looked at for the jobs of a run only, not whenever rules are read."""
    return lambda wildcards: provenance.code_of(*modules)


def slice_of(block):
    """A block of the configuration as plain values, for params."""
    return block.model_dump(mode="json")


DATASET = {"seed": CONFIG.seed} | {
    key: value
    for key, value in slice_of(CONFIG.data).items()
    if key not in ("flips", "shards", "max_corrupt", "background", "images", "held_out_images", "classes")
}
if CONFIG.data.background != "white":  # a key that is not used stays away, so that a new one reruns nothing
    DATASET["background"] = CONFIG.data.background
# What a picture's pixels depend on, of class folders.
PIXELS = ("name", "path", "held_out_path", "image_size", "min_side", "background")
# What every job that reads images waits for: the archive that a rule of ours fetches, the tables that find copies.
IMAGES = [f"{CONFIG.data.path}/cifar-10-batches-py/batches.meta"] if CONFIG.data.name == "cifar10" else []
if CONFIG.data.name == "image_folder":
    IMAGES = [f"results/{CONFIG.run}/data/{name}.csv" for name in ("index", "contents")]
    DATASET["index"] = IMAGES[0]
if CONFIG.data.max_corrupt:
    DATASET["max_corrupt"] = CONFIG.data.max_corrupt
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


def snapshot_names(model, space=None):
    """File names of a model's EMA weights, in the order of their steps."""
    return [f"step-{step:07d}.safetensors" for step in CONFIG.snapshots(model, space)]


def snapshot_paths(space, model):
    """{step: path} of a model's EMA weights in a latent space."""
    folder = f"results/{CONFIG.run}/training/{space}/{model}"
    return {
        step: f"{folder}/{name}" for step, name in zip(CONFIG.snapshots(model, space), snapshot_names(model, space))
    }


def as_constraint(names):
    """A wildcard constraint to some names; to none where there are none."""
    return "|".join(map(re.escape, names)) or "none"


def spaces_by_origin(model, imported):
    """A constraint on {space}: those in which a model is trained, or in which its weights are imported."""
    return as_constraint(space for space in SPACES if (space in CONFIG.models[model].checkpoint) == imported)


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
    """What decides a model's weights: the training settings, with the model's own target, steps and snapshots."""
    settings = slice_of(CONFIG.training)
    return {
        **{key: value for key, value in settings.items() if key not in ("preset", *OPERATIONAL)},
        "target": CONFIG.models[model].target or CONFIG.training.target,
        "steps": CONFIG.model_steps(model),
        "snapshots": CONFIG.snapshots(model),
    }


def import_arguments(space):
    """Command line arguments that say which training latents are imported into a latent space."""
    latents, words = CONFIG.spaces[space].imported, []
    words += ["--labels", latents.labels] if latents.labels else []
    words += ["--encoder", as_json(encoder_of(space))] if CONFIG.spaces[space].decodes else []
    return shlex.join(["--format", latents.format, "--input", latents.path, *words])


def checkpoint_options(file):
    """Command line arguments that have a checkpoint's digest checked, and an entry of it taken."""
    given = {"--sha256": file.sha256, "--weights": file.weights}
    return shlex.join(word for option, value in given.items() if value for word in (option, value))


@cache
def time_limits():
    """What `runtime: auto` means job by job; counted when the first job of a run asks for it."""
    from twostage.estimate.limits import TimeLimits

    return TimeLimits(CONFIG, PLANS, trusted=not workflow.is_main_process)


def time_limit(wildcards, rulename, attempt):
    """Minutes of a job, from the estimate; a dry run, which shows none, is spared it."""
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


def encoder_weights(wildcards):
    """The weights of a latent space's encoder: trained here, a published file, two of them, or none."""
    space = CONFIG.spaces[wildcards.space]
    if space.encoder.kind == "kl":
        return f"results/{CONFIG.run}/data/{wildcards.space}/encoder.safetensors"
    places = [file.place for file in space.weight_files]
    return places[0] if len(places) == 1 else places


def encoder_of(space):
    """What ``twostage.data.encoders.load_encoder`` makes a latent space's encoder from, its weights aside."""
    encoder = slice_of(CONFIG.spaces[space].encoder)
    weights, decoder = (encoder.pop(key, None) for key in ("weights", "decoder"))
    encoder.pop("latents", None)
    digests = {"sha256": (weights or {}).get("sha256"), "decoder_sha256": (decoder or {}).get("sha256")}
    return encoder | {key: digest for key, digest in digests.items() if digest}


def feature_weights():
    """{features: weights} of the feature extractors whose weights are published."""
    return {name: getattr(CONFIG.evaluation, f"{name}_weights").place for name in CONFIG.evaluation.published}


def feature_references():
    """{"reference_{features}": npz} that samples are compared with: of the training or held-out images, or given."""
    asked = CONFIG.evaluation.references
    kinds = {
        name: "given" if name in CONFIG.evaluation.given_references else "held_out" if name in asked else "reference"
        for name in CONFIG.evaluation.features
    }
    return {f"reference_{name}": f"results/{CONFIG.run}/evaluation/{name}/{kind}.npz" for name, kind in kinds.items()}


def encoding_arguments(wildcards):
    """Command line arguments that say which images go through which encoder.

    Of the wildcards alone: Snakemake takes no notice of a change of params that were made from a job's input.
    """
    weights = encoder_weights(wildcards)
    words = ["--dataset", as_json(DATASET)]
    words += ["--encoder", as_json(encoder_of(wildcards.space))]
    words += ["--weights", *([weights] if isinstance(weights, str) else weights)] if weights else []
    words += ["--flips"] if CONFIG.data.flips else []
    words += ["--seed", str(CONFIG.seed), "--device", device_of("data")]
    return shlex.join(words)


def trained_models(space):
    """The models that are trained in a latent space, not imported."""
    return [model for model in CONFIG.models_of(space) if space not in CONFIG.models[model].checkpoint]


def spaces_of(name):
    """The latent spaces an experiment runs in; every one for what is no experiment, or those that make images."""
    decoded = [space for space in SPACES if CONFIG.spaces[space].decodes]
    if name == "fig_training":
        return [space for space in decoded if trained_models(space)]
    if name == "tab_reconstruction":
        return decoded
    return EXPERIMENTS.get(name, {}).get("spaces") or SPACES


def plan_checkpoints(space, plans):
    """{field: weights} of every model that the plans name: `model@step` is a snapshot, `model` the last one."""
    fields = dict.fromkeys(part["field"] for plan in plans.values() for part in plan["parts"])
    found = {}
    for field in fields:
        model, _, step = field.partition("@")
        if model in MODELS:
            paths = snapshot_paths(space, model)
            found[field] = paths[int(step)] if step else list(paths.values())[-1]
    return found


def expected_of(space, model):
    """What a model's files must say of themselves, for them to be read in its place."""
    return {"architecture": architecture_of(space, model), "target": recipe_of(model)["target"]}


def plan_models(space, plans):
    """{field: what its weights must say of themselves} of every model that the plans name."""
    found = {}
    for field in plan_checkpoints(space, plans):
        model, _, step = field.partition("@")
        step = int(step) if step else CONFIG.snapshots(model, space)[-1]
        found[field] = expected_of(space, model) | {"step": step}
    return found


def plan_settings(experiments):
    """What an experiment's plans are made of: its settings without where and how often it runs."""
    apart = ("spaces", "samples", "seeds")
    settings = {name: {k: v for k, v in found.items() if k not in apart} for name, found in experiments.items()}
    if twins := settings.get("fig_oracle_supervised"):
        first, second = map(CONFIG.snapshots, twins["models"])
        twins["snapshots"] = [step for step in first if step in second]
    return settings


def samples_of(experiment):
    """Images a plan and seed of an experiment."""
    return EXPERIMENTS[experiment]["samples"] or CONFIG.sampling.samples


def seeds_of(experiment):
    """Sampling seeds of an experiment."""
    return EXPERIMENTS[experiment]["seeds"] or CONFIG.sampling.seeds


def sampling_inputs(plans):
    """What the plans of an experiment are run with: latents, decoder, models, and the split where a plan names it."""
    named = any(Plan.from_dict(name, plan).names_split for name, plan in plans.items())
    return ({"split": "<results>/oracle/{space}/split.json"} if named else {}) | {
        "latents": "<results>/data/{space}/latents.h5",
        "held_out": "<results>/data/{space}/held_out.h5",
        "weights": encoder_weights,
        "snapshots": lambda w: list(plan_checkpoints(w.space, plans).values()),
    }


def sample_paths(space, experiment):
    """{plan: paths of its shards} of an experiment."""
    return {
        plan: [
            f"results/{CONFIG.run}/samples/{space}/{plan}/shard-{shard}.h5" for shard in range(CONFIG.sampling.shards)
        ]
        for plan in PLANS[experiment]
    }
