"""What the oracle velocity costs as a training target, beyond the network: products, reading, calls and exchanges.

It is computed for ``AHEAD`` steps at a time (``twostage.training.ahead``), by as many processes as there are GPUs, each
of which owns its share of the classes, on its GPU. A matrix product takes as long as its operations or as reading its
latents, whichever takes longer. Rates that the configuration does not state are an H100's and a present server's; the
rest was counted on a pretended GPU, where a block of steps took 355 operations with 2 classes and 546 with 20: two
products per class, and eight views of tensors, taken here as two more.

Points without a class need no second product where few samples count (``Oracle.part_of_velocity``). Of the nearest
other sample, at a distance delta, and of all beyond, w = t / (1 - t) delta: a share Q(z) of the weights is above
exp(z w - w^2 / 2), Q the normal tail, so few count from w = z + sqrt(z^2 + 2 log(n / ALONE)) on. ``settled_times``
says what w is where the target is known; that time is given by the share that is skipped, which gives delta.
"""

import math
from dataclasses import dataclass

from scipy.special import ndtri

from twostage.estimate.oracle import velocities_bytes
from twostage.estimate.row import BYTES, MULTIPLY_ADD

GPU_MEMORY, CPU_MEMORY = 3.35e12, 1e10  # bytes per second: of an H100 (an H200 has 4.8e12), by one core
OPERATION = 5e-6  # seconds that Python, torch and the driver take to start one small operation
OPERATIONS, OF_CLASS = 350, 4  # in a block of steps; more for each class asked
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
    of_class, of_all = asked * (1 - config.class_drop), asked * config.class_drop
    pairs = setting.stored * (setting.class_size + setting.stored * (config.class_drop > 0))
    needed = 1 - spared(config.estimate.oracle_skipped, setting.stored, setting.stored / ranks) / 2  # of two products
    velocities = of_class * setting.oracle_velocity(space)
    velocities += of_all * needed * setting.oracle_velocity(space, setting.stored)

    # of one process, for a block of steps
    memory, rate = (GPU_MEMORY if gpu else CPU_MEMORY), float32_rate(config)
    owned, classes = setting.stored / ranks, setting.classes / ranks
    points = AHEAD * of_class / ranks
    distinct = classes * -math.expm1(-points / classes)
    waiting = OPERATION * (OPERATIONS + OF_CLASS * distinct) + LOGIT * AHEAD * of_all * owned / memory
    for count, latents in (
        (points * setting.class_size, distinct * setting.class_size),
        (AHEAD * of_all * owned * needed, owned),
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


def spared(skipped, count, owned):
    """The share of the asked points without a class that need no second product, at least; t uniform.

    skipped: the share that is not asked; count: N; owned: samples of a process. 0 where nothing is skipped.
    """
    from twostage.oracle.posterior import ALONE, FEW
    from twostage.oracle.settled import MISS, TOLERANCE

    if not 0 < skipped < 1 or count < 2 or owned < 4 / FEW:
        return 0.0
    until = 1 - skipped
    s, w, z = until / (1 - until), 1.0, -float(ndtri(MISS / (count - 1)))
    for _ in range(20):  # delta is w / s
        w = z + math.sqrt(z**2 + 2 * max(math.log((count - 1) * w / s * (1 + s) / TOLERANCE), 0))
    z = -float(ndtri(FEW / 2))  # half of them: the share that is above varies
    s *= (z + math.sqrt(z**2 + 2 * math.log(owned / ALONE))) / w
    return max(0.0, 1 - s / (1 + s) / until)


def float32_rate(config):
    """Operations per second in float32, of a GPU or a core, where a model is trained."""
    hardware = config.estimate
    if config.jobs.training.gpu:
        return 1e12 * hardware.gpu_float32_tflops * hardware.gpu_utilisation
    return 1e9 * hardware.cpu_gflops * hardware.cpu_utilisation
