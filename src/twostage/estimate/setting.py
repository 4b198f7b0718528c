"""What the jobs of a run work on: images, latents, networks, the stage split; and what one of each costs."""

import math
from functools import cached_property
from pathlib import Path

from twostage.data.known import KNOWN
from twostage.data.published import ASSUMED, EXPECTED
from twostage.estimate import networks, peaks
from twostage.estimate.images import count_classes, count_images
from twostage.estimate.row import BYTES, MULTIPLY_ADD
from twostage.evaluation.given import SPATIAL_WIDTH, WIDTHS
from twostage.model.sizes import SIZES
from twostage.sides import sides_of
from twostage.split import FIXED, measured_split
from twostage.windows import CLASS, TRANSITION, read_windows

INDEX, CONTENTS = "data/index.csv", "data/contents.csv"  # of class folders
MEASURED, LAW = "measured", "law"
WINDOW_GUESS = {TRANSITION: (0.5, 2.0), CLASS: (0.15, 1.2)}


class Setting:
    """A configuration, seen by the stages' modules.

    config: ``twostage.config.Config``; plans: {experiment: {plan name: plan dict}}; images: {"train": N, "held_out":
    M}, classes: their number, both counted unless given by the configuration; classes_assumed: whether it is a guess.
    """

    def __init__(self, config, plans):
        self.config, self.plans = config, plans
        self.images = count_images(config)
        self.classes, self.classes_assumed = count_classes(config)
        self._shapes, self._splits = {}, {}

    # ------------------------------------------------------------------------------------------------- images, latents

    @cached_property
    def image_shape(self):
        """(H, W, C) of an image."""
        data = self.config.data
        known = KNOWN.get(data.name)
        return (*sides_of(data.image_size), known.image_shape[2] if known else 3)

    @property
    def pixels(self):
        """Numbers in an image."""
        return math.prod(self.image_shape)

    def latent_shape(self, space):
        """(C, h, w) of a latent."""
        if space not in self._shapes:
            self._shapes[space] = self._latent(self.config.spaces[space])
        return self._shapes[space]

    def _latent(self, space):
        encoder, (height, width, channels), factor = space.encoder, self.image_shape, 1
        if not space.decodes:
            from twostage.data.interchange import imported_shape

            return imported_shape(space.imported.format, space.imported.path)
        if encoder.kind == "kl":
            channels, factor = encoder.latent_channels, encoder.downsample
        elif encoder.kind != "identity":
            channels, factor = _published_latent(space)
        return channels, height // factor, width // factor

    def dim(self, space):
        """D, numbers in a latent."""
        return math.prod(self.latent_shape(space))

    @property
    def stored(self):
        """Latents that the oracle runs over: the training images, and their mirror images where they are kept."""
        return self.images["train"] * (1 + self.config.data.flips)

    @property
    def ranks(self):
        """Processes of a training."""
        return max(1, self.config.jobs.training.gpu)

    @property
    def class_size(self):
        """Latents per class."""
        return self.stored / self.classes

    def decoding(self, images):
        """Core-seconds that reading ``images`` image files takes."""
        return images * self.config.estimate.image_seconds * (self.config.data.name == "image_folder")

    # ----------------------------------------------------------------------------------------------------------- split

    def split(self, space):
        """(stage split of a latent space, where it comes from): fixed, measured by an earlier run, or predicted.

        Predicted as for as many Gaussian latents of equal variances as a class has (``twostage.oracle.law``).
        """
        if space not in self._splits:
            self._splits[space] = self._split(space)
        return self._splits[space]

    def _split(self, space):
        if self.config.split != MEASURED:
            return self.config.split, FIXED
        path = Path("results") / self.config.run / "oracle" / space / "transition.json"
        if path.is_file():
            return measured_split(path).value, MEASURED
        from twostage.oracle.law import transition_time

        return transition_time([1.0] * self.dim(space), max(self.class_size, 2)), LAW

    def windows(self, space):
        """{name: (lo, hi)} of the windows of a latent space: measured by an earlier run, or a guess.

        The guess is a multiple of the split's s = t / (1 - t), as on digits and CIFAR-10: it counts guided steps only.
        """
        path = Path("results") / self.config.run / "oracle" / space / "windows.json"
        found = {name: window.ends for name, window in read_windows(path).items()} if path.is_file() else {}
        split = self.split(space)[0]
        s = {name: [factor * split / (1 - split) for factor in factors] for name, factors in WINDOW_GUESS.items()}
        return {name: tuple(end / (1 + end) for end in ends) for name, ends in s.items()} | found

    # ---------------------------------------------------------------------------------------------- operations of one

    def encoder_flops(self, space):
        """Operations (encode, decode) of one image."""
        return networks.autoencoder_flops(*self.autoencoder(space))

    def autoencoder(self, space):
        """(kind, shape of images, shape of latents, channels of its levels where it is trained here) of an encoder."""
        encoder = self.config.spaces[space].encoder
        return encoder.kind, self.image_shape, self.latent_shape(space), tuple(getattr(encoder, "channels", ()))

    def oracle_velocity(self, space, count=None):
        """One oracle velocity: inner products with ``count`` latents (those of a class), and their weighted sum."""
        return 2 * MULTIPLY_ADD * (count or self.class_size) * self.dim(space)

    def forward(self, space, model):
        """One evaluation of a model for one sample."""
        return self._model(space, model)[0]

    def parameters(self, space, model):
        """Number of a model's parameters."""
        return self._model(space, model)[1]

    def weights(self, space, model):
        """Bytes of a model's weights."""
        return self.parameters(space, model) * BYTES

    def velocity_peak(self, space, models, batch):
        """Bytes that an evaluation of one of the models on ``batch`` states takes at most, their weights aside."""
        # Of one block: as the others are alike, depth does not matter.
        sizes = {(patch, width, heads) for patch, width, _, heads in (self.model_sizes(space, name) for name in models)}
        return max((peaks.velocity_peak(self.latent_shape(space), *size, batch) for size in sizes), default=0)

    def model_sizes(self, space, model):
        """(patch size, width, depth, heads) of a model; for a foreign one, of the LightningDiT that costs as much."""
        given = self.config.models[model]
        size = SIZES[given.like] if model in self.config.foreign else given.model_dump()
        return self.config.spaces[space].patch_size, *(size[key] for key in ("hidden_size", "depth", "num_heads"))

    def _model(self, space, model):
        return networks.lightningdit_cost(self.latent_shape(space), self.classes, *self.model_sizes(space, model))

    def feature_flops(self, names=None):
        """Operations of one image through the feature extractors (all that the configuration names)."""
        return sum(self._extractor(name)[0] for name in names or self.config.evaluation.features)

    def feature_seconds(self, names=None):
        """Core-seconds per image that the feature extractors (all that the configuration names) take on the host."""
        return networks.INCEPTION_SECONDS * ("inception" in (names or self.config.evaluation.features))

    def feature_width(self, names=None):
        """Numbers that feature extractors (all that the configuration names) give for one image."""
        return sum(self._extractor(name)[1] for name in names or self.config.evaluation.features)

    def spatial_width(self, names=None):
        """Numbers of spatial features that feature extractors (all that the configuration names) give for one image."""
        return SPATIAL_WIDTH * ("inception" in (names or self.config.evaluation.features))

    def _extractor(self, name):
        if name == "inception":
            return networks.INCEPTION_FLOPS, WIDTHS[name]
        if name == "dinov2":
            return networks.dinov2_flops(), WIDTHS[name]
        classifier = self.config.classifier
        return networks.classifier_flops(self.image_shape, classifier.width, self.classes), classifier.features

    # ----------------------------------------------------------------------------------------------- files of a stage

    def encoder_files(self, space):
        """What decoding a latent needs."""
        if self.config.spaces[space].encoder.kind == "kl":
            return (f"data/{space}/encoder.safetensors",)
        return tuple(file.place for file in self.config.spaces[space].weight_files)

    def feature_files(self):
        """What taking features needs."""
        evaluation = self.config.evaluation
        found = [getattr(evaluation, f"{name}_weights").place for name in evaluation.published]
        return (*found, *["evaluation/classifier/classifier"] * ("classifier" in evaluation.features))

    def image_files(self):
        """What reading images needs: the archive that a rule fetches, or the tables of class folders."""
        data = self.config.data
        made = {"cifar10": (f"{data.path}/cifar-10-batches-py/",), "image_folder": (INDEX, CONTENTS)}
        return made.get(data.name, ())

    def spaces_of(self, experiment):
        """The latent spaces that an experiment runs in."""
        return getattr(self.config.experiments, experiment).spaces or list(self.config.spaces)


def _published_latent(space):
    """(channels, reduction of the side) of published latents: the files do not have to be there yet."""
    from twostage.data.published import find_weights, latent_of

    kind, places = space.encoder.kind, [file.place for file in space.weight_files]
    if (kind in EXPECTED and len(EXPECTED[kind][0]) == 1) or not all(Path(place).exists() for place in places):
        return ASSUMED[kind]
    try:
        return latent_of(kind, find_weights({"kind": kind}, places))
    except ValueError:  # whoever reads it says what is wrong with it
        return ASSUMED[kind]
