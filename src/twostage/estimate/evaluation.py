"""Jobs of workflow/rules/evaluation.smk: features, distances, memorization, reconstruction.

A GPU waits for the host in two places: Inception for clean-fid's resizing, and a job's end for the distances.
"""

import math

from twostage.estimate import peaks
from twostage.estimate.data import PASSES
from twostage.estimate.memory import (
    ENTRY,
    GIB,
    MIB,
    NETWORK,
    autoencoder_peaks,
    extractor_peak,
    extractors_peak,
    reading,
    store,
)
from twostage.estimate.networks import classifier_flops
from twostage.estimate.row import BYTES, MULTIPLY_ADD, WIDE, Row
from twostage.estimate.sampling import TRAJECTORIES, samples_of, seeds_of
from twostage.evaluation.given import IMAGES, WIDTHS, held
from twostage.sampling.plan import Plan

CLASSIFIER = "evaluation/classifier/classifier"
CLASSIFIER_FEATURES = "evaluation/classifier/features"
DISTANCE = 3  # products of (D, D) matrices that a Frechet distance takes; its eigenvalues count as one
INCEPTION_CLASSES = 1008
SEARCH = 4 * GIB  # blocks of pixels in float32 and float64, of ``twostage.evaluation.neighbours``


def rows(setting):
    """Rows of what is made once per data set: the classifier and the references."""
    yield _classifier(setting)
    yield _classifier_features(setting)
    for name in setting.config.evaluation.published:
        yield _reference(setting, name)
    for name, file in setting.config.evaluation.references.items():
        given = name in setting.config.evaluation.given_references
        yield _given_reference(setting, name, file) if given else _held_out_reference(setting, name)


def _classifier(setting):
    c, train = setting.config.classifier, setting.images["train"]
    forward = classifier_flops(setting.image_shape, c.width, setting.classes)
    steps, looked_at = c.steps * c.batch_size, sum(setting.images.values()) + train  # its accuracy, its reference

    def on_gpu():
        trained = peaks.classifier_training_peak(setting.image_shape, c.width, setting.classes, c.batch_size)
        return max(trained, extractor_peak(setting, "classifier"))

    return Row(
        "classifier", samples=steps, flops=(PASSES * steps + looked_at) * forward,
        cpu_seconds=setting.decoding(steps + looked_at), stage="evaluation", needs=setting.image_files(),
        makes=(CLASSIFIER, "evaluation/classifier/reference"), on_gpu=on_gpu,
        on_host=lambda: reading(setting, "evaluation") + _statistics_bytes(setting, 0, ["classifier"]),
    )  # fmt: skip


def _classifier_features(setting):
    train = setting.images["train"]
    disk = train * setting.feature_width(["classifier"]) * BYTES
    return Row(
        "classifier_features", samples=train, flops=train * setting.feature_flops(["classifier"]),
        cpu_seconds=setting.decoding(train), disk=disk, stage="evaluation", needs=(CLASSIFIER,),
        makes=(CLASSIFIER_FEATURES,), on_gpu=lambda: extractor_peak(setting, "classifier"),
        on_host=lambda: reading(setting, "evaluation") + disk,
    )  # fmt: skip


def _reference(setting, name):
    weights, train = getattr(setting.config.evaluation, f"{name}_weights"), setting.images["train"]
    return _features_of(
        setting, "reference", name, train, setting.decoding(train), (weights.place, *setting.image_files()),
        f"evaluation/{name}/reference",
    )  # fmt: skip


def _held_out_reference(setting, name):
    count = setting.images["held_out"]
    return _features_of(
        setting, "held_out_reference", name, count, setting.decoding(count),
        (*setting.feature_files(), *setting.image_files()), _reference_of(setting, name),
    )  # fmt: skip


def _given_reference(setting, name, file):
    return _features_of(
        setting, "given_reference", name, _images_in(file.place), 0, (*setting.feature_files(), file.place),
        _reference_of(setting, name),
    )  # fmt: skip


def _features_of(setting, rule, name, count, decoding, needs, made):
    """The row of a reference: features of one kind of ``count`` images, which take ``decoding`` core-seconds."""
    return Row(
        rule, name, samples=count, flops=count * setting.feature_flops([name]),
        **_waiting(count * setting.feature_seconds([name]), decoding), stage="evaluation", needs=needs, makes=(made,),
        on_gpu=lambda: extractor_peak(setting, name),
        on_host=lambda: reading(setting, "evaluation") + _statistics_bytes(setting, 0, [name]) + NETWORK,
    )  # fmt: skip


def _waiting(waited, besides=0.0):
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
            yield _class_distances(setting, space, experiment)
    if setting.config.spaces[space].decodes:
        yield _reconstruction(setting, space)


def _evaluate(setting, space, experiment):
    counts, seeds = samples_of(setting, experiment), seeds_of(setting, experiment)
    samples, hardware = sum(counts.values()), setting.config.estimate
    distances = seeds * sum(_distance_flops(setting, count // seeds) for count in counts.values())
    waited = distances / (1e9 * hardware.cpu_gflops * hardware.cpu_utilisation) + samples * setting.feature_seconds()
    references = [_reference_of(setting, name) for name in setting.config.evaluation.features]

    def on_host():
        features = _statistics_bytes(setting, max(counts.values()))
        # those of one seed, gathered in batches and joined: beside the features while these are measured
        features += 2 * BYTES * max(counts.values()) // seeds * setting.spatial_width()
        return reading(setting, "evaluation") + features + ENTRY * samples + NETWORK

    return Row(
        "evaluate", f"{space}, {experiment}", samples=samples, flops=samples * setting.feature_flops(),
        **_waiting(waited), stage="evaluation",
        needs=(f"samples/{space}/{experiment}-", *setting.feature_files(), *references),
        makes=(f"evaluation/{space}/{experiment}.",), on_gpu=lambda: extractors_peak(setting), on_host=on_host,
    )  # fmt: skip


def _distance_flops(setting, samples):
    """Operations of ``twostage.evaluation.evaluate.measure`` and ``peer_measures`` of a plan's samples of one seed, in
    all features: a Frechet distance; kernels and neighbours of some; probabilities of Inception's classes."""
    from twostage.evaluation.reference import KEEP

    kept, widths = min(samples, KEEP), [setting.feature_width([name]) for name in setting.config.evaluation.features]
    found = sum(_frechet_flops(samples, width) + MULTIPLY_ADD * 4 * kept**2 * width for width in widths)
    if spatial := setting.spatial_width():
        found += _frechet_flops(samples, spatial) + MULTIPLY_ADD * samples * INCEPTION_CLASSES * WIDTHS["inception"]
    return found


def _frechet_flops(samples, width):
    """Operations of a Frechet distance with its error: covariances, twice, and by parts; a distance of all, and one
    without each part."""
    from twostage.evaluation.jackknife import PARTS

    distance = DISTANCE * min(width, samples) ** 2 * width
    return MULTIPLY_ADD * (3 * samples * width**2 + (1 + PARTS) * distance)


def _class_distances(setting, space, experiment):
    """Each class of an experiment's samples, against the training images of that class, if all classes are measured."""
    samples, hardware = samples_of(setting, experiment), setting.config.estimate
    looked_at = sum(samples.values()) + setting.images["train"]
    widths = [setting.feature_width([name]) for name in setting.config.evaluation.features]
    each = {count: math.ceil(count / setting.classes) for count in samples.values()}
    distances = sum(
        setting.classes * _frechet_flops(each[count], width) for count in samples.values() for width in widths
    )
    waited = distances / (1e9 * hardware.cpu_gflops * hardware.cpu_utilisation) + looked_at * setting.feature_seconds()

    def on_host():
        rows = len(samples) * len(widths) * setting.classes
        statistics = _statistics_bytes(setting, max(each.values()))
        return reading(setting, "evaluation") + statistics + 4 * ENTRY * rows + NETWORK

    return Row(
        "class_distances", f"{space}, {experiment}", samples=looked_at, flops=looked_at * setting.feature_flops(),
        **_waiting(waited, setting.decoding(setting.images["train"])), stage="evaluation",
        needs=(f"samples/{space}/{experiment}-", *setting.feature_files(), *setting.image_files()),
        makes=(f"evaluation/{space}/classes/{experiment}.",), on_gpu=lambda: extractors_peak(setting), on_host=on_host,
    )  # fmt: skip


def _statistics_bytes(setting, samples, names=None):
    """Moments of the widest features, those that a reference keeps, and those of ``samples``, in float64."""
    from twostage.evaluation.reference import KEEP

    width = max(setting.feature_width([name]) for name in names or setting.config.evaluation.features)
    spatial = 4 * WIDE * setting.spatial_width(names) ** 2  # moments beside those of the features
    return 8 * WIDE * width**2 + spatial + 3 * WIDE * KEEP * width + 6 * WIDE * samples * width


def _memorization(setting, space, experiment):
    """Samples, and held-out images as a control, against all training images as the encoder shows them."""
    samples = samples_of(setting, experiment)
    control = min(setting.images["held_out"], setting.config.evaluation.control_images)
    plans = {name: Plan.from_dict(name, content) for name, content in setting.plans[experiment].items()}
    followed = sum(count for name, count in samples.items() if plans[name].follow or plans[name].resumes)
    queries, stored = sum(samples.values()) + control, setting.stored
    # the samples of the same noise and of another, beside which each is set (``fig_jump``)
    beside = 2 * sum(samples.values()) * (experiment == "fig_jump")
    decoded, looked_at = stored + control + followed, queries + stored + followed + beside
    distances = MULTIPLY_ADD * queries * stored * (setting.pixels + setting.feature_width())
    features = setting.feature_width() * BYTES

    def on_gpu():
        from twostage.evaluation.nearest_images import rows_at_a_time

        kept = sum(rows_at_a_time(queries, stored, setting.pixels)) * (setting.pixels + features)
        search = min(SEARCH, 256 * MIB + 50 * (queries + stored) * setting.pixels)
        return autoencoder_peaks(setting, space, "evaluation")[1] + extractors_peak(setting) + kept + search

    def on_host():
        from twostage.evaluation.features import batch_size_for
        from twostage.evaluation.nearest_images import READ_BYTES, rows_at_a_time

        block = rows_at_a_time(queries, stored, setting.pixels)[1]
        batches = (
            batch_size_for(setting.image_shape) * (2 * WIDE * setting.pixels + 4 * setting.dim(space) * BYTES)
            + 2 * READ_BYTES
        )
        held = (queries + 2 * block) * features + 2 * control * setting.pixels + 4 * ENTRY * queries
        return store(setting) + batches + held + NETWORK

    return Row(
        "memorization",
        f"{space}, {experiment}",
        samples=queries,
        flops=decoded * setting.encoder_flops(space)[1] + looked_at * setting.feature_flops() + distances,
        **_waiting(looked_at * setting.feature_seconds()),
        stage="evaluation",
        needs=(
            f"samples/{space}/{experiment}-",
            f"data/{space}/latents.h5",
            *setting.encoder_files(space),
            *setting.feature_files(),
        ),
        makes=(f"evaluation/{space}/{experiment}-",),
        on_gpu=on_gpu,
        on_host=on_host,
    )


def _reconstruction(setting, space):
    most = setting.config.evaluation.reconstruction_images
    images = sum(min(number, most) for number in setting.images.values())
    each = sum(setting.encoder_flops(space)) + 2 * setting.feature_flops()

    def on_host():
        of_a_split = min(max(setting.images.values()), most)
        return reading(setting, "evaluation") + 2 * _statistics_bytes(setting, of_a_split) + NETWORK

    return Row(
        "reconstruction", space, samples=images, flops=images * each,
        **_waiting(2 * images * setting.feature_seconds() + setting.decoding(images)), stage="evaluation",
        needs=(*setting.encoder_files(space), *setting.feature_files(), *setting.image_files()),
        makes=(f"evaluation/{space}/reconstruction",), on_host=on_host,
        on_gpu=lambda: sum(autoencoder_peaks(setting, space, "evaluation")) + extractors_peak(setting),
    )  # fmt: skip
