"""Jobs of workflow/rules/sampling.smk: the plans of every experiment, and Flux."""

import os

from twostage.estimate.evaluations import evaluations, followed_evaluations, resolved, uses_gaussians
from twostage.estimate.networks import flux_flops
from twostage.estimate.row import Row
from twostage.sampling.plan import GAUSSIAN, ORACLE, Plan

FLUX_BYTES = 58e9  # of Flux.1's repository on the hub
SHOWN_SAMPLES = 16  # whose predictions along the way are decoded
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
    yield Row(
        "flux", samples=trajectories, flops=flops, bf16_flops=flops * (flux.precision == "bf16"),
        disk=images * flux.height * flux.width * 3, stage="flux", needs=needs, makes=("samples/flux.",),
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
    plans = resolved(setting.plans[experiment], setting.split(space)[0])
    samples = samples_of(setting, experiment)
    total, jobs, decoded = sum(samples.values()), setting.config.sampling.shards, sum(samples.values())
    if experiment in TRAJECTORIES:
        counts, jobs, decoded = followed_evaluations(plans, max(samples.values())), 1, _shown(setting, experiment)
    else:
        counts = evaluations(plans, samples)
    oracle = counts.pop(ORACLE, 0) * setting.oracle_velocity(space)
    started = sum(samples[name] for name, plan in plans.items() if GAUSSIAN in plan.start)
    gaussian = (counts.pop(GAUSSIAN, 0) + started) * setting.gaussian_velocity(space)
    gaussian += uses_gaussians(setting.plans[experiment]) * jobs * setting.gaussian_fits(space)
    networks = sum(count * setting.forward(space, field.partition("@")[0]) for field, count in counts.items())
    names_split = any(Plan.from_dict(*item).names_split for item in setting.plans[experiment].items())
    return Row(
        f"{'follow' if experiment in TRAJECTORIES else 'sample'}_{experiment}",
        space,
        jobs=jobs,
        samples=total,
        flops=oracle + gaussian + networks + decoded * setting.encoder_flops(space)[1],
        bf16_flops=networks * (setting.config.sampling.precision == "bf16"),
        disk=decoded * setting.pixels,
        stage="sampling",
        needs=(
            f"data/{space}/latents.h5",
            *[f"oracle/{space}/split"] * names_split,
            *setting.encoder_files(space),
            *sorted({f"training/{space}/{field.partition('@')[0]}/" for field in counts}),
        ),
        makes=(f"samples/{space}/{experiment}-", f"samples/{space}/{experiment}."),
    )


def _shown(setting, experiment):
    """Decoded predictions along the trajectories: those of the first samples of each plan, at the times shown."""
    from twostage.sampling.experiments import SHOWN_TIMES

    return (
        len(setting.plans[experiment])
        * min(SHOWN_SAMPLES, max(samples_of(setting, experiment).values()))
        * len(SHOWN_TIMES)
    )
