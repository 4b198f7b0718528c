"""Jobs of workflow/rules/sampling.smk: the plans of every experiment, and Flux."""

import os

from twostage.estimate.evaluations import evaluations, followed_evaluations, resolved, uses_gaussians
from twostage.estimate.networks import flux_flops
from twostage.estimate.row import BYTES, Row
from twostage.sampling.plan import GAUSSIAN, ORACLE, Part, Plan

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
    if setting.config.experiments.fig_references and space in setting.spaces_of("fig_references"):
        yield _references(setting, space)


def _references(setting, space):
    """What models do on paths of images and on their own, against the oracle and the Gaussian on all of these."""
    from twostage.sampling.references import chosen_starts

    config, curves = setting.config, reference_curves(setting, space)
    following, kinds = config.experiments.fig_references, reference_kinds(setting, space)
    pairs = following.samples * seeds_of(setting, "fig_references")
    times = len(chosen_starts(config.sampling.steps, following.times))
    plan = Plan("", (Part("model"),), solver=config.sampling.solver, steps=config.sampling.steps).resolve()
    each = evaluations({"": plan}, {"": 1})["model"] + times * kinds
    networks = pairs * each * sum(setting.forward(space, model) for model, _ in curves)
    velocities = pairs * times * (kinds + len(curves))
    exact = velocities * (setting.oracle_velocity(space) + setting.gaussian_velocity(space))
    fits = setting.gaussian_fits(space) * min(1, pairs / setting.classes)
    return Row(
        "references",
        space,
        samples=pairs,
        flops=networks + exact + fits,
        bf16_flops=networks * (config.sampling.precision == "bf16"),
        disk=BYTES * 3 * pairs * times * (kinds + 1) * len(curves),
        stage="sampling",
        needs=(
            f"data/{space}/latents.h5",
            *[f"data/{space}/held_out.h5"] * (kinds - 1),
            *(f"training/{space}/{model}/" for model in following.models),
        ),
        makes=(f"samples/{space}/fig_references.",),
    )


def reference_curves(setting, space):
    """(model, step) of every snapshot that is compared with references."""
    models = setting.config.experiments.fig_references.models
    return [(model, step) for model in models for step in setting.config.snapshots(model, space)]


def reference_kinds(setting, space):
    """Kinds of straight paths: of training images, and of held-out ones where there are any."""
    return 1 + setting.config.spaces[space].decodes


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
