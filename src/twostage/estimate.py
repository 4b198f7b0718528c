"""What a run will cost, before anything is spent: GPU-hours, CPU-hours, disk and samples of every rule.

Counted, not guessed: floating-point operations of the very networks (run on torch's meta device, which computes
nothing) times how often each is applied. Hours follow from the hardware's rate and the share of it that is reached,
both in the configuration (`estimate`) and printed with the result. The time to read and write files is left out but for
decoding images.
"""

import math
import os
from dataclasses import dataclass, field
from functools import cache

from twostage.data.images import SUFFIXES

BYTES = 4  # float32, in which latents and weights are stored
MULTIPLY_ADD = 2
# Training: the backward pass costs twice the forward pass.
PASSES = 3
# Times of a sweep at which many weights are summed; beyond the transition few are (twostage.oracle.sweep).
DENSE_TIMES = 20
EIGENVALUES = 10  # operations of a symmetric eigendecomposition, in cubes of its size
# Arguments of diffusers' AutoencoderKL, AutoencoderTiny that the published autoencoders have.
PUBLISHED = {
    "sd-vae": {
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "block_out_channels": [128, 256, 512, 512],
        "layers_per_block": 2,
        "latent_channels": 4,
    },
    "va-vae": {
        "down_block_types": ["DownEncoderBlock2D"] * 4 + ["AttnDownEncoderBlock2D"],
        "up_block_types": ["AttnUpDecoderBlock2D"] + ["UpDecoderBlock2D"] * 4,
        "block_out_channels": [128, 128, 256, 256, 512],
        "layers_per_block": 2,
        "latent_channels": 32,
    },
    "tiny": {},
}
INCEPTION_FLOPS = 2 * 5.7e9  # Inception-v3 at 299 x 299 pixels (Szegedy et al. 2016)
SECONDS_A_DRAW = 1e-8  # one sample of a synthetic posterior at one time, on one core (measured)
INDEX = ("data/index.csv",)  # of class folders; other data sets need none
SECONDS_A_FIGURE = 5


@dataclass(frozen=True)
class Row:
    """Jobs of one rule that do the same: ``flops`` and ``cpu_seconds`` are the sums over the ``jobs``."""

    rule: str
    where: str = ""
    jobs: int = 1
    samples: int = 0
    flops: float = 0.0
    cpu_seconds: float = 0.0
    disk: float = 0.0
    stage: str = "report"
    precision: str = "float32"
    needs: tuple = ()
    makes: tuple = field(default=(), compare=False)  # paths below results/{run}, or their beginnings


class Costs:
    """Every ``Row`` of a configuration, and the hours that they take.

    config: a ``twostage.config.Config``; plans: {experiment: {plan name: plan dict}}; images: {"train": N, "held_out":
    M}, unless given by ``count_images``.
    """

    def __init__(self, config, plans, images=None):
        self.config, self.plans = config, plans
        self.images = images or count_images(config)
        self.classes = count_classes(config)
        self.rows = list(self._rows())

    def hours(self, row):
        """(GPU-hours, CPU-hours) of a row. CPU-hours of a job on a GPU are those of the cores that wait for it."""
        jobs, hardware = getattr(self.config.jobs, row.stage), self.config.estimate
        cpu = row.cpu_seconds / 3600
        if not jobs.gpu:
            return 0.0, cpu + row.flops / (1e9 * hardware.cpu_gflops * hardware.cpu_utilisation) / 3600
        peak = hardware.gpu_bf16_tflops if row.precision == "bf16" else hardware.gpu_float32_tflops
        gpu = row.flops / (1e12 * peak * hardware.gpu_utilisation) / 3600
        return max(gpu, cpu / jobs.threads * jobs.gpu), max(gpu / jobs.gpu * jobs.threads, cpu)

    def of_target(self, paths):
        """The rows that a target needs: those that make ``paths`` (below results/{run}), and all before them."""
        pending = [row for row in self.rows if any(path.startswith(row.makes) for path in paths if row.makes)]
        found = []
        while pending:
            row = pending.pop()
            if row not in found:
                found.append(row)
                pending += [other for other in self.rows if any(need.startswith(other.makes) for need in row.needs)]
        return [row for row in self.rows if row in found]

    # ------------------------------------------------------------------------------------------------------- the rows

    def _rows(self):
        yield from self._fetched()
        yield self._synthetic()
        yield from self._index()
        yield from self._classifier()
        for space in self.config.spaces:
            yield from self._data(space)
            yield from self._oracle(space)
            for model in self.config.models_of(space):
                yield self._model(space, model)
            yield self._oracle_loss(space)
            for experiment in self.plans:
                settings = getattr(self.config.experiments, experiment)
                if space in (settings.spaces or self.config.spaces):
                    yield from self._experiment(space, experiment)

    def _fetched(self):
        for place in self.config.files():
            if not os.path.exists(place):
                yield Row("fetch_weights", os.path.basename(place), disk=_size_of_weights(place), makes=(place,))

    def _synthetic(self):
        s = self.config.synthetic
        curves = len(s.dims) * s.size + sum(s.sizes)
        law = len(s.law_dims) * sum(s.law_sizes)
        seconds = SECONDS_A_DRAW * s.time_steps * (s.trials * curves + s.law_trials * law)
        flops = MULTIPLY_ADD * s.trials * s.time_steps * (s.size * sum(s.dims) + s.dim * sum(s.sizes))
        trials = s.trials * (len(s.dims) + len(s.sizes)) + s.law_trials * len(s.law_dims) * len(s.law_sizes)
        return Row(
            "synthetic", samples=trials, cpu_seconds=seconds, flops=flops, stage="synthetic", makes=("synthetic/",)
        )

    def _index(self):
        if self.config.data.name == "image_folder":
            count = sum(self.images.values())
            yield Row("index", samples=count, cpu_seconds=self._decoding(count), stage="data", makes=INDEX)

    def _classifier(self):
        if "classifier" not in self.config.evaluation.features and not self._aligned():
            return
        c = self.config.classifier
        forward = classifier_flops(self._image_shape(), c.width, self.classes)
        seen = c.steps * c.batch_size * PASSES + sum(self.images.values())
        yield Row(
            "classifier", samples=c.steps * c.batch_size, flops=seen * forward, stage="evaluation", needs=INDEX,
            makes=("evaluation/classifier/classifier",),
        )  # fmt: skip
        if self._aligned():
            yield Row(
                "classifier_features", samples=self.images["train"], flops=self.images["train"] * forward,
                disk=self.images["train"] * 4 * c.width * BYTES, stage="evaluation",
                makes=("evaluation/classifier/features",), needs=("evaluation/classifier/classifier",),
            )  # fmt: skip

    def _data(self, space):
        encoder, latents = self.config.spaces[space].encoder, self.config.spaces[space].imported
        inward, outward = self._encoder_flops(space)
        needs = INDEX
        if encoder.kind == "kl":
            seen = encoder.steps * encoder.batch_size
            needs = (f"data/{space}/encoder.safetensors", *INDEX)
            yield Row(
                "autoencoder", space, samples=seen, flops=PASSES * seen * (inward + outward), stage="data",
                makes=needs[:1], needs=("evaluation/classifier/features",) if encoder.align_weight else INDEX,
            )  # fmt: skip
        elif self.config.spaces[space].weights:
            needs = (self.config.spaces[space].weights.place, *INDEX)
        makes = (f"data/{space}/latents.h5", f"data/{space}/held_out.h5")
        count = self.images["held_out"] + (0 if latents else self.images["train"])
        copies = 1 + self.config.data.flips
        shards = 1 if latents else self.config.data.shards
        if shards > 1:
            yield Row("join", space, stage="data", needs=(f"data/{space}/shards/",), makes=makes)
            makes = (f"data/{space}/shards/",)
        yield Row(
            "import_latents" if latents else "encode" if shards == 1 else "encode_shard",
            space,
            jobs=1 if shards == 1 else shards + 1,  # held-out images are one
            samples=count * copies,
            flops=count * copies * inward,
            cpu_seconds=self._decoding(count),
            disk=sum(self.images.values()) * copies * math.prod(self._latent_shape(space)) * BYTES,
            stage="data",
            needs=needs,
            makes=makes,
        )

        images = sum(min(number, self.config.evaluation.reconstruction_images) for number in self.images.values())
        yield Row(
            "reconstruction", space, samples=images, flops=images * (inward + outward + 2 * self._feature_flops()),
            stage="evaluation", needs=(*needs, *self._feature_files()), makes=(f"evaluation/{space}/reconstruction",),
        )  # fmt: skip

    def _oracle(self, space):
        o, n = self.config.oracle, self.config.nsweep
        count, each = self._oracle_samples(), self._class_size()
        dim = math.prod(self._latent_shape(space))
        by_class = self.classes * (_sweep(o.pairs_per_class, each, dim) + _spectrum(each, dim))
        whole = _sweep(o.pairs_unconditional, count, dim) + _spectrum(count, dim)
        needs = (f"data/{space}/latents.h5",)
        yield Row(
            "posterior", space, samples=self.classes * o.pairs_per_class + o.pairs_unconditional,
            flops=by_class + whole, stage="oracle", needs=needs,
            makes=tuple(f"oracle/{space}/{name}" for name in ("posterior", "transition", "law")),
        )  # fmt: skip
        pools = [(each, self.classes), (count, 1)]
        flops, pairs = 0, 0
        for pool, times in pools:
            sizes = [size for size in n.sizes if size <= pool]
            flops += times * (n.repeats * sum(_sweep(n.pairs, size, dim) for size in sizes) + _spectrum(pool, dim))
            pairs += times * n.repeats * n.pairs * len(sizes)
        yield Row(
            "vary_size",
            space,
            samples=pairs,
            flops=flops,
            stage="oracle",
            needs=needs,
            makes=(f"oracle/{space}/nsweep",),
        )

    def _model(self, space, model):
        file, steps = self.config.models[model].checkpoint.get(space), self.config.model_steps(model)
        weights = self._parameters(space, model) * BYTES
        makes = (f"training/{space}/{model}/",)
        if file:
            needs = (file.place, f"data/{space}/latents.h5")
            return Row(f"import_{model}", space, disk=weights, stage="evaluation", needs=needs, makes=makes)
        t = self.config.training
        seen = steps * t.batch_size
        flops = seen * (PASSES + t.activation_checkpointing) * self._forward(space, model)
        if (self.config.models[model].target or t.target) == "oracle":
            flops += seen * self._oracle_velocity(space)
        # Beside the snapshots a checkpoint (weights, their average, AdamW's two moments), two while one is written.
        disk = weights * (len(self.config.snapshots(model)) + 2 * 4)
        return Row(
            f"train_{model}", space, samples=seen, flops=flops, disk=disk, stage="training", precision=t.precision,
            needs=(f"data/{space}/latents.h5",), makes=makes,
        )  # fmt: skip

    def _oracle_loss(self, space):
        o, models = self.config.oracle_loss, self.config.models_of(space)
        states = o.pairs * (o.time_steps + 1)
        forwards = sum(len(self.config.snapshots(model, space)) * self._forward(space, model) for model in models)
        needs = (f"data/{space}/latents.h5", *(f"training/{space}/{model}/" for model in models))
        return Row(
            "oracle_loss", space, samples=o.pairs, flops=states * (forwards + self._oracle_velocity(space)),
            stage="sampling", needs=needs, makes=(f"training/{space}/oracle_loss",),
        )  # fmt: skip

    def _experiment(self, space, experiment):
        settings, plans = getattr(self.config.experiments, experiment), self.plans[experiment]
        trajectories = experiment == "fig8"
        seeds = len(settings.seeds or self.config.sampling.seeds) if not trajectories else 1
        samples = (settings.samples or self.config.sampling.samples) * seeds * len(plans)
        outward = self._encoder_flops(space)[1]
        each = samples // len(plans)
        flops = samples * outward + each * sum(self._plan(space, plan) for plan in plans.values())
        models = {part["field"].partition("@")[0] for plan in plans.values() for part in plan["parts"]} - {"oracle"}
        needs = (
            f"data/{space}/latents.h5",
            f"oracle/{space}/transition",
            *(f"training/{space}/{model}/" for model in sorted(models)),
        )
        pictures = samples * math.prod(self._image_shape())
        made = (f"samples/{space}/{experiment}",)
        if trajectories:
            yield Row(
                f"follow_{experiment}", space, samples=samples, flops=flops, stage="sampling", needs=needs, makes=made
            )
            return
        yield Row(
            f"sample_{experiment}", space, jobs=self.config.sampling.shards, samples=samples, flops=flops,
            disk=pictures, stage="sampling", needs=needs, makes=made,
        )  # fmt: skip
        features, needs = self._feature_flops(), (*made, *self._feature_files())
        if experiment in ("fig5", "fig6", "fig_samples"):
            count = self._oracle_samples()
            distances = MULTIPLY_ADD * samples * count * math.prod(self._image_shape())
            yield Row(
                "memorization", f"{space}, {experiment}", samples=samples, stage="evaluation",
                flops=count * (outward + features) + samples * features + distances, needs=needs,
                makes=tuple(f"evaluation/{space}/{experiment}-{name}" for name in ("memorization", "pictures")),
            )  # fmt: skip
        yield Row(
            "evaluate", f"{space}, {experiment}", samples=samples, flops=(samples + self.images["train"]) * features,
            cpu_seconds=self._decoding(self.images["train"]),
            stage="evaluation", needs=needs, makes=(f"evaluation/{space}/{experiment}.",),
        )  # fmt: skip

    # -------------------------------------------------------------------------------------------- operations and sizes

    def _plan(self, space, plan):
        """Operations of one sample of a plan."""
        flops, begins = 0.0, 0.0 if plan.get("start", "prior") == "prior" else _number(plan["start"]["resume"])
        order = 2 if plan.get("solver") == "heun" else 1
        for part in plan["parts"]:
            ends = _number(part.get("stop", 1.0))
            steps = part.get("steps") or plan.get("steps", 50) * (ends - begins)
            one = self._velocity(space, part["field"])
            low, high = map(_number, part.get("interval", (0, 1)))
            guided = max(0.0, min(high, ends) - max(low, begins)) if part.get("guidance", 1) != 1 else 0.0
            flops += order * steps * one * (1 + guided / max(ends - begins, 1e-9))
            begins = ends
        if plan.get("follow"):
            flops += plan.get("steps", 50) * self._oracle_velocity(space)
        return flops

    def _velocity(self, space, field):
        return self._oracle_velocity(space) if field == "oracle" else self._forward(space, field.partition("@")[0])

    def _oracle_velocity(self, space):
        """One class-conditional oracle velocity: inner products with a class's samples, and their weighted sum."""
        return 2 * MULTIPLY_ADD * self._class_size() * math.prod(self._latent_shape(space))

    def _forward(self, space, model):
        return lightningdit_cost(self._latent_shape(space), self.classes, *self._sizes(space, model))[0]

    def _parameters(self, space, model):
        return lightningdit_cost(self._latent_shape(space), self.classes, *self._sizes(space, model))[1]

    def _sizes(self, space, model):
        size = self.config.models[model]
        return self.config.spaces[space].patch_size, size.hidden_size, size.depth, size.num_heads

    def _image_shape(self):
        side = self.config.data.image_size
        return side, side, 1 if self.config.data.name == "digits" else 3

    def _latent_shape(self, space):
        encoder, (side, _, channels) = self.config.spaces[space].encoder, self._image_shape()
        if encoder.kind == "identity":
            return channels, side, side
        if encoder.kind == "kl":
            return encoder.latent_channels, side // encoder.downsample, side // encoder.downsample
        channels, factor = {"sd-vae": (4, 8), "va-vae": (32, 16), "tiny": (4, 8)}[encoder.kind]
        return channels, side // factor, side // factor

    def _encoder_flops(self, space):
        """Operations (encode, decode) of one image."""
        encoder = self.config.spaces[space].encoder
        spec = (encoder.latent_channels, encoder.downsample, tuple(encoder.channels)) if encoder.kind == "kl" else None
        return autoencoder_flops(encoder.kind, self._image_shape(), spec)

    def _decoding(self, images):
        """Core-seconds that reading image files takes."""
        return images * self.config.estimate.image_seconds * (self.config.data.name == "image_folder")

    def _oracle_samples(self):
        return self.images["train"] * (1 + self.config.data.flips)

    def _class_size(self):
        return self._oracle_samples() / self.classes

    def _feature_flops(self):
        c = self.config.classifier
        return sum(
            {
                "inception": lambda: INCEPTION_FLOPS,
                "dinov2": dinov2_flops,
                "classifier": lambda: classifier_flops(self._image_shape(), c.width, self.classes),
            }[name]()
            for name in self.config.evaluation.features
        )

    def _feature_files(self):
        evaluation = self.config.evaluation
        published = [getattr(evaluation, f"{name}_weights").place for name in evaluation.published]
        return published + ["evaluation/classifier/classifier"] * ("classifier" in evaluation.features)

    def _aligned(self):
        return any(getattr(space.encoder, "align_weight", 0) for space in self.config.spaces.values())


# ------------------------------------------------------------------------------------------------------- the networks


def count_flops(make, *shapes, call=None):
    """(operations of a forward pass, parameters) of the module that ``make`` builds.

    shapes: of its float32 inputs, or functions that make them; call: function of the module and them, unless forward.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"), torch.inference_mode():
        module = make().eval()
        inputs = [torch.empty(shape) if isinstance(shape, tuple) else shape() for shape in shapes]
        with FlopCounterMode(display=False) as counter:
            (call or type(module).__call__)(module, *inputs)
    return counter.get_total_flops(), sum(parameter.numel() for parameter in module.parameters())


@cache
def lightningdit_cost(latent_shape, classes, patch_size, hidden_size, depth, num_heads):
    """(operations of one forward pass of one sample, parameters) of a LightningDiT."""
    import torch

    from twostage.model.lightningdit import LightningDiT

    channels, side, _ = latent_shape
    sizes = {"patch_size": patch_size, "hidden_size": hidden_size, "depth": depth, "num_heads": num_heads}
    return count_flops(
        lambda: LightningDiT(input_size=side, in_channels=channels, num_classes=classes, **sizes),
        (1, *latent_shape),
        (1,),
        lambda: torch.zeros(1, dtype=torch.int64),
    )


@cache
def autoencoder_flops(kind, image_shape, spec=None):
    """Operations (encode, decode) of one image (H, W, C); spec: latent channels, downsampling and widths of ``kl``."""
    import diffusers

    from twostage.data.autoencoder import architecture

    if kind == "identity":
        return 0, 0
    height, width, channels = image_shape
    network = diffusers.AutoencoderTiny if kind == "tiny" else diffusers.AutoencoderKL
    arguments = architecture(channels, *spec[:2], list(spec[2])) if kind == "kl" else PUBLISHED[kind]
    factor = 8 if kind == "tiny" else 2 ** (len(arguments["block_out_channels"]) - 1)
    latent = arguments.get("latent_channels", 4)
    make = lambda: network(**arguments)  # noqa: E731
    inward = count_flops(make, (1, channels, height, width), call=lambda module, x: module.encode(x))[0]
    shape = (1, latent, height // factor, width // factor)
    return inward, count_flops(make, shape, call=lambda module, z: module.decode(z))[0]


@cache
def classifier_flops(image_shape, width, classes):
    """Operations of one image through the workflow's classifier."""
    import torch

    from twostage.evaluation.classifier import Classifier

    image = lambda: torch.zeros((1, *image_shape), dtype=torch.uint8)  # noqa: E731
    return count_flops(lambda: Classifier(image_shape, width, classes), image)[0]


@cache
def dinov2_flops():
    """Operations of one image through DINOv2."""
    import timm

    from twostage.evaluation.features import DINOV2, DINOV2_SIDE

    make = lambda: timm.create_model(DINOV2, num_classes=0, img_size=DINOV2_SIDE)  # noqa: E731
    return count_flops(make, (1, 3, DINOV2_SIDE, DINOV2_SIDE))[0]


def _sweep(pairs, count, dim):
    """Operations of ``twostage.oracle.sweep``: two matrix products for all times, and the weighted sums."""
    return MULTIPLY_ADD * (2 + DENSE_TIMES) * pairs * count * dim


def _spectrum(count, dim):
    """Operations of the covariance's eigenvalues, by the smaller of the two Gram matrices."""
    small = min(count, dim)
    return MULTIPLY_ADD * count * dim * small + EIGENVALUES * small**3


def _number(time):
    """A time of a plan; the measured split, not known yet, is taken at 0.1, as the paper finds it."""
    return 0.1 if time == "split" else float(time)


def _size_of_weights(place):
    """Bytes of a published file, roughly: they are not in the configuration."""
    return 3e9 if "lightningdit" in place else 4e8


# ---------------------------------------------------------------------------------------------------------- the images


def count_images(config):
    """{"train": N, "held_out": M}: as the configuration says, else counted in the class folders."""
    data = config.data
    if data.images and data.held_out_images:
        return {"train": data.images, "held_out": data.held_out_images}
    if data.name == "cifar10":
        return {"train": 50_000, "held_out": 10_000}
    if data.name == "image_folder":
        train, held_out = (_files_below(path) if path else 0 for path in (data.path, data.held_out_path))
    else:
        train, held_out = 1797, 0
    if not held_out:
        held_out = round(train * data.held_out)
        train -= held_out
    return {"train": data.images or train, "held_out": data.held_out_images or held_out}


def count_classes(config):
    """Number of classes: of folders, or the data set's."""
    if config.data.name == "image_folder":
        return max(1, sum(entry.is_dir() for entry in os.scandir(config.data.path)))
    return 10


def _files_below(path):
    folders = [entry.path for entry in os.scandir(path) if entry.is_dir()]
    return sum(entry.name.lower().endswith(SUFFIXES) for folder in folders for entry in os.scandir(folder))


# ------------------------------------------------------------------------------------------------------------ printing


def report(costs, targets):
    """The text of the estimate. targets: {name: paths below results/{run} that it is drawn from}."""
    hardware = costs.config.estimate
    lines = [
        f"What the run {costs.config.run} will cost: {costs.images['train']:,} training and "
        f"{costs.images['held_out']:,} held-out images, {costs.classes:,} classes.",
        f"GPU: {hardware.gpu_bf16_tflops:g} TFLOP/s in bf16, {hardware.gpu_float32_tflops:g} in float32, of which "
        f"{hardware.gpu_utilisation:.0%} is reached. CPU: {hardware.cpu_gflops:g} GFLOP/s a core, of which "
        f"{hardware.cpu_utilisation:.0%} is reached; an image takes {1e3 * hardware.image_seconds:g} ms to decode.",
        "",
        _line("rule", "of", "jobs", "samples", "TFLOP", "GPU-hours", "CPU-hours", "disk, GB"),
    ]
    for row in costs.rows:
        lines.append(
            _line(
                row.rule, row.where, row.jobs, f"{row.samples:,}",
                *map(_short, (row.flops / 1e12, *costs.hours(row), row.disk / 1e9)),
            )
        )  # fmt: skip
    lines += [
        _totals(costs, "everything", costs.rows),
        "",
        "What one target alone would cost, with all that it needs:",
        "",
    ]
    lines.append(_line("target", "", "jobs", "samples", "TFLOP", "GPU-hours", "CPU-hours", "disk, GB"))
    for target, paths in targets.items():
        lines.append(_totals(costs, target, costs.of_target(paths)))
    return "\n".join(lines)


def _totals(costs, name, rows):
    gpu, cpu = (sum(hours) for hours in zip((0, 0), *(costs.hours(row) for row in rows)))
    jobs, samples, flops, disk = (
        sum(getattr(row, key) for row in rows) for key in ("jobs", "samples", "flops", "disk")
    )
    return _line(name, "", jobs, f"{samples:,}", *map(_short, (flops / 1e12, gpu, cpu, disk / 1e9)))


def _line(rule, where, jobs, *numbers):
    return f"{rule:28} {where:36} {jobs:>6} " + " ".join(f"{number:>13}" for number in numbers)


def _short(number):
    return "0" if number == 0 else f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def estimate(config, plans, targets):
    """The text of the estimate of a configuration (a dict), from what the workflow made of it."""
    from twostage.config import load

    return report(Costs(load(config), plans), targets)
