# What rules take from the configuration: files, arguments, the contents of plans and models. There are no rules here.

from twostage.config.replicates import published


def archives():
    """The archives of images that a job reads; those on a volume of a run with a storage are no files of the run."""
    given = [path for path in (CONFIG.data.path, CONFIG.data.held_out_path) if path and path.lower().endswith(".zip")]
    return [path for path in given if STORAGE is None or not os.path.isabs(path)]


def cifar10_files():
    """CIFAR-10's files, of which a run without a storage names only the last one that is unpacked."""
    if os.path.isabs(CONFIG.data.path):
        return []
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta"]
    return [f"{CONFIG.data.path}/cifar-10-batches-py/{name}" for name in names]


def published_replicates(wildcards):
    """The published table of this configuration's replicates, where there is one."""
    if STORAGE is not None:  # the table belongs to the sources, which are not in the storage
        return []
    return published(os.path.relpath(f"{SOURCE}/../docs/results/{CONFIG.run}"), slice_of(CONFIG))


def import_arguments(space):
    """Command line arguments that name the training latents to import into a latent space."""
    latents, words = CONFIG.spaces[space].imported, []
    words += ["--labels", latents.labels] if latents.labels else []
    words += ["--no-classes"] if CONFIG.data.unlabelled else []
    words += ["--encoder", as_json(encoder_of(space))] if CONFIG.spaces[space].decodes else []
    words += normalise_arguments(space)
    return shlex.join(["--format", latents.format, "--input", latents.path, *words])


def normalise_arguments(space):
    """Command line arguments that say how latents are normalised, none where it is as usual: by channel."""
    asked = slice_of(CONFIG.spaces[space])["normalise"]
    return [] if asked == "channels" else ["--normalise", as_json(asked)]


def encoder_weights(wildcards):
    """The weights of a latent space's encoder: trained here, a published file, two of them, or none."""
    space = CONFIG.spaces[wildcards.space]
    if space.encoder.kind == "kl":
        return f"results/{CONFIG.run}/data/{wildcards.space}/encoder.safetensors"
    places = [file.place for file in space.weight_files]
    return places[0] if len(places) == 1 else places


def followed_images(wildcards):
    """The images that Fig. 5 follows in a latent space, if it runs there."""
    runs = "fig5" in EXPERIMENTS and wildcards.space in spaces_of("fig5")
    return f"results/{CONFIG.run}/evaluation/{wildcards.space}/fig5-neighbours.csv" if runs else []


def encoder_of(space):
    """The description of a latent space's encoder for ``twostage.data.encoders.load_encoder``, without its weights."""
    encoder = slice_of(CONFIG.spaces[space].encoder)
    weights, decoder = (encoder.pop(key, None) for key in ("weights", "decoder"))
    encoder.pop("latents", None)
    digests = {"sha256": (weights or {}).get("sha256"), "decoder_sha256": (decoder or {}).get("sha256")}
    return encoder | {key: digest for key, digest in digests.items() if digest}


def encoding_arguments(wildcards):
    """Command line arguments that say which images go through which encoder.

    They depend on the wildcards alone: Snakemake does not notice a change of params that were made from a job's input.
    """
    weights = encoder_weights(wildcards)
    words = ["--dataset", as_json(DATASET)]
    words += ["--encoder", as_json(encoder_of(wildcards.space))]
    words += ["--weights", *([weights] if isinstance(weights, str) else weights)] if weights else []
    words += ["--flips"] if CONFIG.data.flips else []
    words += normalise_arguments(wildcards.space)
    words += ["--seed", str(CONFIG.seed), "--device", device_of("data")]
    return shlex.join(words)


def snapshot_names(model, space=None):
    """File names of a model's EMA weights, in the order of their steps."""
    return [f"step-{step:07d}.safetensors" for step in CONFIG.snapshots(model, space)]


def snapshot_paths(space, model):
    """{step: path} of a model's EMA weights in a latent space."""
    folder = f"results/{CONFIG.run}/training/{space}/{model}"
    return {
        step: f"{folder}/{name}" for step, name in zip(CONFIG.snapshots(model, space), snapshot_names(model, space))
    }


def spaces_by_origin(model, imported):
    """A constraint on {space}: the spaces in which a model is trained, or those in which its weights are imported."""
    return as_constraint(space for space in SPACES if CONFIG.is_trained(model, space) != imported)


def architecture_of(space, model):
    """The arguments of LightningDiT; the size and channels of the latents come from the store."""
    size = CONFIG.models[model]
    return {
        "patch_size": CONFIG.spaces[space].patch_size,
        "hidden_size": size.hidden_size,
        "depth": size.depth,
        "num_heads": size.num_heads,
    }


def recipe_of(model):
    """Everything that determines a model's weights: the training settings, with the model's own target, steps and
    snapshots."""
    settings = slice_of(CONFIG.training)
    return {
        **{key: value for key, value in settings.items() if key not in ("preset", *OPERATIONAL)},
        "class_drop": CONFIG.class_drop,
        "target": CONFIG.models[model].target or CONFIG.training.target,
        "steps": CONFIG.model_steps(model),
        "snapshots": CONFIG.snapshots(model),
    }


def checkpoint_options(file):
    """Command line arguments that say which digest a checkpoint must have, and which entry of it to take."""
    given = {"--sha256": file.sha256, "--weights": file.weights}
    return shlex.join(word for option, value in given.items() if value for word in (option, value))


def posterior_settings():
    """The settings of the oracle posterior."""
    return slice_of(CONFIG.oracle) | dict(zip(("pairs_per_class", "pairs_unconditional"), CONFIG.pairs))


def trained_models(space):
    """The models that are trained in a latent space, not imported."""
    return [model for model in CONFIG.models_of(space) if CONFIG.is_trained(model, space)]


def expected_of(space, model):
    """The metadata that a model's files must have to be read in its place."""
    if model in CONFIG.foreign:
        return {"architecture": foreign_of(model)}
    return {"architecture": architecture_of(space, model), "target": recipe_of(model)["target"]}


def foreign_of(model):
    """The ``description`` of a foreign model (``twostage.model.foreign.built``), from the configuration."""
    block = CONFIG.models[model]
    kept = ("factory", "options", "path", "normalisation", "sigma_min", "sigma_max", "dropped_label")
    weights = block.weights and block.weights.place
    return {key: slice_of(block)[key] for key in kept} | {"weights": weights, "predicts": block.predicted}


def foreign_weights(models):
    """Files that the functions of the user's own code read, for those of ``models`` that they build."""
    blocks = [CONFIG.models[model] for model in models if model in CONFIG.foreign]
    return [block.weights.place for block in blocks if block.weights]


def foreign_code(model):
    """Digests of the files of a model's functions, its own and its path's: a change of one makes what follows again."""
    block = CONFIG.models[model]
    files = [source_of(name) for name in (block.factory, block.path) if ":" in name]
    return " ".join(provenance.sha256(file) for file in files if file) or None


def plan_checkpoints(space, plans):
    """{field: weights} of every model that the plans name: `model@step` is a snapshot, `model` is the last snapshot."""
    fields = dict.fromkeys(part["field"] for plan in plans.values() for part in plan["parts"])
    found = {}
    for field in fields:
        model, step = snapshot_of(field)
        if model in MODELS:
            paths = snapshot_paths(space, model)
            found[field] = paths[int(step)] if step else list(paths.values())[-1]
    return found


def plan_models(space, plans):
    """{field: metadata that its weights must have} of every model that the plans name."""
    found = {}
    for field in plan_checkpoints(space, plans):
        model, step = snapshot_of(field)
        step = int(step) if step else CONFIG.snapshots(model, space)[-1]
        found[field] = expected_of(space, model) | {"step": step}
    return found


def plan_settings(experiments):
    """The settings from which an experiment's plans are made: all except its spaces, samples and seeds."""
    apart = ("spaces", "samples", "seeds")
    settings = {
        name: {k: v for k, v in found.items() if k not in apart}
        for name, found in experiments.items()
        if name != "fig_references"  # it compares velocities and samples no plans
    }
    if twins := settings.get("fig_oracle_supervised"):
        first, second = map(CONFIG.snapshots, twins["models"])
        twins["snapshots"] = [step for step in first if step in second]
    return settings


def samples_of(experiment):
    """Number of images per plan and seed of an experiment."""
    return EXPERIMENTS[experiment]["samples"] or CONFIG.sampling.samples


def seeds_of(experiment):
    """Sampling seeds of an experiment."""
    return EXPERIMENTS[experiment]["seeds"] or CONFIG.sampling.seeds


def windows_named(experiments):
    """Windows of the data that the plans of these experiments name, each once."""
    plans = [item for name in experiments for item in PLANS[name].items()]
    return sorted({window for item in plans for window in Plan.from_dict(*item).names_windows})


def sampling_inputs(plans):
    """Inputs of an experiment's plans: latents, decoder, models, and the split and windows that the plans name."""
    made = [Plan.from_dict(name, plan) for name, plan in plans.items()]
    named = {"split": any(plan.names_split for plan in made), "windows": any(plan.names_windows for plan in made)}
    return {name: f"<results>/oracle/{{space}}/{name}.json" for name, found in named.items() if found} | {
        "latents": "<results>/data/{space}/latents.h5",
        "held_out": "<results>/data/{space}/held_out.h5",
        "weights": encoder_weights,
        "snapshots": lambda w: list(plan_checkpoints(w.space, plans).values()),
        "foreign": lambda w: foreign_weights(snapshot_of(field)[0] for field in plan_checkpoints(w.space, plans)),
    }


def sample_paths(space, experiment):
    """{plan: paths of its shards} of an experiment."""
    return {
        plan: [
            f"results/{CONFIG.run}/samples/{space}/{plan}/shard-{shard}.h5" for shard in range(CONFIG.sampling.shards)
        ]
        for plan in PLANS[experiment]
    }


def feature_weights():
    """{features: weights} of the feature extractors whose weights are published."""
    return {name: getattr(CONFIG.evaluation, f"{name}_weights").place for name in CONFIG.evaluation.published}


def feature_references():
    """{"reference_{features}": npz} with which samples are compared: training images, held-out images, or a given
    file."""
    asked = CONFIG.evaluation.references
    kinds = {
        name: "given" if name in CONFIG.evaluation.given_references else "held_out" if name in asked else "reference"
        for name in CONFIG.evaluation.features
    }
    return {f"reference_{name}": f"results/{CONFIG.run}/evaluation/{name}/{kind}.npz" for name, kind in kinds.items()}
