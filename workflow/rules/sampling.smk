# Sampling: one rule an experiment, which runs all its plans in one job a latent space and shard.
from twostage.sampling.experiments import plans_for
from twostage.sampling.plan import Plan


def plan_checkpoints(space, plans):
    """{field: weights} of every model that the plans name: `model@step` is a snapshot, `model` the last one."""
    fields = dict.fromkeys(part["field"] for plan in plans.values() for part in plan["parts"])
    found = {}
    for field in fields:
        model, _, step = field.partition("@")
        if model in MODELS:
            paths = snapshot_paths(space, model)
            found[field] = paths[int(step)] if step else list(paths.values())[-1]
    return found


def plan_models(space, plans):
    """{field: what its weights must say of themselves} of every model that the plans name."""
    found = {}
    for field in plan_checkpoints(space, plans):
        model, _, step = field.partition("@")
        step = int(step) if step else CONFIG.snapshots(model, space)[-1]
        found[field] = expected_of(space, model) | {"step": step}
    return found


def plan_settings(experiments):
    """What an experiment's plans are made of: its settings without where and how often it runs."""
    apart = ("spaces", "samples", "seeds")
    settings = {name: {k: v for k, v in found.items() if k not in apart} for name, found in experiments.items()}
    if twins := settings.get("fig_oracle_supervised"):
        first, second = map(CONFIG.snapshots, twins["models"])
        twins["snapshots"] = [step for step in first if step in second]
    return settings


def samples_of(experiment):
    """Images a plan and seed of an experiment."""
    return EXPERIMENTS[experiment]["samples"] or CONFIG.sampling.samples


def seeds_of(experiment):
    """Sampling seeds of an experiment."""
    return EXPERIMENTS[experiment]["seeds"] or CONFIG.sampling.seeds


def sampling_inputs(plans):
    """What the plans of an experiment are run with: latents, decoder, models, and the split where a plan names it."""
    named = any(Plan.from_dict(name, plan).names_split for name, plan in plans.items())
    return ({"split": "<results>/oracle/{space}/split.json"} if named else {}) | {
        "latents": "<results>/data/{space}/latents.h5",
        "held_out": "<results>/data/{space}/held_out.h5",
        "weights": encoder_weights,
        "snapshots": lambda w: list(plan_checkpoints(w.space, plans).values()),
    }


def sample_paths(space, experiment):
    """{plan: paths of its shards} of an experiment."""
    return {
        plan: [
            f"results/{CONFIG.run}/samples/{space}/{plan}/shard-{shard}.h5" for shard in range(CONFIG.sampling.shards)
        ]
        for plan in PLANS[experiment]
    }


FIELDS = [*MODELS, *(f"{model}@{step}" for model in MODELS for step in CONFIG.snapshots(model))]
try:
    PLANS = {
        name: plans_for(
            name,
            settings,
            steps=CONFIG.sampling.steps,
            solver=CONFIG.sampling.solver,
            models=FIELDS,
            source="measured" if SPLIT is None else "fixed",
        )
        for name, settings in plan_settings(EXPERIMENTS).items()
    }
    if SPLIT is not None:  # else the plans that name it are checked once it is measured
        for name, plan in [item for plans in PLANS.values() for item in plans.items()]:
            Plan.from_dict(name, plan).resolve(SPLIT)
except ValueError as error:
    raise WorkflowError(f"config: experiments: {error}") from None
# Figs. 4 and 8 look at the way of a sample, not at its end.
TRAJECTORIES = [name for name in PLANS if name == "fig8"]
SAMPLED = [name for name in PLANS if name not in TRAJECTORIES]

for experiment in SAMPLED:

    rule:
        name:
            f"sample_{experiment}"
        input:
            **sampling_inputs(PLANS[experiment]),
        output:
            [f"<results>/samples/{{space}}/{plan}/shard-{{shard}}.h5" for plan in PLANS[experiment]],
        log:
            f"<logs>/sample/{experiment}/{{space}}-{{shard}}.log",
        benchmark:
            f"<benchmarks>/sample/{experiment}/{{space}}-{{shard}}.tsv"
        conda:
            ENVIRONMENT
        threads: CONFIG.jobs.sampling.threads
        resources:
            **resources_of("sampling"),
        params:
            plans=PLANS[experiment],
            samples=samples_of(experiment),
            seeds=seeds_of(experiment),
            shards=CONFIG.sampling.shards,
            batch_size=CONFIG.sampling.batch_size,
            precision=CONFIG.sampling.precision,
            encoder=lambda w: encoder_of(w.space),
            models=lambda w, experiment=experiment: plan_models(w.space, PLANS[experiment]),
            device=device_of("sampling"),
            code=code_of("twostage.sampling.run"),
        message:
            f"Sampling the {len(PLANS[experiment])} plans of {experiment} in latent space {{wildcards.space}}"
        script:
            "../scripts/sample.py"


for experiment in TRAJECTORIES:

    rule:
        name:
            f"follow_{experiment}"
        input:
            **sampling_inputs(PLANS[experiment]),
        output:
            table=f"<results>/samples/{{space}}/{experiment}.csv",
            pictures=[f"<results>/samples/{{space}}/{plan}/trajectory.h5" for plan in PLANS[experiment]],
        log:
            f"<logs>/follow/{experiment}/{{space}}.log",
        benchmark:
            f"<benchmarks>/follow/{experiment}/{{space}}.tsv"
        conda:
            ENVIRONMENT
        threads: CONFIG.jobs.sampling.threads
        resources:
            **resources_of("sampling"),
        params:
            plans=PLANS[experiment],
            samples=samples_of(experiment),
            seeds=seeds_of(experiment),
            batch_size=CONFIG.sampling.batch_size,
            precision=CONFIG.sampling.precision,
            encoder=lambda w: encoder_of(w.space),
            models=lambda w, experiment=experiment: plan_models(w.space, PLANS[experiment]),
            device=device_of("sampling"),
            code=code_of("twostage.sampling.trajectory"),
        message:
            f"Following the trajectories of {experiment} in latent space {{wildcards.space}}"
        script:
            "../scripts/follow.py"


if CONFIG.flux:
    FLUX = CONFIG.flux.model
    if not os.path.isdir(FLUX):
        # A hub id, which is fetched where Snakemake runs: compute nodes often have no internet.
        FLUX = f"weights/{'--'.join(Path(CONFIG.flux.model).parts)}-{CONFIG.flux.revision[:12]}"

        rule fetch_flux:
            output:
                f"{FLUX}/fetched.json",
            log:
                "<logs>/fetch/flux.log",
            benchmark:
                "<benchmarks>/fetch/flux.tsv"
            priority: 1000
            localrule: True
            conda:
                ENVIRONMENT
            threads: 1
            resources:
                **resources_of("data"),
            params:
                repository=as_json(
                    {"path": f"{FLUX}/fetched.json", "repo": CONFIG.flux.model, "revision": CONFIG.flux.revision}
                ),
            message:
                f"Fetching {CONFIG.flux.model}"
            shell:
                "python -m twostage.fetch {params.repository:q} > {log} 2>&1"

    rule flux:
        input:
            branch(FLUX == CONFIG.flux.model, then=f"{FLUX}/model_index.json", otherwise=f"{FLUX}/fetched.json"),
        output:
            pictures="<results>/samples/flux.h5",
            table="<results>/samples/flux.csv",
        log:
            "<logs>/flux.log",
        benchmark:
            "<benchmarks>/flux.tsv"
        conda:
            ENVIRONMENT
        threads: CONFIG.jobs.flux.threads
        resources:
            **resources_of("flux"),
        params:
            flux=slice_of(CONFIG.flux),
            seed=CONFIG.seed,
            device=device_of("flux"),
            code=code_of("twostage.sampling.flux"),
        message:
            "Following the trajectories of Flux"
        script:
            "../scripts/flux.py"
