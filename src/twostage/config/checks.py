"""Checks between the blocks of a configuration: each yields one line per mistake."""

import math

from twostage.config.blocks.experiment import MODEL_SETTINGS
from twostage.config.blocks.statistics import Statistics
from twostage.data.known import KNOWN
from twostage.data.published import ASSUMED
from twostage.model.scales import alike
from twostage.sampling.plan import snapshot_of
from twostage.sides import in_words, sides_of
from twostage.spelling import did_you_mean
from twostage.unlabelled import NO_CLASSES

# Pixels along a side of one latent, by kind of encoder.
FACTORS = {"identity": 1} | {kind: ASSUMED[kind][1] for kind in ("sd-vae", "va-vae", "tiny")}
# The images' channels in data sets where they are fixed; and the kinds of encoder that always take colour.
CHANNELS = {name: known.image_shape[2] for name, known in KNOWN.items()} | {"image_folder": 3}
COLOUR = ("sd-vae", "va-vae", "tiny")
UNDECODED = ("fig_references",)  # experiments that make no images
UNMEASURED = ("fig5", "fig6", "fig8", "fig_samples", *UNDECODED)  # and those of whose images no distance is taken
# Names that have another meaning in places where a model or a latent space is named.
RESERVED_MODELS = {
    "oracle": "the exact field", "gaussian": "the field of Gaussians", "split": "the stage split", "latents": "a rule",
}  # fmt: skip
RESERVED_SPACES = dict.fromkeys(["classifier", "inception", "dinov2"], "a folder beside the latent spaces' results")


def problems(config):
    """Lines on a ``Config`` whose blocks are valid one by one; no line where it can be run."""
    if lines := list(missing(config)):  # the other checks would fail on these
        return lines
    checks = (
        names, images, unlabelled, latents, snapshots, decoders, foreign, normalisations, twins, imported, guidance,
        guidance_channels, batches, samples, shards, files,
    )  # fmt: skip
    return [line for check in checks for line in check(config)]


def missing(config):
    """Names of models and latent spaces that are used but not defined."""

    def line(name, known, key, kind):
        return f"{key} is {name!r}; expected {kind}: {', '.join(known)}{did_you_mean(name, known)}"

    for name, model in config.models.items():
        for space in model.checkpoint:
            if space not in config.spaces:
                kind = "a latent space of `spaces`, or a file's key"
                yield line(space, config.spaces, f"models.{name}.checkpoint", kind)
        for space in getattr(model, "spaces", None) or ():
            if space not in config.spaces:
                yield line(space, config.spaces, f"models.{name}.spaces", "a latent space of `spaces`")
    for experiment, settings in config.experiments:
        key = f"experiments.{experiment}"
        for setting in MODEL_SETTINGS:
            if getattr(settings, setting, None) not in (None, *config.models):
                yield line(getattr(settings, setting), config.models, f"{key}.{setting}", "a model of `models`")
        for name in getattr(settings, "models", ()):
            if name not in config.models:
                yield line(name, config.models, f"{key}.models", "a model of `models`")
        for each in getattr(settings, "beside", ()):
            if each.model is not None and each.model not in config.models:
                yield line(each.model, config.models, f"{key}.beside", "a model of `models`")
        for name in getattr(settings, "spaces", None) or ():
            if name not in config.spaces:
                yield line(name, config.spaces, f"{key}.spaces", "a latent space of `spaces`")


def names(config):
    """Names that are reserved, and names that are the same on file systems that ignore case."""
    for key, given, reserved in (
        ("models", config.models, RESERVED_MODELS),
        ("spaces", config.spaces, RESERVED_SPACES),
        ("experiments.tab_plans.plans", getattr(config.experiments.tab_plans, "plans", {}), {}),
    ):
        first = {}
        for name in given:
            if meaning := reserved.get(name.lower()):
                yield f"{key} has {name!r}, a reserved name ({meaning}); expected another, such as {name}_1"
            other = first.setdefault(name.lower(), name)
            if other != name:
                yield f"{key} has {other!r} and {name!r}; expected names that differ in more than upper and lower case"


def images(config):
    """The images' side against the data set's; a data set of ``none`` only where nothing is encoded or decoded."""
    if config.data.name == "none":
        for name in (name for name, space in config.spaces.items() if space.decodes):
            yield f"data.name is none, but latent space {name!r} encodes images; expected a data set"
    known = KNOWN.get(config.data.name)
    if known and (problem := known.problem(config.data.image_size)):
        yield f"data.image_size is {config.data.image_size}, data.name {config.data.name}; {problem}"


def unlabelled(config):
    """Images without classes: what needs classes."""
    if not config.data.unlabelled:
        return
    for key in guided(config):
        yield (
            f"{key} guides towards classes, and data.classes is {NO_CLASSES}; expected no guidance: images without "
            "classes have nothing to guide to"
        )
    for name, space in config.spaces.items():
        if space.imported and space.imported.labels:
            yield (
                f"spaces.{name}.encoder.latents.labels is {space.imported.labels!r}, and data.classes is {NO_CLASSES}; "
                "expected one of the two"
            )


def guided(config):
    """Keys under which samples are guided towards their classes."""
    if config.experiments.tab3:
        yield "experiments.tab3"
    for plan, content in getattr(config.experiments.tab_plans, "plans", {}).items():
        for number, part in enumerate(content.parts):
            key = f"experiments.tab_plans.plans.{plan}.parts.{number}"
            if part.guidance != 1:
                yield f"{key}.guidance"
            elif part.interval == "class":
                yield f"{key}.interval"


def latents(config):
    """The images' channels and side against each encoder, and the latents' side against its patches."""
    size = config.data.image_size
    for name, space in config.spaces.items():
        kind = space.encoder.kind
        factor = space.encoder.downsample if kind == "kl" else FACTORS.get(kind)
        if kind in COLOUR and CHANNELS.get(config.data.name) == 1:
            yield channels(config, name, 3)
        elif factor is not None:
            yield from sides(name, space, size, factor)


def sides(name, space, size, factor):
    """The images' sides against a latent space whose encoder reduces them by ``factor``, and the patches' against
    both."""
    height, width = sides_of(size)
    square = height == width
    if height % factor or width % factor:
        yield (
            f"data.image_size is {size}; expected {'a multiple' if square else 'multiples'} of {factor}, by which "
            f"spaces.{name}.encoder ({space.encoder.kind}) reduces the side"
        )
    elif height // factor % space.patch_size or width // factor % space.patch_size:
        common = math.gcd(height // factor, width // factor)
        fitting = [str(patch) for patch in range(1, common + 1) if common % patch == 0]
        of = f"side {common}" if square else f"sides {in_words((height // factor, width // factor))}"
        yield (
            f"spaces.{name}.patch_size is {space.patch_size}; expected a divisor of the latents' {of} (image_size "
            f"{size} divided by {factor}): {', '.join(fitting)}"
        )


def channels(config, name, taken):
    """The line on images that do not have the ``taken`` channels of a latent space's encoder."""
    return (
        f"spaces.{name}.encoder ({config.spaces[name].encoder.kind}) takes images of {taken} channels; "
        f"{config.data.name} has {CHANNELS[config.data.name]}: expected another encoder, such as kl or identity"
    )


def snapshots(config):
    """Steps of snapshots against the longest training: later ones are never reached."""
    longest = max((config.model_steps(name) for name in config.lightningdits), default=float("inf"))
    if beyond := sorted(step for step in config.training.snapshots if step > longest):
        yield (
            f"training.snapshots has {', '.join(map(str, beyond))}; expected steps up to {longest}, where the longest "
            "training ends"
        )


def decoders(config):
    """Experiments that make images, in latent spaces that have no decoder."""
    for experiment, settings in config.experiments:
        for name in (settings.spaces or config.spaces) if settings and experiment not in UNDECODED else ():
            if not config.spaces[name].decodes:
                yield (
                    f"experiments.{experiment} makes images, and latent space {name!r} has no decoder (its encoder "
                    f"is `none`); expected spaces with one in experiments.{experiment}.spaces, or no such experiment"
                )


def foreign(config):
    """Foreign models: a model for every latent space, and experiments in the latent spaces that theirs are for."""
    if not config.sizes:
        yield (
            "models: no model is for every latent space; expected one without `spaces`, or a LightningDiT, which is "
            "trained in each"
        )
    for experiment, settings in config.experiments:
        for name in config.models_named(experiment) if settings else ():
            spaces = getattr(config.models[name], "spaces", None)
            for space in (settings.spaces or config.spaces) if spaces else ():
                if space not in spaces:
                    yield (
                        f"experiments.{experiment} names {name} in latent space {space}, which models.{name}.spaces "
                        f"does not have; expected experiments.{experiment}.spaces among {', '.join(spaces)}"
                    )


def normalisations(config):
    """Latent spaces' own statistics against their channels; and foreign models whose noise is not isotropic in a latent
    space, since the scales are not proportional over the channels.

    Where the channels are not known, the import of the model says so (``twostage.model.foreign``).
    """
    given = [(f"spaces.{name}.normalise", name, space.normalise) for name, space in config.spaces.items()]
    for name in config.foreign:
        model = config.models[name]
        given += [
            (f"models.{name}.normalisation", space, model.normalisation) for space in model.spaces or config.spaces
        ]
    for key, space, statistics in given:
        for part in ("mean", "std") if isinstance(statistics, Statistics) else ():
            values, count = as_list(getattr(statistics, part)), _channels(config, space)
            if count is not None and len(values) not in (1, count):
                yield f"{key}.{part} is {values}; expected one number, or {count}, as latent space {space} has channels"
    for name in config.foreign:
        wanted = config.models[name].normalisation
        for space in config.models[name].spaces or config.spaces if wanted != "store" else ():
            given, key, theirs = config.spaces[space].normalise, f"spaces.{space}.normalise", as_list(wanted.std)
            ours = as_list(given.std) if isinstance(given, Statistics) else [1.0]
            pairs = zip(ours * len(theirs), theirs) if len(ours) == 1 else zip(ours, theirs * len(ours))
            if _channels(config, space) == 1 or (given != "channels" and alike([a / b for a, b in pairs])):
                continue
            instead = "all" if alike(theirs) else f"{{std: {wanted.std}}}"
            yield (
                f"{key} is {given if isinstance(given, str) else given.std}, other scales than models.{name}."
                f"normalisation has, in whose units its noise is isotropic; expected {key}: {instead}; or "
                "normalisation: store, if it was trained on latents as they are normalised here"
            )


def as_list(values):
    """A number, or one per channel, as a list."""
    return values if isinstance(values, list) else [values]


def guidance(config):
    """Plans that guide a foreign model that has no label for a dropped class."""
    unguided = [name for name in config.foreign if config.models[name].dropped_label is None]
    asked = {}
    if settings := config.experiments.tab3:
        asked["experiments.tab3.model"] = settings.model
        asked |= {f"experiments.tab3.beside.{n}.model": each.model for n, each in enumerate(settings.beside)}
    for plan, content in getattr(config.experiments.tab_plans, "plans", {}).items():
        for number, part in enumerate(content.parts):
            if part.guidance != 1:
                key = f"experiments.tab_plans.plans.{plan}.parts.{number}.field"
                asked[key] = snapshot_of(part.field)[0]
    for key, name in asked.items():
        if name in unguided:
            yield (
                f"{key} is {name}, which is guided there and has no models.{name}.dropped_label; expected the label "
                "that stands for no class, or another model"
            )


def twins(config):
    """fig_oracle_supervised compares targets: its two models must be equal in everything else."""
    settings = config.experiments.fig_oracle_supervised
    if settings is None:
        return
    key, (plain, supervised) = "experiments.fig_oracle_supervised.models", settings.models
    if built := [name for name in settings.models if name in config.foreign]:
        yield f"{key} has {built[0]}, which is not trained here; expected LightningDiTs that differ in target alone"
        return
    targets = [config.models[name].target or config.training.target for name in settings.models]
    if targets != ["cfm", "oracle"]:
        yield (
            f"{key} are {plain} (target {targets[0]}) and {supervised} (target {targets[1]}); "
            "expected a model with target cfm, then its twin with target oracle"
        )
    sizes = [
        {key: getattr(config.models[name], key) for key in ("hidden_size", "depth", "num_heads")}
        | {"steps": config.model_steps(name)}
        for name in settings.models
    ]
    if sizes[0] != sizes[1]:
        odd = [
            f"{setting} {value} and {sizes[1][setting]}"
            for setting, value in sizes[0].items()
            if value != sizes[1][setting]
        ]
        yield f"{key} are {plain} and {supervised} with {', '.join(odd)}; expected twins that differ in target alone"
    for name in settings.models:
        for space in settings.spaces or config.spaces:
            if space in config.models[name].checkpoint:
                yield (
                    f"{key} has {name}, which is imported in latent space {space} (models.{name}.checkpoint); expected "
                    "models that are trained here: name the experiment's `spaces`, without it"
                )


def imported(config):
    """Plans that name a snapshot of a model in a latent space where the model is imported, and so has no snapshots."""
    settings = config.experiments.tab_halves
    if settings and settings.snapshot:
        name = settings.models[0]
        for space in settings.spaces or config.spaces:
            if not config.is_trained(name, space):
                yield (
                    f"experiments.tab_halves.snapshot is {settings.snapshot}, but {name} is imported in latent space "
                    f"{space} (models.{name}.{origin(config, name)}) and has no snapshots there; expected no snapshot, "
                    f"or `spaces` without {space}"
                )
    settings = config.experiments.tab_plans
    for plan, content in (settings.plans if settings else {}).items():
        for part in content.parts:
            model, step = snapshot_of(part.field)
            for space in settings.spaces or config.spaces:
                if not step or model not in config.models or config.is_trained(model, space):
                    continue
                if step != str(config.model_steps(model)):
                    yield (
                        f"experiments.tab_plans.plans.{plan} names {part.field}, but {model} is imported in latent "
                        f"space {space} (models.{model}.{origin(config, model)}) and has no snapshots there; expected "
                        f"{model}, or `spaces` without {space}"
                    )


def origin(config, model):
    """The key by which a model is imported."""
    return "factory" if model in config.foreign else "checkpoint"


def guidance_channels(config):
    """The channels on which guidance acts against those of the latents."""
    asked = []
    if config.experiments.tab3:
        asked.append(("tab3", "experiments.tab3.channels", config.experiments.tab3.channels))
    if config.experiments.tab_plans:
        for plan, content in config.experiments.tab_plans.plans.items():
            for number, part in enumerate(content.parts):
                asked.append(
                    ("tab_plans", f"experiments.tab_plans.plans.{plan}.parts.{number}.channels", part.channels)
                )
    for experiment, key, channels in asked:
        spaces = getattr(config.experiments, experiment).spaces or config.spaces
        known = {space: count for space in spaces if (count := _channels(config, space)) is not None}
        space = min(known, key=known.get, default=None)
        if channels != "all" and space is not None and channels > known[space]:
            most = f"{known[space]}, the channels of latent space {space}"
            yield f"{key} is {channels}; expected 'all', or at most {most}"


def class_windows(config):
    """Keys under which plans guide where the class is decided, which takes two classes or more."""
    if "class" in getattr(config.experiments.tab3, "from_data", ()):
        yield "experiments.tab3.from_data"
    for plan, content in getattr(config.experiments.tab_plans, "plans", {}).items():
        for number, part in enumerate(content.parts):
            if part.interval == "class":
                yield f"experiments.tab_plans.plans.{plan}.parts.{number}.interval"


def _channels(config, space):
    encoder = config.spaces[space].encoder
    if encoder.kind == "identity":
        return CHANNELS.get(config.data.name)
    return getattr(encoder, "latent_channels", None)


def batches(config):
    """The batch against a training's processes, one per GPU, and against the parts into which each divides its
    share."""
    training, processes = config.training, max(config.jobs.training.gpu, 1)
    if training.batch_size % (processes * training.accumulate):
        yield (
            f"training.batch_size is {training.batch_size}; expected a multiple of jobs.training.gpu {processes} x "
            f"training.accumulate {training.accumulate} = {processes * training.accumulate}"
        )


def samples(config):
    """Samples of which a distance is taken: per plan and seed two or more, since it takes a covariance."""
    few = {}
    for name, settings in config.experiments:
        if settings is None or name in UNMEASURED:
            continue
        key = f"experiments.{name}"
        shared = (
            f"{key}.samples" if settings.samples else "sampling.samples",
            settings.samples or config.sampling.samples,
        )
        own = {f"{key}.plans.{plan}.samples": found.samples for plan, found in getattr(settings, "plans", {}).items()}
        for place, count in own.items() or [shared]:
            place, count = (place, count) if count else shared
            if count < 2:
                few.setdefault(place, name)
    for place, name in few.items():
        yield f"{place} is 1; expected 2 or more: {name} measures distances, for which one image has no covariance"


def shards(config):
    """Shards of samples: each must have at least one sample."""
    made = [(name, found) for name, found in config.experiments if found and name not in UNDECODED]
    counts = {f"experiments.{name}.samples": found.samples for name, found in made}
    counts["sampling.samples"] = config.sampling.samples
    if config.experiments.fig5:
        counts["experiments.fig5.oracle_samples"] = config.experiments.fig5.oracle_samples
    for name, plan in getattr(config.experiments.tab_plans, "plans", {}).items():
        counts[f"experiments.tab_plans.plans.{name}.samples"] = plan.samples
    key, least = min(((key, count) for key, count in counts.items() if count), key=lambda item: item[1])
    if least < config.sampling.shards:
        yield f"sampling.shards is {config.sampling.shards}; expected at most {least}, which is {key}: one per shard"


def files(config):
    """Files of weights with one place on the disk but different sources or digests."""
    found = {}
    for key, file in config.files_by_key().items():
        other, first = found.setdefault(file.place, (file, key))
        sources = [(each.repo, each.revision, each.file, each.url) for each in (file, other)]
        digests = {each.sha256 for each in (file, other) if each.sha256}
        if len({source for source in sources if any(source)}) > 1 or len(digests) > 1:
            yield f"{key} and {first} are different files, both at {file.place}; expected a `path` of its own for one"
