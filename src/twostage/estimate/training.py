"""Jobs of workflow/rules/training.smk: models, and their error against the oracle."""

from twostage.estimate.data import PASSES
from twostage.estimate.evaluations import evaluations
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
    t, seen = config.training, config.model_steps(model) * config.training.batch_size
    network = seen * (PASSES + t.activation_checkpointing) * setting.forward(space, model)
    oracle = 0
    if (config.models[model].target or t.target) == "oracle":
        # Where the class is dropped, the oracle of all latents is the target.
        of_all = setting.oracle_velocity(space, setting.stored)
        oracle = seen * ((1 - t.class_drop) * setting.oracle_velocity(space) + t.class_drop * of_all)
    # Beside the snapshots a checkpoint (weights, their average, AdamW's two moments), two while one is written.
    disk = setting.parameters(space, model) * BYTES * (len(config.snapshots(model)) + 2 * 4)
    device = "cuda" if config.jobs.training.gpu else "cpu"
    in_bf16 = Recipe(steps=1, precision=t.precision).resolved(device).precision == "bf16"
    return Row(
        f"train_{model}", space, samples=seen, flops=network + oracle, bf16_flops=network * in_bf16, disk=disk,
        stage="training", needs=(f"data/{space}/latents.h5",), makes=(f"training/{space}/{model}/",),
    )  # fmt: skip


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
