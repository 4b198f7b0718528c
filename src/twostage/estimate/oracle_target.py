"""What the oracle velocity costs as a training target, beyond the network: products, reading, calls and exchanges.

It is computed for ``AHEAD`` steps at a time (``twostage.training.ahead``), by as many processes as there are GPUs, each
of which owns its share of the classes, on its GPU. A matrix product takes as long as its operations or as reading its
latents, whichever takes longer. Rates that the configuration does not state are an H100's and a present server's; the
rest was counted on a pretended GPU, where a block of steps took 345 operations with 4 classes and 545 with 24: two
products per class, and eight views of tensors, taken here as two more.
"""

import math
from dataclasses import dataclass

from twostage.estimate.oracle import velocities_bytes
from twostage.estimate.row import BYTES, MULTIPLY_ADD

GPU_MEMORY, CPU_MEMORY = 3.35e12, 1e10  # bytes per second: of an H100 (an H200 has 4.8e12), by one core
OPERATION = 5e-6  # seconds that Python, torch and the driver take to start one small operation
OPERATIONS, OF_CLASS = 320, 4  # in a block of steps; more for each class asked
LOGIT = 160  # bytes moved per logit: ten passes over float64
NETWORK = 5e10  # bytes per second between processes, each way (400 Gbit/s; NVLink has several times that)
EXCHANGES = 4  # in a block of steps: counts, labels, points, answers
EXCHANGE = 1e-4  # seconds that one takes at least
COPIES = 9  # of a process's share of the steps that a target is found for at once: both ends, point, target


@dataclass(frozen=True)
class TargetCost:
    """Of a whole training, over all its processes. Products and distances are operations, the rest seconds.

    flops: of the velocities' products; search_flops: of the distances that say which velocities need not be computed
    (``twostage.oracle.settled``), in bf16 on a GPU; waiting: seconds (of GPUs, or of cores) beside the operations.
    """

    flops: float
    search_flops: float
    waiting: float


def target_cost(setting, space, model):
    """The ``TargetCost`` of a model: the share ``estimate.oracle_skipped`` of its samples needs no oracle."""
    from twostage.training.ahead import AHEAD

    config, dim = setting.config, setting.dim(space)
    gpu, t = config.jobs.training.gpu, config.training
    ranks, steps = setting.ranks, config.model_steps(model)
    asked = t.batch_size * (1 - config.estimate.oracle_skipped)
    of_class, of_all = asked * (1 - t.class_drop), asked * t.class_drop
    pairs = setting.stored * (setting.class_size + setting.stored * (t.class_drop > 0))
    velocities = of_class * setting.oracle_velocity(space) + of_all * setting.oracle_velocity(space, setting.stored)

    # of one process, for a block of steps
    memory, rate = (GPU_MEMORY if gpu else CPU_MEMORY), float32_rate(config)
    owned, classes = setting.stored / ranks, setting.classes / ranks
    points = AHEAD * of_class / ranks
    distinct = classes * -math.expm1(-points / classes)
    waiting = OPERATION * (OPERATIONS + OF_CLASS * distinct) + LOGIT * AHEAD * of_all * owned / memory
    for count, latents in (
        (points * setting.class_size, distinct * setting.class_size),
        (AHEAD * of_all * owned, owned),
    ):
        products = 2 * MULTIPLY_ADD * count * dim / rate
        waiting += max(2 * latents * dim * BYTES / memory - products, 0) if count else 0
    if ranks > 1:
        sent = (points + AHEAD * of_all) * dim * BYTES  # points, and as many answers
        waiting += EXCHANGES * EXCHANGE + 2 * sent / NETWORK
    return TargetCost(steps * velocities, MULTIPLY_ADD * pairs * dim, steps / AHEAD * ranks * waiting)


def target_bytes(setting, space):
    """Bytes that finding the target takes on the GPU of each process, beside the network's training."""
    from twostage.training.ahead import AHEAD

    owned = setting.stored * setting.dim(space) * BYTES / setting.ranks
    points = AHEAD * setting.config.training.batch_size // setting.ranks
    copies = COPIES * points * setting.dim(space) * BYTES
    return 2 * owned + velocities_bytes(setting, space, points) + copies  # twice where they are centred


def float32_rate(config):
    """Operations per second in float32, of a GPU or a core, where a model is trained."""
    hardware = config.estimate
    if config.jobs.training.gpu:
        return 1e12 * hardware.gpu_float32_tflops * hardware.gpu_utilisation
    return 1e9 * hardware.cpu_gflops * hardware.cpu_utilisation
