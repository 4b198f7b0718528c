# Sampling: one rule per experiment, which runs all its plans in one job per latent space and shard.
from twostage.sampling.experiments import plans_for
from twostage.sampling.plan import Plan, snapshot_of
from twostage.windows import WINDOWS

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
    if SPLIT is not None:  # otherwise the plans that name the split are checked when it is measured
        for name, plan in [item for plans in PLANS.values() for item in plans.items()]:
            Plan.from_dict(name, plan).resolve(SPLIT, dict.fromkeys(WINDOWS, (0, 1)))
except ValueError as error:
    raise WorkflowError(f"config: experiments: {error}") from None
# Figs. 4 and 8 show the trajectory of a sample, not its end.
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


if "fig_references" in EXPERIMENTS:
    FOLLOWING = EXPERIMENTS["fig_references"]

    rule references:
        input:
            latents="<results>/data/{space}/latents.h5",
            held_out=lambda w: (
                f"results/{CONFIG.run}/data/{w.space}/held_out.h5" if CONFIG.spaces[w.space].decodes else []
            ),
            snapshots=lambda w: [
                path for model in FOLLOWING["models"] for path in snapshot_paths(w.space, model).values()
            ],
            foreign=foreign_weights(FOLLOWING["models"]),
        output:
            "<results>/samples/{space}/fig_references.h5",
        log:
            "<logs>/references/{space}.log",
        benchmark:
            "<benchmarks>/references/{space}.tsv"
        conda:
            ENVIRONMENT
        threads: CONFIG.jobs.sampling.threads
        resources:
            **resources_of("sampling"),
        params:
            settings={
                "samples": FOLLOWING["samples"],
                "seeds": seeds_of("fig_references"),
                "times": FOLLOWING["times"],
                "steps": CONFIG.sampling.steps,
                "solver": CONFIG.sampling.solver,
                "batch_size": CONFIG.sampling.batch_size,
                "precision": CONFIG.sampling.precision,
            },
            snapshots=lambda w: {model: CONFIG.snapshots(model, w.space) for model in FOLLOWING["models"]},
            models=lambda w: {model: expected_of(w.space, model) for model in FOLLOWING["models"]},
            device=device_of("sampling"),
            code=code_of("twostage.sampling.references"),
        message:
            "Measuring which field the models follow in latent space {wildcards.space}"
        script:
            "../scripts/references.py"


if CONFIG.flux:
    FLUX = CONFIG.flux.model
    if STORAGE is None and not os.path.isdir(FLUX):
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
            [] if STORAGE is not None else f"{FLUX}/{'model_index' if FLUX == CONFIG.flux.model else 'fetched'}.json",
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
