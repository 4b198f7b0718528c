"""Jobs of workflow/rules/evaluation.smk: features, distances, memorization, reconstruction.

A GPU waits for the host in two places: Inception for clean-fid's resizing, and a job's end for the distances.
"""

from twostage.estimate.data import PASSES
from twostage.estimate.networks import classifier_flops
from twostage.estimate.row import BYTES, MULTIPLY_ADD, Row
from twostage.estimate.sampling import TRAJECTORIES, samples_of, seeds_of
from twostage.evaluation.given import IMAGES, held

CLASSIFIER = "evaluation/classifier/classifier"
CLASSIFIER_FEATURES = "evaluation/classifier/features"
DISTANCE = 3  # products of (D, D) matrices that a Frechet distance takes; its eigenvalues count as one


def rows(setting):
    """Rows of what is made once per data set: the classifier and the references."""
    c, train = setting.config.classifier, setting.images["train"]
    forward = classifier_flops(setting.image_shape, c.width, setting.classes)
    steps, looked_at = c.steps * c.batch_size, sum(setting.images.values()) + train  # its accuracy, its reference
    yield Row(
        "classifier", samples=steps, flops=(PASSES * steps + looked_at) * forward,
        cpu_seconds=setting.decoding(steps + looked_at), stage="evaluation", needs=setting.image_files(),
        makes=(CLASSIFIER, "evaluation/classifier/reference"),
    )  # fmt: skip
    yield Row(
        "classifier_features", samples=train, flops=train * forward, cpu_seconds=setting.decoding(train),
        disk=train * 4 * c.width * BYTES, stage="evaluation", needs=(CLASSIFIER,), makes=(CLASSIFIER_FEATURES,),
    )  # fmt: skip
    for name in setting.config.evaluation.published:
        yield Row(
            "reference", name, samples=train, flops=train * setting.feature_flops([name]),
            **_on_the_host(train * setting.feature_seconds([name]), setting.decoding(train)),
            stage="evaluation",
            needs=(getattr(setting.config.evaluation, f"{name}_weights").place, *setting.image_files()),
            makes=(f"evaluation/{name}/reference",),
        )  # fmt: skip
    yield from _other_references(setting)


def _other_references(setting):
    """Rows of references that are not the training images: held-out ones, and files."""
    for name, file in setting.config.evaluation.references.items():
        given = name in setting.config.evaluation.given_references
        count = _images_in(file.place) if given else setting.images["held_out"]
        yield Row(
            "given_reference" if given else "held_out_reference", name, samples=count,
            flops=count * setting.feature_flops([name]),
            **_on_the_host(count * setting.feature_seconds([name]), 0 if given else setting.decoding(count)),
            stage="evaluation", needs=(*setting.feature_files(), *((file.place,) if given else setting.image_files())),
            makes=(_reference_of(setting, name),),
        )  # fmt: skip


def _on_the_host(waited, besides=0.0):
    """A row's core-seconds: those that a GPU waits for, and those that pass while it works."""
    return {"cpu_seconds": waited + besides, "waited_seconds": waited}


def _images_in(path):
    """Number of images in a reference file; 0 in statistics, and where the file is not there yet."""
    try:
        kind, shape = held(path)
    except (OSError, ValueError):
        return 0
    return shape[0] if kind == IMAGES else 0


def _reference_of(setting, name):
    """The file that samples are compared with in one kind of features, below the run's results."""
    evaluation = setting.config.evaluation
    if name in evaluation.given_references:
        return f"evaluation/{name}/given"
    return f"evaluation/{name}/{'held_out' if name in evaluation.references else 'reference'}"


def rows_of_space(setting, space):
    """Rows of what is measured in a latent space."""
    for experiment in setting.plans:
        if space in setting.spaces_of(experiment) and experiment not in TRAJECTORIES:
            yield _evaluate(setting, space, experiment)
            yield _memorization(setting, space, experiment)
    if setting.config.spaces[space].decodes:
        yield _reconstruction(setting, space)


def _evaluate(setting, space, experiment):
    counts, seeds = samples_of(setting, experiment), seeds_of(setting, experiment)
    samples, hardware = sum(counts.values()), setting.config.estimate
    distances = seeds * sum(_distance_flops(setting, count // seeds) for count in counts.values())
    waited = distances / (1e9 * hardware.cpu_gflops * hardware.cpu_utilisation) + samples * setting.feature_seconds()
    references = [_reference_of(setting, name) for name in setting.config.evaluation.features]
    return Row(
        "evaluate", f"{space}, {experiment}", samples=samples, flops=samples * setting.feature_flops(),
        **_on_the_host(waited), stage="evaluation",
        needs=(f"samples/{space}/{experiment}-", *setting.feature_files(), *references),
        makes=(f"evaluation/{space}/{experiment}.",),
    )  # fmt: skip


def _distance_flops(setting, samples):
    """Operations of ``twostage.evaluation.evaluate.measure`` of a plan's samples of one seed, in all features: their
    covariance, twice, and by parts; a distance of all and one without each part; kernels and neighbours of some."""
    from twostage.evaluation.jackknife import PARTS
    from twostage.evaluation.reference import KEEP

    found, kept = 0, min(samples, KEEP)
    for name in setting.config.evaluation.features:
        width = setting.feature_width([name])
        distance = DISTANCE * min(width, samples) ** 2 * width
        found += MULTIPLY_ADD * (3 * samples * width**2 + (1 + PARTS) * distance + 4 * kept**2 * width)
    return found


def _memorization(setting, space, experiment):
    """Samples, and held-out images as a control, against all training images as the encoder shows them."""
    samples = samples_of(setting, experiment)
    control = min(setting.images["held_out"], setting.config.evaluation.control_images)
    plans = setting.plans[experiment]
    followed = sum(count for name, count in samples.items() if _follows(plans[name]))
    queries, stored = sum(samples.values()) + control, setting.stored
    decoded, looked_at = stored + control + followed, queries + stored + followed
    distances = MULTIPLY_ADD * queries * stored * (setting.pixels + setting.feature_width())
    return Row(
        "memorization",
        f"{space}, {experiment}",
        samples=queries,
        flops=decoded * setting.encoder_flops(space)[1] + looked_at * setting.feature_flops() + distances,
        **_on_the_host(looked_at * setting.feature_seconds()),
        stage="evaluation",
        needs=(
            f"samples/{space}/{experiment}-",
            f"data/{space}/latents.h5",
            *setting.encoder_files(space),
            *setting.feature_files(),
        ),
        makes=(f"evaluation/{space}/{experiment}-",),
    )


def _follows(plan):
    return plan.get("follow") or "resume" in plan.get("start", "prior")


def _reconstruction(setting, space):
    most = setting.config.evaluation.reconstruction_images
    images = sum(min(number, most) for number in setting.images.values())
    each = sum(setting.encoder_flops(space)) + 2 * setting.feature_flops()
    return Row(
        "reconstruction", space, samples=images, flops=images * each,
        **_on_the_host(2 * images * setting.feature_seconds() + setting.decoding(images)), stage="evaluation",
        needs=(*setting.encoder_files(space), *setting.feature_files(), *setting.image_files()),
        makes=(f"evaluation/{space}/reconstruction",),
    )  # fmt: skip
