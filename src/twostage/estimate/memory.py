"""Peak memory of one job, in bytes: what its process takes for itself, and what jobs of several stages hold alike.

A bound rather than a guess: what may be there at the same time is added up. What else a job holds stands with the job,
in the module of its stage (``Row.on_gpu``, ``Row.on_host``).
"""

import inspect

from twostage.data.chunks import CPU_MB, chunk_size
from twostage.estimate import peaks
from twostage.estimate.networks import autoencoder_widths
from twostage.estimate.row import BYTES

GIB, MIB = 1 << 30, 1 << 20
# Python; and torch and what it loads; and CUDA's libraries
PLAIN, PROCESS, PROCESS_ON_GPU = 256 * MIB, 1 * GIB, 4 * GIB
CONTEXT = 2 * GIB  # CUDA's and NCCL's own, workspaces of kernels, what the allocator rounds up
NETWORK = 1 * GIB  # weights of an encoder and of feature networks on their way to the device
PICTURE = 64 * MIB  # a photograph while it is decoded, in each thread that reads
ENTRY = 1000  # bytes per image of a data set or sample of a plan: name, label, digest, row of a table
LATENT_ENTRY = 100  # bytes per latent of a store: label, source, content ids, order


def peak(config, row):
    """(bytes on each GPU, bytes of the host) of one of a row's jobs at its worst, at the configuration's true shapes.

    A job without a GPU has all of it on the host.
    """
    gpu, host = gpu_bytes(config, row), host_bytes(config, row)
    return (gpu, host) if getattr(config.jobs, row.stage).gpu else (0, host + gpu)


def gpu_bytes(config, row):
    """What one of a row's jobs takes on each of its GPUs, or in their place; 0 where it has no use for one."""
    held = row.on_gpu()
    return held + CONTEXT if held and getattr(config.jobs, row.stage).gpu else held


def host_bytes(config, row):
    """What one of a row's jobs takes, the GPU's part of it aside."""
    held, gpus = row.on_host(), getattr(config.jobs, row.stage).gpu
    if not gpus:
        return held + (PLAIN if row.stage == "report" else PROCESS)
    return held + PROCESS_ON_GPU * (gpus if row.stage == "training" else 1)


def default_of(function, name):
    """What an argument of a function is where its jobs do not say."""
    return inspect.signature(function).parameters[name].default


# ---------------------------------------------------------------------------------------------------------- on the host


def reading(setting, stage):
    """The data set's table, its images where they are one array; a picture and a batch of images per thread."""
    from twostage.evaluation.features import batch_size_for

    images, threads = sum(setting.images.values()), getattr(setting.config.jobs, stage).threads
    pictures = threads * PICTURE if setting.config.data.name == "image_folder" else images * setting.pixels
    return ENTRY * images + pictures + (4 + threads) * batch_size_for(setting.image_shape) * setting.pixels


def store(setting):
    """A store, its latents aside."""
    return LATENT_ENTRY * (setting.stored + setting.images["held_out"])


def streamed(setting, space, budget_mb):
    """Latents on their way to an oracle, read ahead, or of a class that it will hold."""
    return min(budget_mb * MIB, 2 * setting.stored * setting.dim(space) * BYTES)


# ------------------------------------------------------------------------------------------------------------ on a GPU


def chunk(setting, stage, item_bytes):
    """Number of images that pass through a network together in a stage's jobs."""
    on_gpu = getattr(setting.config.jobs, stage).gpu
    return chunk_size(item_bytes, setting.config.networks.memory_mb if on_gpu else CPU_MB)


def autoencoder_peaks(setting, space, stage):
    """Peaks (encoding, decoding) of a chunk of a latent space's images."""
    from twostage.data.encoders import item_bytes

    kind, image, latent, channels = setting.autoencoder(space)
    if kind in ("identity", "none"):
        return 0, 0
    widths = channels or autoencoder_widths(kind, image, latent)
    return peaks.autoencoder_peaks(kind, image, latent, channels, chunk(setting, stage, item_bytes(widths, *image[:2])))


def extractors_peak(setting):
    """Peak of the feature extractors, which are loaded together."""
    return sum(extractor_peak(setting, name) for name in setting.config.evaluation.features)


def extractor_peak(setting, name):
    """Peak of one feature extractor on a chunk of images."""
    from twostage.evaluation.classifier import item_bytes
    from twostage.evaluation.features import dinov2_bytes, inception_bytes

    image, width = setting.image_shape, setting.config.classifier.width
    if name == "classifier":
        size = chunk(setting, "evaluation", item_bytes(image, width))
        return peaks.classifier_peak(image, width, setting.classes, size)
    if name == "inception":
        return peaks.inception_peak(image, chunk(setting, "evaluation", inception_bytes(image)))
    return peaks.dinov2_peak(image, chunk(setting, "evaluation", dinov2_bytes(image)))
