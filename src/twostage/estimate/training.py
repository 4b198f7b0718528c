"""Jobs of workflow/rules/training.smk: models, and their error against the oracle."""

from twostage.estimate import peaks
from twostage.estimate.data import PASSES
from twostage.estimate.evaluations import evaluations
from twostage.estimate.memory import MIB, NETWORK, autoencoder_peaks, default_of, store, streamed
from twostage.estimate.oracle import velocities_bytes, velocities_mb
from twostage.estimate.oracle_target import TargetCost, float32_rate, target_bytes, target_cost
from twostage.estimate.row import BYTES, WIDE, Row
from twostage.sampling.plan import Part, Plan
from twostage.training.recipe import Recipe

STATE = 4  # of a checkpoint, in weights: the weights, their average, AdamW's two moments


def rows_of_space(setting, space):
    """Rows of the models of a latent space and of their oracle loss."""
    for model in setting.config.models_of(space):
        if model in setting.config.foreign:
            yield _built(setting, space, model)
        else:
            yield _imported(setting, space, model) or _trained(setting, space, model)
    yield _oracle_loss(setting, space)


def _imported(setting, space, model):
    file, weights = setting.config.models[model].checkpoint.get(space), setting.weights(space, model)
    return file and Row(
        f"import_{model}", space, disk=weights, stage="evaluation",
        needs=(file.place, f"data/{space}/latents.h5"), makes=(f"training/{space}/{model}/",),
        on_host=lambda: 3 * weights,  # a checkpoint's other entries are mapped, not read
    )  # fmt: skip


def _built(setting, space, model):
    from twostage.training.foreign import LOOKED_AT, TIMES

    file, weights = setting.config.models[model].weights, setting.weights(space, model)
    return Row(
        f"build_{model}", space, samples=LOOKED_AT, flops=(len(TIMES) + 2) * LOOKED_AT * setting.forward(space, model),
        stage="evaluation", needs=(*([file.place] if file else []), f"data/{space}/latents.h5"),
        makes=(f"training/{space}/{model}/",),
        on_host=lambda: 3 * weights + setting.velocity_peak(space, [model], LOOKED_AT),
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ trainings


def _trained(setting, space, model):
    config = setting.config
    t, network, on_gpu = config.training, _network(setting, space, model), config.jobs.training.gpu > 0
    seen, weights = config.model_steps(model) * t.batch_size, setting.weights(space, model)
    supervised = (config.models[model].target or t.target) == "oracle"
    oracle = target_cost(setting, space, model) if supervised else TargetCost(0, 0, 0)
    # Beside the snapshots a checkpoint, two while one is written.
    disk = weights * (len(config.snapshots(model)) + 2 * STATE)

    def held_on_gpu():
        parts = setting.ranks * t.accumulate
        peak = peaks.training_peak(
            setting.latent_shape(space), *setting.model_sizes(space, model), setting.classes,
            batch=t.batch_size // setting.ranks // t.accumulate, bf16=_in_bf16(config),
            checkpoints=t.activation_checkpointing,
        )  # fmt: skip
        # Gradients wait for the other parts of a batch, or lie in the buckets in which processes average them.
        return peak + (parts > 1) * weights + (target_bytes(setting, space) if supervised else 0)

    def held_on_host():
        latents = setting.stored * setting.dim(space) * BYTES
        # All latents, or three windows of half of memory_mb: either way shared out among the processes.
        held = latents if latents <= t.memory_mb * MIB else 1.5 * t.memory_mb * MIB
        # Class by class on its way to the GPU of its owner.
        held += setting.ranks * latents / setting.classes if supervised else 0
        return held + setting.ranks * store(setting) + 2 * STATE * weights

    return Row(
        f"train_{model}", space, samples=seen, flops=network + oracle.flops + oracle.search_flops,
        bf16_flops=network * _in_bf16(config) + oracle.search_flops * on_gpu, disk=disk,
        gpu_seconds=oracle.waiting * on_gpu, cpu_seconds=oracle.waiting * (not on_gpu),
        stage="training", needs=(f"data/{space}/latents.h5",), makes=(f"training/{space}/{model}/",),
        on_gpu=held_on_gpu, on_host=held_on_host,
    )  # fmt: skip


def _network(setting, space, model):
    """Operations of the model itself in its training."""
    config = setting.config
    seen = config.model_steps(model) * config.training.batch_size
    return seen * (PASSES + config.training.activation_checkpointing) * setting.forward(space, model)


def _in_bf16(config):
    device = "cuda" if config.jobs.training.gpu else "cpu"
    return Recipe(steps=1, precision=config.training.precision).resolved(device).precision == "bf16"


def oracle_overhead(setting, space, model):
    """What training a model on the oracle velocity costs, over training it on x_1 - x_0: at least 1."""
    config, network, cost = setting.config, _network(setting, space, model), target_cost(setting, space, model)
    in_float32 = float32_rate(config)
    in_bf16 = in_float32
    if config.jobs.training.gpu:
        in_bf16 *= config.estimate.gpu_bf16_tflops / config.estimate.gpu_float32_tflops
    taken = cost.flops / in_float32 + cost.search_flops / in_bf16 + cost.waiting
    return 1 + taken * (in_bf16 if _in_bf16(config) else in_float32) / network


# ---------------------------------------------------------------------------------------------------------- oracle loss


def _oracle_loss(setting, space):
    from twostage.sampling.snapshots import SAMPLES
    from twostage.training.oracle_loss import loss_times, measure_oracle_loss

    config, pairs = setting.config, setting.config.oracle_loss.pairs
    times = len(loss_times(config.oracle_loss.time_steps, setting.split(space)[0]))
    models = config.models_of(space)
    snapshots = {model: len(config.snapshots(model, space)) for model in models}
    forwards = sum(count * setting.forward(space, model) for model, count in snapshots.items())
    # Besides, a few samples of every snapshot.
    plan = Plan("", (Part("model"),), solver=config.sampling.solver, steps=config.sampling.steps).resolve()
    sampled = SAMPLES * (
        evaluations({"": plan}, {"": 1})["model"] * forwards + sum(snapshots.values()) * setting.encoder_flops(space)[1]
    )
    largest = max(setting.weights(space, name) for name in models)

    def on_gpu():
        states = default_of(measure_oracle_loss, "batch_size")
        networks = 2 * largest + setting.velocity_peak(space, models, states)  # the next before the last is gone
        return networks + velocities_bytes(setting, space, pairs) + autoencoder_peaks(setting, space, "sampling")[1]

    def on_host():
        errors = 6 * WIDE * times * pairs * sum(snapshots.values())
        velocities = (2 * times + 4) * pairs * setting.dim(space) * BYTES  # and their squares, for the variance
        held = store(setting) + velocities + errors + 2 * largest
        return held + streamed(setting, space, velocities_mb()) + NETWORK

    return Row(
        "oracle_loss",
        space,
        samples=pairs,
        flops=pairs * times * (forwards + setting.oracle_velocity(space)) + sampled,
        stage="sampling",
        needs=(
            f"data/{space}/latents.h5",
            f"oracle/{space}/transition",
            *setting.encoder_files(space),
            *(f"training/{space}/{model}/" for model in models),
        ),
        makes=tuple(f"training/{space}/{name}" for name in ("oracle_loss", "samples")),
        on_gpu=on_gpu,
        on_host=on_host,
    )
