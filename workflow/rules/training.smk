# LightningDiT, and its error against the oracle velocity.
# Training is called through the shell and carries a version that is raised by hand: only a change of recipe or data
# retrains a model that may have taken days. One rule per model, because each has its own snapshots.
from twostage.training import TRAINING_VERSION

TRAINING_JOBS = CONFIG.jobs.training
# Resources, not params, say how and where a model is trained: a change of them retrains nothing.
HOW = {
    "operation": as_json({key: value for key, value in slice_of(CONFIG.training).items() if key in OPERATIONAL}),
    "scratch": "--scratch" if TRAINING_JOBS.scratch else "",
    "nodes": TRAINING_JOBS.nodes,
    # As many as there are GPUs; a resource of its own for clusters where GPUs are requested as `gres`.
    "processes": TRAINING_JOBS.gpu,
}
if TRAINING_JOBS.nodes > 1:
    # srun starts one process per node only if Snakemake has not put the command into a step of one task; `mpi` prevents
    # that. Without tasks_per_gpu the executor would request that many tasks on each GPU.
    HOW |= {"mpi": "srun", "tasks": TRAINING_JOBS.nodes, "tasks_per_gpu": 0}

for model in CONFIG.lightningdits:

    rule:
        name:
            f"train_{model}"
        input:
            latents="<results>/data/{space}/latents.h5",
        output:
            stats=f"<results>/training/{{space}}/{model}/stats.jsonl",
            snapshots=[f"<results>/training/{{space}}/{model}/{name}" for name in snapshot_names(model)],
        log:
            f"<logs>/train/{{space}}/{model}.log",
        benchmark:
            f"<benchmarks>/train/{{space}}/{model}.tsv"
        wildcard_constraints:
            space=spaces_by_origin(model, imported=False),
        # The longest job first, so that the others can run beside it.
        priority: 10 + MODELS.index(model)
        conda:
            ENVIRONMENT
        threads: CONFIG.jobs.training.threads
        resources:
            **resources_of("training"),
            **HOW,
        params:
            architecture=lambda w, model=model: as_json(architecture_of(w.space, model)),
            recipe=as_json(recipe_of(model)),
            seed=CONFIG.seed,
            device=device_of("training"),
            version=TRAINING_VERSION,
        message:
            f"Training {model} in latent space {{wildcards.space}}"
        shell:
            "python -m twostage.training --latents {input.latents} --architecture {params.architecture:q}"
            " --recipe {params.recipe:q} --recipe {resources.operation:q}"
            " --seed {params.seed} --threads {threads} --device {params.device}"
            " --gpus {resources.processes} --nodes {resources.nodes} --wait {resources.runtime} {resources.scratch}"
            " --output $(dirname {output.stats}) > {log} 2>&1"


# A published checkpoint that replaces a training.
for model in [name for name in MODELS if CONFIG.models[name].checkpoint]:

    rule:
        name:
            f"import_{model}"
        input:
            checkpoint=lambda w, model=model: CONFIG.models[model].checkpoint[w.space].place,
            latents="<results>/data/{space}/latents.h5",
        output:
            f"<results>/training/{{space}}/{model}/{snapshot_names(model)[-1]}",
        log:
            f"<logs>/import/{{space}}/{model}.log",
        benchmark:
            f"<benchmarks>/import/{{space}}/{model}.tsv"
        wildcard_constraints:
            space=spaces_by_origin(model, imported=True),
        conda:
            ENVIRONMENT
        threads: 1
        resources:
            **resources_of("evaluation"),
        params:
            architecture=lambda w, model=model: as_json(architecture_of(w.space, model)),
            step=CONFIG.model_steps(model),
            sha256=lambda w, model=model: checkpoint_options(CONFIG.models[model].checkpoint[w.space]),
        message:
            f"Importing {model} in latent space {{wildcards.space}} instead of training it"
        shell:
            "python -m twostage.training.published --checkpoint {input.checkpoint:q} --latents {input.latents}"
            " --architecture {params.architecture:q} --step {params.step} {params.sha256} --output {output}"
            " > {log} 2>&1 || {{ tail -n 1 {log} >&2; exit 1; }}"


# A model that the user's own code builds: a small file that names the function, its weights and its convention. What it
# returns is looked at before anything is sampled.
for model in CONFIG.foreign:

    rule:
        name:
            f"build_{model}"
        input:
            weights=foreign_weights([model]),
            latents="<results>/data/{space}/latents.h5",
        output:
            f"<results>/training/{{space}}/{model}/{snapshot_names(model)[-1]}",
        log:
            f"<logs>/build/{{space}}/{model}.log",
        benchmark:
            f"<benchmarks>/build/{{space}}/{model}.tsv"
        wildcard_constraints:
            space=as_constraint(CONFIG.models[model].spaces or SPACES),
        priority: 1000
        conda:
            ENVIRONMENT
        threads: 1
        resources:
            **resources_of("evaluation"),
        params:
            model=foreign_of(model),
            step=CONFIG.model_steps(model),
            sha256=lambda w, model=model: getattr(CONFIG.models[model].weights, "sha256", None),
            source=lambda w, model=model: foreign_code(model),
            code=code_of("twostage.model.foreign"),
        message:
            f"Building {model} by its own code, for latent space {{wildcards.space}}"
        script:
            "../scripts/foreign.py"


rule oracle_loss:
    input:
        latents="<results>/data/{space}/latents.h5",
        transition="<results>/oracle/{space}/transition.json",
        weights=encoder_weights,
        snapshots=lambda w: [
            path for model in CONFIG.models_of(w.space) for path in snapshot_paths(w.space, model).values()
        ],
        foreign=lambda w: foreign_weights(CONFIG.models_of(w.space)),
    output:
        table="<results>/training/{space}/oracle_loss.csv",
        pairs="<results>/training/{space}/oracle_loss.h5",
        samples="<results>/training/{space}/samples.h5",
    log:
        "<logs>/oracle_loss/{space}.log",
    benchmark:
        "<benchmarks>/oracle_loss/{space}.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.jobs.sampling.threads
    resources:
        **resources_of("sampling"),
    params:
        oracle_loss=slice_of(CONFIG.oracle_loss),
        sampling={"steps": CONFIG.sampling.steps, "solver": CONFIG.sampling.solver},
        encoder=lambda w: encoder_of(w.space),
        snapshots=lambda w: {model: CONFIG.snapshots(model, w.space) for model in CONFIG.models_of(w.space)},
        models=lambda w: {model: expected_of(w.space, model) for model in CONFIG.models_of(w.space)},
        seed=CONFIG.seed,
        device=device_of("sampling"),
        code=code_of("twostage.training.oracle_loss", "twostage.sampling.snapshots"),
    message:
        "Measuring the error of every snapshot against the oracle velocity in latent space {wildcards.space}"
    script:
        "../scripts/oracle_loss.py"
