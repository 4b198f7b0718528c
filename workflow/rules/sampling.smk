# Sampling: one rule an experiment, which runs all its plans in one job a latent space and shard.
from twostage.sampling.experiments import plans_for

SPLIT = None if CONFIG.split == "measured" else CONFIG.split
PLANS = {
    name: plans_for(name, settings, steps=CONFIG.sampling.steps, solver=CONFIG.sampling.solver)
    for name, settings in EXPERIMENTS.items()
}


for experiment, plans in PLANS.items():

    rule:
        name:
            f"sample_{experiment}"
        input:
            latents="<results>/data/{space}/latents.h5",
            held_out="<results>/data/{space}/held_out.h5",
            weights=encoder_weights,
            transition="<results>/oracle/{space}/transition.json",
            snapshots=lambda w, plans=plans: list(last_snapshots(w.space, plans).values()),
        output:
            [f"<results>/samples/{{space}}/{plan}/shard-{{shard}}.h5" for plan in plans],
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
            plans=plans,
            split=SPLIT,
            sampling=slice_of(CONFIG.sampling),
            encoder=lambda w: slice_of(CONFIG.spaces[w.space].encoder),
            checkpoints=lambda w, plans=plans: last_snapshots(w.space, plans),
            device=device_of("sampling"),
            code=code_of("twostage.sampling.run"),
        message:
            f"Sampling the {len(plans)} plans of {experiment} in latent space {{wildcards.space}}"
        script:
            "../scripts/sample.py"
