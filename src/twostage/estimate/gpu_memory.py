"""Memory of its GPU that one job of each row takes at its worst, in bytes.

Networks are counted on fake tensors at their true shapes (``peaks``), in the chunks that images really pass in; the
oracle goes by its budget, a search by its queries. A bound rather than a guess: what may be there at the same time is
added up. On CPUs the same is the host's.
"""

import math

from twostage.data.chunks import CPU_MB, chunk_size
from twostage.estimate import peaks
from twostage.estimate.evaluations import uses_gaussians
from twostage.estimate.host_memory import FLUX_WEIGHTS, GAUSSIAN_MB, GIB, MIB, ORACLE_MB, TIMES, kind_of, space_of
from twostage.estimate.networks import FLUX_VAE, autoencoder_widths
from twostage.estimate.row import BYTES, WIDE
from twostage.estimate.sampling import reference_curves
from twostage.sampling.plan import CLOSED_FORM

CONTEXT = 2 * GIB  # CUDA's and NCCL's own, workspaces of kernels, what the allocator rounds up
COPIES = 9  # of a process's share of the steps that an oracle target is found for at once: both ends, point, target
FORWARD = 256  # states at a time of the oracle loss
FLUX_PART = 24e9  # Flux.1's largest part in bf16
SEARCH = 4 * GIB  # blocks of pixels in float32 and float64, of ``twostage.evaluation.neighbours``


class GpuMemory:
    """setting: ``twostage.estimate.setting.Setting``."""

    def __init__(self, setting):
        self.setting, self.config = setting, setting.config

    def bytes(self, row):
        """What one of a row's jobs takes on each of its GPUs; 0 where it uses none."""
        held = getattr(self, f"_{kind_of(row)}", lambda row: 0)(row)
        on_gpu = getattr(self.config.jobs, row.stage).gpu
        return held + CONTEXT if held and on_gpu else held

    # ------------------------------------------------------------------------------------------------ networks' chunks

    def _size(self, stage, item_bytes):
        on_gpu = getattr(self.config.jobs, stage).gpu
        return chunk_size(item_bytes, self.config.networks.memory_mb if on_gpu else CPU_MB)

    def _autoencoder_peaks(self, space, stage):
        """Peaks (encoding, decoding) of a chunk of a latent space's images."""
        from twostage.data.encoders import item_bytes

        encoder, image = self.config.spaces[space].encoder, self.setting.image_shape
        if encoder.kind in ("identity", "none"):
            return 0, 0
        latent, channels = self.setting.latent_shape(space), tuple(getattr(encoder, "channels", ()))
        widths = channels or autoencoder_widths(encoder.kind, image, latent)
        size = self._size(stage, item_bytes(widths, *image[:2]))
        return peaks.autoencoder_peaks(encoder.kind, image, latent, channels, size)

    def _extractors(self):
        """Peaks of the feature extractors, which are loaded together."""
        return sum(map(self._extractor, self.config.evaluation.features))

    def _extractor(self, name):
        from twostage.evaluation.classifier import item_bytes
        from twostage.evaluation.features import dinov2_bytes, inception_bytes

        image, width = self.setting.image_shape, self.config.classifier.width
        if name == "classifier":
            size = self._size("evaluation", item_bytes(image, width))
            return peaks.classifier_peak(image, width, self.setting.classes, size)
        if name == "inception":
            return peaks.inception_peak(image, self._size("evaluation", inception_bytes(image)))
        return peaks.dinov2_peak(image, self._size("evaluation", dinov2_bytes(image)))

    # ---------------------------------------------------------------------------------------------------- data, oracle

    def _encode(self, row):
        return self._autoencoder_peaks(space_of(row), "data")[0]

    _import_latents = _encode

    def _autoencoder(self, row):
        encoder, latent = self.config.spaces[row.where].encoder, self.setting.latent_shape(row.where)
        channels = tuple(encoder.channels)
        return peaks.autoencoder_training_peak(self.setting.image_shape, latent, channels, encoder.batch_size)

    def _posterior(self, row):
        config = self.config.oracle
        points = max(config.pairs_per_class, config.pairs_unconditional)
        return self._swept(row.where, points)

    def _vary(self, row):
        n = self.config.nsweep
        return self._swept(row.where, n.pairs) + 4 * max(n.sizes) * self.setting.dim(row.where) * BYTES  # a subset

    def _swept(self, space, points):
        count, dim, budget = self.setting.stored, self.setting.dim(space), self.config.oracle.memory_mb * MIB
        return oracle_bytes(count, dim, budget, points, TIMES) + spectrum_bytes(count, dim)

    def _velocities(self, space, points):
        return oracle_bytes(self.setting.stored, self.setting.dim(space), ORACLE_MB * MIB, points)

    # --------------------------------------------------------------------------------------------- training, sampling

    def _weights(self, space, model):
        return self.setting.parameters(space, model) * BYTES

    def _train(self, row):
        space, t, model = row.where, self.config.training, row.rule.removeprefix("train_")
        size, jobs = self.config.models[model], self.config.jobs.training
        ranks, many = max(1, jobs.gpu), jobs.gpu > 1 or t.accumulate > 1
        sizes = self.config.spaces[space].patch_size, size.hidden_size, size.depth, size.num_heads, self.setting.classes
        peak = peaks.training_peak(
            self.setting.latent_shape(space), *sizes, batch=t.batch_size // ranks // t.accumulate,
            bf16=t.precision == "bf16" or (t.precision == "auto" and jobs.gpu > 0),
            checkpoints=t.activation_checkpointing,
        )  # fmt: skip
        # Gradients wait for the other parts of a batch, or lie in the buckets in which processes average them.
        peak += many * self._weights(space, model)
        if (size.target or t.target) == "oracle":
            from twostage.training.ahead import AHEAD

            owned = self.setting.stored * self.setting.dim(space) * BYTES / ranks
            ahead = AHEAD * t.batch_size // ranks
            peak += 2 * owned + self._velocities(space, ahead)  # twice where they are centred
            peak += COPIES * ahead * self.setting.dim(space) * BYTES
        return peak

    def _evaluations(self, space, models, batch):
        """The largest peak of an evaluation of one of the models on ``batch`` states, their weights aside."""
        latent, patch = self.setting.latent_shape(space), self.config.spaces[space].patch_size
        sizes = {(self.config.models[name].hidden_size, self.config.models[name].num_heads) for name in models}
        return max((peaks.velocity_peak(latent, patch, *size, batch) for size in sizes), default=0)

    def _sample(self, row):
        space, batch = row.where, self.config.sampling.batch_size
        plans = self.setting.plans[row.rule.partition("_")[2]]
        parts = [part for plan in plans.values() for part in plan["parts"]]
        twice = 1 + any(part.get("guidance", 1) != 1 for part in parts)  # with and without the class
        fields = {part["field"] for part in parts} - {*CLOSED_FORM}
        models = [field.partition("@")[0] for field in sorted(fields)]  # snapshots among them, each with its weights
        states = (8 + len(plans)) * batch * self.setting.dim(space) * BYTES
        networks = sum(self._weights(space, name) for name in models) + self._evaluations(space, models, twice * batch)
        exact = self._velocities(space, batch) + uses_gaussians(plans) * self._gaussians(space, batch)
        return networks + states + exact + self._autoencoder_peaks(space, "sampling")[1]

    def _gaussians(self, space, points):
        setting = self.setting
        count, dim = math.ceil(setting.class_size), setting.dim(space)
        return gaussian_bytes(count, dim, setting.classes, GAUSSIAN_MB * MIB, points)

    def _follow(self, row):
        space, sampling = row.where, self.config.sampling
        latent = self.setting.dim(space) * BYTES
        # The predictions of every step of a batch, and the classes' means.
        return self._sample(row) + (2 * sampling.batch_size * sampling.steps + self.setting.classes) * latent

    def _oracle_loss(self, row):
        space, models = row.where, self.config.models_of(row.where)
        largest = max(self._weights(space, name) for name in models)
        networks = 2 * largest + self._evaluations(space, models, FORWARD)  # the next is there before the last is gone
        oracle = self._velocities(space, self.config.oracle_loss.pairs)
        return networks + oracle + self._autoencoder_peaks(space, "sampling")[1]

    def _references(self, row):
        space, setting = row.where, self.setting
        models, curves = self.config.experiments.fig_references.models, len(reference_curves(setting, space))
        batch, latent = self.config.sampling.batch_size, setting.dim(space) * BYTES
        networks = 2 * max(self._weights(space, name) for name in models) + self._evaluations(space, models, batch)
        points = curves * batch  # the own states of one class at one time, were all of a batch its
        gaussian = gaussian_bytes(math.ceil(setting.class_size), setting.dim(space), 1, ORACLE_MB * MIB, points)
        return networks + self._velocities(space, points) + gaussian + (8 * batch + 8 * points) * latent

    def _flux(self, row):
        from twostage.data.encoders import item_bytes

        flux = self.config.flux
        decoding = item_bytes(FLUX_VAE["block_out_channels"], flux.height, flux.width)
        return (FLUX_PART if flux.offload else FLUX_WEIGHTS) + decoding + 2 * GIB

    # ------------------------------------------------------------------------------------------------------ evaluation

    def _classifier(self, row):
        c = self.config.classifier
        trained = peaks.classifier_training_peak(self.setting.image_shape, c.width, self.setting.classes, c.batch_size)
        return max(trained, self._extractor("classifier"))

    def _classifier_features(self, row):
        return self._extractor("classifier")

    def _reference(self, row):
        return self._extractor(row.where)

    def _evaluate(self, row):
        return self._extractors()

    def _memorization(self, row):
        from twostage.evaluation.nearest_images import rows_at_a_time

        rows = sum(rows_at_a_time(row.samples, self.setting.stored, self.setting.pixels))
        kept = rows * (self.setting.pixels + self.setting.feature_width() * BYTES)
        search = min(SEARCH, 256 * MIB + 50 * (row.samples + self.setting.stored) * self.setting.pixels)
        return self._autoencoder_peaks(space_of(row), "evaluation")[1] + self._extractors() + kept + search

    def _reconstruction(self, row):
        return sum(self._autoencoder_peaks(row.where, "evaluation")) + self._extractors()


def oracle_bytes(count, dim, budget, points, times=1):
    """Bound of what ``twostage.oracle`` takes for ``points`` states at ``times`` times over ``count`` samples.

    Rows are held up to half of the budget, and once more where they are centred; work takes at most the budget, and no
    more than all points and samples at once would; besides, ten numbers per sample.
    """
    held = 2 * min(count * dim * BYTES, budget // 2)
    work = min(budget, points * (100 * count + 6 * WIDE * dim * (times + 4)))
    return held + work + 10 * WIDE * count


def spectrum_bytes(count, dim):
    """Bound of what ``twostage.oracle.law.spectrum`` takes: the smaller Gram matrix, held, scaled and decomposed in
    float64, and the centred rows that it is made of, 8 MiB at a time where there are more of them than numbers in one.
    """
    side = min(count, dim)
    return WIDE * (5 * side**2 + (count * dim if count < dim else 0)) + 24 * MIB


def gaussian_bytes(count, dim, classes, budget, points):
    """Bound of what ``twostage.oracle.gaussian`` takes for ``points`` states: classes of ``count`` samples each.

    The axes of as many classes as the budget holds, and of the one that is fitted, from rows that are held up to half
    of the budget, and once more where they are centred; eigenvectors beside what ``spectrum_bytes`` counts; and
    float64 states.
    """
    side = min(count, dim)
    axes, rows = WIDE * side * dim, 2 * min(count * dim * BYTES, budget // 2)
    fit = rows + spectrum_bytes(count, dim) + 4 * WIDE * side**2 + axes
    return min(classes * axes, budget + axes) + fit + WIDE * points * (8 * dim + 4 * side)
