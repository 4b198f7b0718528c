"""Jobs of workflow/rules/sampling.smk: the plans of every experiment, and Flux."""

import math
import os

from twostage.estimate.evaluations import evaluations, followed_evaluations, resolved
from twostage.estimate.gaussian import fit_flops, gaussians_mb, gaussians_of_space, uses_gaussians, velocity_flops
from twostage.estimate.memory import GIB, NETWORK, autoencoder_peaks, default_of, store, streamed
from twostage.estimate.networks import FLUX_VAE, flux_flops
from twostage.estimate.oracle import velocities_bytes, velocities_mb
from twostage.estimate.row import BYTES, Row
from twostage.sampling.plan import CLOSED_FORM, GAUSSIAN, ORACLE, Plan, snapshot_of

# Flux.1: its repository on the hub; in bf16 its weights, and the largest part of them
FLUX_BYTES, FLUX_WEIGHTS, FLUX_PART = 58e9, 34e9, 24e9
TRAJECTORIES = ("fig8",)  # what looks at the way of a sample


def rows(setting):
    """Rows of Flux, where it is configured."""
    flux = setting.config.flux
    if not flux:
        return
    needs = ()
    if not os.path.isdir(flux.model):
        needs = ("flux/fetched",)
        yield Row("fetch_flux", disk=FLUX_BYTES, stage="data", makes=needs)
    trajectories = len(flux.prompts) * len(flux.shifts)
    shown = len(flux.prompts) * sum(time < 1 for time in flux.times)  # predictions, of one shift
    transformer, decoder = flux_flops(flux.model, flux.height, flux.width)
    images = trajectories + shown
    flops = trajectories * flux.steps * transformer + images * decoder
    pictures = len(flux.prompts) * (len(flux.shifts) + len(flux.times)) * flux.height * flux.width * 3

    def on_gpu():
        from twostage.data.encoders import item_bytes

        decoding = item_bytes(FLUX_VAE["block_out_channels"], flux.height, flux.width)
        return (FLUX_PART if flux.offload else FLUX_WEIGHTS) + decoding + 2 * GIB

    yield Row(
        "flux", samples=trajectories, flops=flops, bf16_flops=flops * (flux.precision == "bf16"),
        disk=images * flux.height * flux.width * 3, stage="flux", needs=needs, makes=("samples/flux.",),
        on_gpu=on_gpu, on_host=lambda: FLUX_WEIGHTS + 2 * pictures,
    )  # fmt: skip


def rows_of_space(setting, space):
    """Rows of the experiments that sample in a latent space."""
    for experiment in setting.plans:
        if space in setting.spaces_of(experiment):
            yield _experiment(setting, space, experiment)


def samples_of(setting, experiment):
    """{plan name: images of all seeds}: a plan's own `samples` before the experiment's before the run's."""
    settings, sampling = getattr(setting.config.experiments, experiment), setting.config.sampling
    seeds, each = seeds_of(setting, experiment), settings.samples or sampling.samples
    own = experiment not in TRAJECTORIES
    return {
        name: seeds * (plan.get("samples") or each if own else each) for name, plan in setting.plans[experiment].items()
    }


def seeds_of(setting, experiment):
    """Number of an experiment's seeds."""
    return len(getattr(setting.config.experiments, experiment).seeds or setting.config.sampling.seeds)


def _experiment(setting, space, experiment):
    config, follows = setting.config, experiment in TRAJECTORIES
    plans = resolved(setting.plans[experiment], setting.split(space)[0], setting.windows(space))
    samples = samples_of(setting, experiment)
    total, jobs, decoded = sum(samples.values()), config.sampling.shards, sum(samples.values())
    if follows:
        counts, jobs, decoded = followed_evaluations(plans, max(samples.values())), 1, _shown(setting, experiment)
    else:
        counts = evaluations(plans, samples)
    oracle = counts.pop(ORACLE, 0) * setting.oracle_velocity(space)
    started = sum(samples[name] for name, plan in plans.items() if GAUSSIAN in plan.start)
    gaussian = (counts.pop(GAUSSIAN, 0) + started) * velocity_flops(setting, space)
    gaussian += uses_gaussians(plans.values()) * jobs * fit_flops(setting, space)
    networks = sum(count * setting.forward(space, snapshot_of(field)[0]) for field, count in counts.items())
    given = [Plan.from_dict(*item) for item in setting.plans[experiment].items()]
    return Row(
        f"{'follow' if follows else 'sample'}_{experiment}",
        space,
        jobs=jobs,
        samples=total,
        flops=oracle + gaussian + networks + decoded * setting.encoder_flops(space)[1],
        bf16_flops=networks * (config.sampling.precision == "bf16"),
        disk=decoded * setting.pixels,
        stage="sampling",
        needs=(
            f"data/{space}/latents.h5",
            *[f"oracle/{space}/split"] * any(plan.names_split for plan in given),
            *[f"oracle/{space}/windows"] * any(plan.names_windows for plan in given),
            *setting.encoder_files(space),
            *sorted({f"training/{space}/{snapshot_of(field)[0]}/" for field in counts}),
        ),
        makes=(f"samples/{space}/{experiment}-", f"samples/{space}/{experiment}."),
        on_gpu=lambda: _sampled_on_gpu(setting, space, plans.values(), follows),
        on_host=lambda: _sampled_on_host(setting, space, plans.values(), follows),
    )


def _sampled_on_gpu(setting, space, plans, follows):
    sampling, latent = setting.config.sampling, setting.dim(space) * BYTES
    parts = [part for plan in plans for part in plan.parts]
    twice = 1 + any(part.guidance != 1 for part in parts)  # with and without the class
    fields = {part.field for part in parts} - {*CLOSED_FORM}
    models = [snapshot_of(field)[0] for field in fields]  # each snapshot has its weights
    networks = sum(setting.weights(space, name) for name in models)
    networks += setting.velocity_peak(space, models, twice * sampling.batch_size)
    states = (8 + len(plans)) * sampling.batch_size * latent
    if follows:  # the predictions of every step of a batch, and the classes' means
        states += (2 * sampling.batch_size * sampling.steps + setting.classes) * latent
    decoding = autoencoder_peaks(setting, space, "sampling")[1]
    exact = velocities_bytes(setting, space, sampling.batch_size)
    exact += uses_gaussians(plans) * gaussians_of_space(setting, space, sampling.batch_size)
    return networks + states + exact + decoding


def _sampled_on_host(setting, space, plans, follows):
    models = {snapshot_of(part.field)[0] for plan in plans for part in plan.parts} - {*CLOSED_FORM}
    largest = max((setting.weights(space, name) for name in models), default=0)
    batches = setting.config.sampling.batch_size * (4 * setting.pixels + 8 * setting.dim(space) * BYTES)
    shown = 4 * math.prod(_shown_each()) * setting.pixels if follows else 0
    budget = max(velocities_mb(), uses_gaussians(plans) * gaussians_mb())
    return store(setting) + 2 * largest + batches + streamed(setting, space, budget) + NETWORK + shown


def _shown(setting, experiment):
    """Decoded predictions along the trajectories: those of the first samples of each plan, at the times shown."""
    samples, times = _shown_each()
    return len(setting.plans[experiment]) * min(samples, max(samples_of(setting, experiment).values())) * times


def _shown_each():
    """(samples, times) whose predictions along a plan's trajectories are decoded, at most."""
    from twostage.sampling.trajectory import record_trajectories

    return default_of(record_trajectories, "shown"), len(default_of(record_trajectories, "times"))
