# Images to latents: train an autoencoder where a space asks for one, encode both splits.
# Called through the shell, so that a comment in the package re-encodes (and so retrains) nothing.

TRAINED_ENCODERS = [name for name, space in CONFIG.spaces.items() if space.encoder.kind == "kl"]
DATASET = {**slice_of(CONFIG.data), "seed": CONFIG.seed}


rule autoencoder:
    output:
        weights="<results>/data/{space}/encoder.safetensors",
        quality="<results>/data/{space}/reconstruction.json",
    wildcard_constraints:
        space="|".join(TRAINED_ENCODERS) or "none",
    log:
        "<logs>/autoencoder/{space}.log",
    benchmark:
        "<benchmarks>/autoencoder/{space}.tsv"
    params:
        dataset=as_json(DATASET),
        encoder=lambda w: as_json(slice_of(CONFIG.spaces[w.space].encoder)),
        seed=CONFIG.seed,
    threads: CONFIG.jobs.data.threads
    resources:
        **resources_of("data"),
    conda:
        ENVIRONMENT
    message:
        "Training the autoencoder of latent space {wildcards.space}"
    shell:
        "python -m twostage.data autoencoder --dataset {params.dataset:q} --encoder {params.encoder:q}"
        " --seed {params.seed} --threads {threads} --output {output.weights} > {log} 2>&1"


rule encode:
    input:
        weights=encoder_weights,
    output:
        latents="<results>/data/{space}/latents.h5",
        held_out="<results>/data/{space}/held_out.h5",
    log:
        "<logs>/encode/{space}.log",
    benchmark:
        "<benchmarks>/encode/{space}.tsv"
    params:
        dataset=as_json(DATASET),
        encoder=lambda w: as_json(slice_of(CONFIG.spaces[w.space].encoder)),
        weights=lambda w, input: f"--weights {input.weights}" if input.weights else "",
        flips="--flips" if CONFIG.data.flips else "",
    threads: CONFIG.jobs.data.threads
    resources:
        **resources_of("data"),
    conda:
        ENVIRONMENT
    message:
        "Encoding the images into latent space {wildcards.space}"
    shell:
        "python -m twostage.data encode --dataset {params.dataset:q} --encoder {params.encoder:q} {params.weights}"
        " {params.flips} --threads {threads} --train {output.latents} --held-out {output.held_out} > {log} 2>&1"
