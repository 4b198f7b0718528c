# Sampling: one rule an experiment, which runs all its plans in one job a latent space and shard.
from twostage.sampling.experiments import plans_for

SPLIT = None if CONFIG.split == "measured" else CONFIG.split
PLANS = {
    name: plans_for(name, settings, steps=CONFIG.sampling.steps, solver=CONFIG.sampling.solver)
    for name, settings in plan_settings(EXPERIMENTS).items()
}
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
            split=SPLIT,
            samples=samples_of(experiment),
            seeds=seeds_of(experiment),
            shards=CONFIG.sampling.shards,
            batch_size=CONFIG.sampling.batch_size,
            encoder=lambda w: encoder_of(w.space),
            checkpoints=lambda w, experiment=experiment: plan_checkpoints(w.space, PLANS[experiment]),
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
            split=SPLIT,
            samples=samples_of(experiment),
            seed=seeds_of(experiment)[0],
            batch_size=CONFIG.sampling.batch_size,
            encoder=lambda w: encoder_of(w.space),
            checkpoints=lambda w, experiment=experiment: plan_checkpoints(w.space, PLANS[experiment]),
            device=device_of("sampling"),
            code=code_of("twostage.sampling.trajectory"),
        message:
            f"Following the trajectories of {experiment} in latent space {{wildcards.space}}"
        script:
            "../scripts/follow.py"
