"""Memory of the host that one job of each row takes at its worst, in bytes.

What a process takes for itself, and what is held beside it: pictures, features, latents, weights. A bound rather than a
guess: what may be there at the same time is added up.
"""

import math

from twostage.estimate.evaluations import uses_gaussians
from twostage.estimate.row import BYTES, WIDE
from twostage.estimate.sampling import SHOWN_SAMPLES, reference_curves, reference_kinds, samples_of
from twostage.sampling.plan import CLOSED_FORM

GIB, MIB = 1 << 30, 1 << 20
# Python; and torch and what it loads; and CUDA's libraries
PLAIN, PROCESS, PROCESS_ON_GPU = 256 * MIB, 1 * GIB, 4 * GIB
NETWORK = 1 * GIB  # weights of an encoder and of feature networks on their way to the device
IMPORTED = 2 * GIB  # a part of a file of latents that others made
PICTURE = 64 * MIB  # a photograph while it is decoded, in each thread that reads
ENTRY = 1000  # bytes per image of a data set or sample of a plan: name, label, digest, row of a table
LATENT_ENTRY = 100  # bytes per latent of a store: label, source, content ids, order
READ, ENCODED = 256, 64  # images at a time: evaluation's, encoding's
TIMES = 300  # times of a posterior study at most, those that resolve the transitions included
STATISTICS = 5  # arrays (pairs, times) of a sweep
ORACLE_MB = 1024  # default budget of ``twostage.oracle``, which sampling and the oracle loss have
GAUSSIAN_MB = 4096  # that of ``twostage.oracle.gaussian``


class HostMemory:
    """setting: ``twostage.estimate.setting.Setting``."""

    def __init__(self, setting):
        self.setting, self.config = setting, setting.config

    def bytes(self, row):
        """What one of a row's jobs takes, the GPU's part of it aside."""
        held = getattr(self, f"_{kind_of(row)}", lambda row: 0)(row)
        if not getattr(self.config.jobs, row.stage).gpu:
            return held + (PLAIN if row.stage == "report" else PROCESS)
        return held + PROCESS_ON_GPU * (self._ranks if row.stage == "training" else 1)

    @property
    def _ranks(self):
        return max(1, self.config.jobs.training.gpu)

    # ------------------------------------------------------------------------------------------------------------ data

    def _reading(self, stage):
        """The data set's table, its images where they are one array; a picture and a batch of images per thread."""
        images, threads = sum(self.setting.images.values()), getattr(self.config.jobs, stage).threads
        pictures = threads * PICTURE if self.config.data.name == "image_folder" else images * self.setting.pixels
        return ENTRY * images + pictures + (4 + threads) * READ * self.setting.pixels

    def _store(self, space):
        """A store, its latents aside."""
        return LATENT_ENTRY * (self.setting.stored + self.setting.images["held_out"])

    def _latent(self, space):
        return self.setting.dim(space) * BYTES

    def _encode(self, row):
        space, read_ahead = space_of(row), self.config.jobs.data.threads + 1
        images = read_ahead * ENCODED * self.setting.pixels * (1 + self.config.data.flips)
        return self._reading("data") + self._store(space) + images + 4 * ENCODED * self._latent(space) + NETWORK

    def _import_latents(self, row):
        return self._encode(row) + IMPORTED

    def _import_alone(self, row):
        return self._store(row.where) + IMPORTED

    def _import(self, row):
        # A checkpoint's other entries are mapped, not read.
        return 3 * self._weights(row.where, row.rule.removeprefix("import_"))

    def _autoencoder(self, row):
        return self._reading("data") + 4 * self.config.classifier.width * BYTES * self.setting.images["train"] + NETWORK

    def _join(self, row):
        return 2 * self._store(row.where)

    def _index(self, row):
        return 2 * ENTRY * row.samples

    def _contents(self, row):
        return self._reading("data") + 2 * ENTRY * row.samples

    # ---------------------------------------------------------------------------------------------------------- oracle

    def _streamed(self, space, budget_mb):
        """Latents on their way to an oracle, read ahead, or of a class that it will hold."""
        return min(budget_mb * MIB, 2 * self.setting.stored * self._latent(space))

    def _posterior(self, row):
        config, classes = self.config.oracle, self.setting.classes
        pairs = classes * config.pairs_per_class + config.pairs_unconditional
        swept = 3 * STATISTICS * WIDE * TIMES * pairs  # found, pooled, and found again on finer times
        spectra = 2 * WIDE * classes * min(self.setting.dim(row.where), math.ceil(self.setting.class_size))
        return self._store(row.where) + swept + spectra + self._streamed(row.where, config.memory_mb)

    def _vary(self, row):
        return self._store(row.where) + self._streamed(row.where, self.config.oracle.memory_mb)

    def _synthetic(self, row):
        # In each thread blocks of 2^20 samples in float64; the weights at all times of all trials.
        s = self.config.synthetic
        trials = s.law_trials * len(s.law_dims) * len(s.law_sizes) + 4 * s.trials
        return self.config.jobs.synthetic.threads * 16 * WIDE * (1 << 20) + WIDE * TIMES * trials

    # --------------------------------------------------------------------------------------------- training, sampling

    def _weights(self, space, model):
        return self.setting.parameters(space, model) * BYTES

    def _train(self, row):
        space, t, model = row.where, self.config.training, row.rule.removeprefix("train_")
        latents = self.setting.stored * self._latent(space)
        # All latents, or three windows of half of memory_mb: either way shared out among the processes.
        held = latents if latents <= t.memory_mb * MIB else 1.5 * t.memory_mb * MIB
        if (self.config.models[model].target or t.target) == "oracle":
            held += self._ranks * latents / self.setting.classes  # class by class on its way to the GPU of its owner
        checkpoint = 4 * self._weights(space, model)  # weights, their average, two moments
        return held + self._ranks * self._store(space) + 2 * checkpoint

    def _sample(self, row):
        space, batch = row.where, self.config.sampling.batch_size
        plans = self.setting.plans[row.rule.partition("_")[2]]
        fields = {part["field"].partition("@")[0] for plan in plans.values() for part in plan["parts"]}
        fields -= {*CLOSED_FORM}
        largest = max((self._weights(space, name) for name in fields), default=0)
        batches = batch * (4 * self.setting.pixels + 8 * self._latent(space))
        streamed = self._streamed(space, max(ORACLE_MB, uses_gaussians(plans) * GAUSSIAN_MB))
        return self._store(space) + 2 * largest + batches + streamed + NETWORK

    def _follow(self, row):
        from twostage.sampling.experiments import SHOWN_TIMES

        return self._sample(row) + 4 * SHOWN_SAMPLES * len(SHOWN_TIMES) * self.setting.pixels

    def _oracle_loss(self, row):
        from twostage.training.oracle_loss import loss_times

        config, space, pairs = self.config, row.where, self.config.oracle_loss.pairs
        times = len(loss_times(config.oracle_loss.time_steps, self.setting.split(space)[0]))
        models = config.models_of(space)
        largest = max(self._weights(space, name) for name in models)
        errors = 6 * WIDE * times * pairs * sum(len(config.snapshots(name, space)) for name in models)
        velocities = (2 * times + 4) * pairs * self._latent(space)  # and their squares, for the variance
        return self._store(space) + velocities + errors + 2 * largest + self._streamed(space, ORACLE_MB) + NETWORK

    def _references(self, row):
        from twostage.sampling.references import HELD_MB

        config, space = self.config, row.where
        largest = max(self._weights(space, name) for name in config.experiments.fig_references.models)
        # a batch's states and velocities, and its images; all errors, and once more where they are joined
        held = min(HELD_MB * MIB, self._states_of_references(row)) + 4 * config.sampling.batch_size * self._latent(
            space
        )
        return self._store(space) + held + 2 * row.disk + 2 * largest + self._streamed(space, ORACLE_MB) + NETWORK

    def _states_of_references(self, row):
        """States and velocities of all models, were all pairs taken at once."""
        from twostage.sampling.references import chosen_starts

        times = len(chosen_starts(self.config.sampling.steps, self.config.experiments.fig_references.times))
        many = len(reference_curves(self.setting, row.where)) * (2 + reference_kinds(self.setting, row.where))
        return many * times * row.samples * self._latent(row.where)

    def _flux(self, row):
        flux = self.config.flux
        pictures = len(flux.prompts) * (len(flux.shifts) + len(flux.times)) * flux.height * flux.width * 3
        return FLUX_WEIGHTS + 2 * pictures

    # ------------------------------------------------------------------------------------------------------ evaluation

    def _statistics(self, samples, names=None):
        """Moments of the widest features, those that a reference keeps, and those of ``samples``, in float64."""
        from twostage.evaluation.reference import KEEP

        width = max(self.setting.feature_width([name]) for name in names or self.config.evaluation.features)
        return 8 * WIDE * width**2 + 3 * WIDE * KEEP * width + 6 * WIDE * samples * width

    def _classifier(self, row):
        return self._reading("evaluation") + self._statistics(0, ["classifier"])

    def _classifier_features(self, row):
        return self._reading("evaluation") + row.disk

    def _reference(self, row):
        return self._reading("evaluation") + self._statistics(0, [row.where]) + NETWORK

    def _evaluate(self, row):
        counts = samples_of(self.setting, row.where.partition(", ")[2]).values()
        return self._reading("evaluation") + self._statistics(max(counts)) + ENTRY * sum(counts) + NETWORK

    def _memorization(self, row):
        from twostage.evaluation.nearest_images import READ_BYTES, rows_at_a_time

        space, pixels, features = space_of(row), self.setting.pixels, self.setting.feature_width() * BYTES
        block = rows_at_a_time(row.samples, self.setting.stored, pixels)[1]
        batches = READ * (2 * WIDE * pixels + 4 * self._latent(space)) + 2 * READ_BYTES
        control = 2 * min(self.setting.images["held_out"], self.config.evaluation.control_images) * pixels
        held = (row.samples + 2 * block) * features + control + 4 * ENTRY * row.samples
        return self._store(space) + batches + held + NETWORK

    def _reconstruction(self, row):
        images = min(max(self.setting.images.values()), self.config.evaluation.reconstruction_images)
        return self._reading("evaluation") + 2 * self._statistics(images) + NETWORK


FLUX_WEIGHTS = 34e9  # of Flux.1 in bf16
SAME = {"encode_shard": "encode", "held_out_reference": "reference", "given_reference": "reference"}
MANY = ("train", "sample", "follow", "import", "vary")  # rules whose names end in a model's or an experiment's
ALONE = ("import_latents", "import_alone")


def kind_of(row):
    """The rule of a row, without what the name of one of many rules alike ends in."""
    first = row.rule.partition("_")[0]
    return first if first in MANY and row.rule not in ALONE else SAME.get(row.rule, row.rule)


def space_of(row):
    """The latent space of a row."""
    return row.where.partition(", ")[0]
