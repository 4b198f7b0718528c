"""The job of workflow/rules/sampling.smk that compares models with the oracle, the Gaussian and the data."""

import math

from twostage.estimate import gaussian
from twostage.estimate.evaluations import evaluations
from twostage.estimate.memory import MIB, NETWORK, store, streamed
from twostage.estimate.oracle import velocities_bytes, velocities_mb
from twostage.estimate.row import BYTES, Row
from twostage.estimate.sampling import seeds_of
from twostage.sampling.plan import Part, Plan


def rows_of_space(setting, space):
    """The row of a latent space, where the comparison runs."""
    following = setting.config.experiments.fig_references
    if not following or space not in setting.spaces_of("fig_references"):
        return
    from twostage.sampling.references import chosen_starts

    sampling = setting.config.sampling
    kinds = 1 + setting.config.spaces[space].decodes  # held-out images, where any are
    curves = [(model, step) for model in following.models for step in setting.config.snapshots(model, space)]
    pairs = following.samples * seeds_of(setting, "fig_references")
    times = len(chosen_starts(sampling.steps, following.times))
    plan = Plan("", (Part("model"),), solver=sampling.solver, steps=sampling.steps).resolve()
    each = evaluations({"": plan}, {"": 1})["model"] + times * kinds
    networks = pairs * each * sum(setting.forward(space, model) for model, _ in curves)
    velocities = pairs * times * (kinds + len(curves))
    exact = velocities * (setting.oracle_velocity(space) + gaussian.velocity_flops(setting, space))
    fits = gaussian.fit_flops(setting, space) * min(1, pairs / setting.classes)
    disk = BYTES * 3 * pairs * times * (kinds + 1) * len(curves)
    states = len(curves) * (2 + kinds) * times * pairs  # and velocities, were all pairs taken at once
    yield Row(
        "references", space, samples=pairs, flops=networks + exact + fits,
        bf16_flops=networks * (sampling.precision == "bf16"), disk=disk, stage="sampling",
        needs=(
            f"data/{space}/latents.h5",
            *[f"data/{space}/held_out.h5"] * (kinds - 1),
            *(f"training/{space}/{model}/" for model in following.models),
        ),
        makes=(f"samples/{space}/fig_references.",),
        on_gpu=lambda: _on_gpu(setting, space, following.models, len(curves)),
        on_host=lambda: _on_host(setting, space, following.models, states, disk),
    )  # fmt: skip


def _on_gpu(setting, space, models, curves):
    batch, dim = setting.config.sampling.batch_size, setting.dim(space)
    networks = 2 * max(setting.weights(space, name) for name in models) + setting.velocity_peak(space, models, batch)
    points = curves * batch  # the own states of one class at one time, were all of a batch its
    fitted = gaussian.gaussian_bytes(math.ceil(setting.class_size), dim, 1, velocities_mb() * MIB, points)
    return networks + velocities_bytes(setting, space, points) + fitted + 8 * (batch + points) * dim * BYTES


def _on_host(setting, space, models, states, errors):
    from twostage.sampling.references import HELD_MB

    latent, largest = setting.dim(space) * BYTES, max(setting.weights(space, name) for name in models)
    # a batch's states and velocities, and its images; all errors, and once more where they are joined
    held = min(HELD_MB * MIB, states * latent) + 4 * setting.config.sampling.batch_size * latent
    return store(setting) + held + 2 * errors + 2 * largest + streamed(setting, space, velocities_mb()) + NETWORK
