"""Jobs of workflow/rules/training.smk: models, and their error against the oracle."""

from twostage.estimate.data import PASSES
from twostage.estimate.evaluations import evaluations
from twostage.estimate.oracle_target import TargetCost, float32_rate, target_cost
from twostage.estimate.row import BYTES, Row
from twostage.sampling.plan import Part, Plan
from twostage.training.recipe import Recipe


def rows_of_space(setting, space):
    """Rows of the models of a latent space and of their oracle loss."""
    for model in setting.config.models_of(space):
        yield _imported(setting, space, model) or _trained(setting, space, model)
    yield _oracle_loss(setting, space)


def _imported(setting, space, model):
    file = setting.config.models[model].checkpoint.get(space)
    return file and Row(
        f"import_{model}", space, disk=setting.parameters(space, model) * BYTES, stage="evaluation",
        needs=(file.place, f"data/{space}/latents.h5"), makes=(f"training/{space}/{model}/",),
    )  # fmt: skip


def _trained(setting, space, model):
    config = setting.config
    t, network = config.training, _network(setting, space, model)
    seen = config.model_steps(model) * t.batch_size
    supervised = (config.models[model].target or t.target) == "oracle"
    oracle, on_gpu = (
        target_cost(setting, space, model) if supervised else TargetCost(0, 0, 0),
        config.jobs.training.gpu > 0,
    )
    # Beside the snapshots a checkpoint (weights, their average, AdamW's two moments), two while one is written.
    disk = setting.parameters(space, model) * BYTES * (len(config.snapshots(model)) + 2 * 4)
    return Row(
        f"train_{model}", space, samples=seen, flops=network + oracle.flops + oracle.search_flops,
        bf16_flops=network * _in_bf16(config) + oracle.search_flops * on_gpu, disk=disk,
        gpu_seconds=oracle.waiting * on_gpu, cpu_seconds=oracle.waiting * (not on_gpu),
        stage="training", needs=(f"data/{space}/latents.h5",), makes=(f"training/{space}/{model}/",),
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


def _oracle_loss(setting, space):
    from twostage.sampling.snapshots import SAMPLES
    from twostage.training.oracle_loss import loss_times

    config = setting.config
    states = config.oracle_loss.pairs * len(loss_times(config.oracle_loss.time_steps, setting.split(space)[0]))
    models = config.models_of(space)
    snapshots = {model: len(config.snapshots(model, space)) for model in models}
    forwards = sum(count * setting.forward(space, model) for model, count in snapshots.items())
    # Besides, a few samples of every snapshot.
    plan = Plan("", (Part("model"),), solver=config.sampling.solver, steps=config.sampling.steps).resolve()
    sampled = SAMPLES * (
        evaluations({"": plan}, {"": 1})["model"] * forwards + sum(snapshots.values()) * setting.encoder_flops(space)[1]
    )
    return Row(
        "oracle_loss",
        space,
        samples=config.oracle_loss.pairs,
        flops=states * (forwards + setting.oracle_velocity(space)) + sampled,
        stage="sampling",
        needs=(
            f"data/{space}/latents.h5",
            f"oracle/{space}/transition",
            *setting.encoder_files(space),
            *(f"training/{space}/{model}/" for model in models),
        ),
        makes=tuple(f"training/{space}/{name}" for name in ("oracle_loss", "samples")),
    )
