# From images to latents: train an autoencoder where a space needs one, then encode both splits.
# These jobs are called through the shell, so that a changed comment in the package does not encode (and so train)
# again. For the same reason the text of the commands stays as it is: they show the last line of their log, and
# warnings, although told.smk now does so for all jobs.


DATASET = {"seed": CONFIG.seed} | {
    key: value
    for key, value in slice_of(CONFIG.data).items()
    if key not in ("flips", "shards", "max_corrupt", "background", "images", "held_out_images", "classes")
}
if CONFIG.data.unlabelled:
    DATASET["classes"] = CONFIG.data.classes
if CONFIG.data.background != "white":  # a key that is not used is left out, so that a new key makes nothing run again
    DATASET["background"] = CONFIG.data.background
# The settings on which the pixels of an image from class folders depend.
PIXELS = ("name", "path", "held_out_path", "image_size", "min_side", "background", "classes")
# Every job that reads images waits for these: the archive that a rule fetches, or the tables in which copies are found.
IMAGES = [f"{CONFIG.data.path}/cifar-10-batches-py/batches.meta"] if CONFIG.data.name == "cifar10" else []
if CONFIG.data.name == "image_folder":
    IMAGES = [f"results/{CONFIG.run}/data/{name}.csv" for name in ("index", "contents")]
    DATASET["index"] = IMAGES[0]
# As with folders of images, only a change of the index makes anything run again.
ARCHIVES = [ancient(path) for path in archives()]
IMAGES += ARCHIVES
if STORAGE is not None and CONFIG.data.name == "cifar10":
    IMAGES = cifar10_files()
if CONFIG.data.max_corrupt:
    DATASET["max_corrupt"] = CONFIG.data.max_corrupt


# Files that exist already belong to the user: no rule here replaces them.
MISSING_WEIGHTS = {place: file for place, file in CONFIG.files().items() if not os.path.exists(place)}
if STORAGE is not None:  # whether a file is in the storage is not looked up here
    MISSING_WEIGHTS = {place: file for place, file in CONFIG.files().items() if file.url or file.repo}
TRAINED_ENCODERS = [name for name, space in CONFIG.spaces.items() if space.encoder.kind == "kl"]
IMPORTED_SPACES = [name for name, space in CONFIG.spaces.items() if space.imported and space.decodes]
ALONE = [name for name, space in CONFIG.spaces.items() if not space.decodes]
ENCODED_SPACES = [name for name in SPACES if name not in (*IMPORTED_SPACES, *ALONE)]


# On the machine that Snakemake runs on: compute nodes often have no internet.
rule fetch_weights:
    output:
        "{weights}",
    log:
        "<logs>/fetch/{weights}.log",
    benchmark:
        "<benchmarks>/fetch/{weights}.tsv"
    wildcard_constraints:
        weights=as_constraint(MISSING_WEIGHTS),
    priority: 1000
    localrule: True
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        **resources_of("data"),
    params:
        file=lambda w: as_json({**slice_of(MISSING_WEIGHTS[w.weights]), "path": w.weights}),
    message:
        "Fetching {wildcards.weights}"
    shell:
        "python -m twostage.fetch {params.file:q} > {log:q} 2>&1"


if CONFIG.data.name == "cifar10" and IMAGES and (STORAGE is not None or not os.path.exists(IMAGES[0])):

    rule fetch_images:
        output:
            IMAGES,
        log:
            "<logs>/fetch/images.log",
        benchmark:
            "<benchmarks>/fetch/images.tsv"
        priority: 1000
        localrule: True
        conda:
            ENVIRONMENT
        threads: 1
        resources:
            **resources_of("data"),
        params:
            dataset=as_json(DATASET),
        message:
            "Downloading CIFAR-10"
        shell:
            "python -m twostage.data download --dataset {params.dataset:q} > {log} 2>&1"


if CONFIG.data.name == "image_folder":

    # Reads bytes and decodes no image: minutes for a million files. If the index does not change, it keeps its time
    # stamp.
    rule index:
        input:
            archives=ARCHIVES,
        output:
            update("<results>/data/index.csv"),
        log:
            "<logs>/index.log",
        benchmark:
            "<benchmarks>/index.tsv"
        priority: 1000
        localrule: True
        conda:
            ENVIRONMENT
        threads: 4
        resources:
            **resources_of("data"),
        params:
            dataset=as_json(
                {key: DATASET[key] for key in ("name", "path", "held_out_path", "classes") if key in DATASET}
            ),
        message:
            "Indexing the images"
        shell:
            "python -m twostage.data index --dataset {params.dataset:q} --threads {threads} --output {output}"
            " > {log} 2>&1 || {{ tail -n 1 {log} >&2; exit 1; }}; grep '^warning: ' {log} >&2 || true"

    # A job of its own, because every image is decoded once. An image that is in the table already is not decoded again.
    rule contents:
        input:
            "<results>/data/index.csv",
            *ARCHIVES,
        output:
            update("<results>/data/contents.csv"),
        log:
            "<logs>/contents.log",
        benchmark:
            "<benchmarks>/contents.tsv"
        priority: 1000
        conda:
            ENVIRONMENT
        threads: CONFIG.jobs.data.threads
        resources:
            **resources_of("data"),
        params:
            # Only what the pixels depend on: another split of the same images needs no new table.
            dataset=as_json({key: value for key, value in DATASET.items() if key in PIXELS}),
        message:
            "Looking for copies among the images"
        shell:
            "python -m twostage.data contents --dataset {params.dataset:q} --index {input} --threads {threads}"
            " --output {output}"
            " > {log} 2>&1 || {{ tail -n 1 {log} >&2; exit 1; }}; grep '^warning: ' {log} >&2 || true"


rule autoencoder:
    input:
        images=IMAGES,
        # ancient: if the classifier is trained again, the autoencoder and all models after it need not be.
        features=lambda w: (
            ancient(f"results/{CONFIG.run}/evaluation/classifier/features.npy")
            if CONFIG.spaces[w.space].encoder.align_weight
            else []
        ),
    output:
        weights="<results>/data/{space}/encoder.safetensors",
        quality="<results>/data/{space}/reconstruction.json",
    log:
        "<logs>/autoencoder/{space}.log",
    benchmark:
        "<benchmarks>/autoencoder/{space}.tsv"
    wildcard_constraints:
        space=as_constraint(TRAINED_ENCODERS),
    priority: 100
    conda:
        ENVIRONMENT
    threads: CONFIG.jobs.data.threads
    resources:
        **resources_of("data"),
    params:
        dataset=as_json(DATASET),
        encoder=lambda w: as_json(encoder_of(w.space)),
        features=lambda w, input: f"--features {input.features}" if input.features else "",
        seed=CONFIG.seed,
        device=device_of("data"),
    message:
        "Training the autoencoder of latent space {wildcards.space}"
    shell:
        "python -m twostage.data autoencoder --dataset {params.dataset:q} --encoder {params.encoder:q}"
        " {params.features} --seed {params.seed} --threads {threads} --device {params.device} --output {output.weights}"
        " > {log} 2>&1 || {{ tail -n 1 {log} >&2; exit 1; }}"


if CONFIG.data.shards == 1:

    rule encode:
        input:
            weights=encoder_weights,
            images=IMAGES,
        output:
            latents="<results>/data/{space}/latents.h5",
            held_out="<results>/data/{space}/held_out.h5",
        log:
            "<logs>/encode/{space}.log",
        benchmark:
            "<benchmarks>/encode/{space}.tsv"
        wildcard_constraints:
            space=as_constraint(ENCODED_SPACES),
        priority: 100
        conda:
            ENVIRONMENT
        threads: CONFIG.jobs.data.threads
        resources:
            **resources_of("data"),
        params:
            images=encoding_arguments,
        message:
            "Encoding the images into latent space {wildcards.space}"
        shell:
            "python -m twostage.data encode {params.images} --threads {threads} --split train"
            " --output {output.latents} --held-out {output.held_out}"
            " > {log} 2>&1 || {{ tail -n 1 {log} >&2; exit 1; }}; grep '^warning: ' {log} >&2 || true"

else:
    # Held-out images are few, so one job encodes them.
    SHARDS = {"train": CONFIG.data.shards, "held_out": 1}

    rule encode_shard:
        input:
            weights=encoder_weights,
            images=IMAGES,
        output:
            "<results>/data/{space}/shards/{split}-{shard}.h5",
        log:
            "<logs>/encode/{space}-{split}-{shard}.log",
        benchmark:
            "<benchmarks>/encode/{space}-{split}-{shard}.tsv"
        wildcard_constraints:
            split="train|held_out",
            space=as_constraint(ENCODED_SPACES),
        priority: 100
        conda:
            ENVIRONMENT
        threads: CONFIG.jobs.data.threads
        resources:
            **resources_of("data"),
        params:
            images=encoding_arguments,
            shard=lambda w: f"{int(w.shard) + 1}/{SHARDS[w.split]}",
        message:
            "Encoding shard {wildcards.shard} of the {wildcards.split} images into latent space {wildcards.space}"
        shell:
            "python -m twostage.data encode {params.images} --threads {threads} --split {wildcards.split}"
            " --shard {params.shard} --output {output}"
            " > {log} 2>&1 || {{ tail -n 1 {log} >&2; exit 1; }}; grep '^warning: ' {log} >&2 || true"

    rule join:
        input:
            train=expand("<results>/data/{{space}}/shards/train-{shard}.h5", shard=range(SHARDS["train"])),
            held_out=expand("<results>/data/{{space}}/shards/held_out-{shard}.h5", shard=range(SHARDS["held_out"])),
        output:
            latents="<results>/data/{space}/latents.h5",
            held_out="<results>/data/{space}/held_out.h5",
        log:
            "<logs>/join/{space}.log",
        benchmark:
            "<benchmarks>/join/{space}.tsv"
        wildcard_constraints:
            space=as_constraint(ENCODED_SPACES),
        conda:
            ENVIRONMENT
        threads: 1
        resources:
            **resources_of("data"),
        message:
            "Joining the shards of latent space {wildcards.space}"
        shell:
            "(python -m twostage.data join --shards {input.train} --output {output.latents} &&"
            " python -m twostage.data join --shards {input.held_out} --statistics {output.latents}"
            " --output {output.held_out})"
            " > {log} 2>&1 || {{ tail -n 1 {log} >&2; exit 1; }}"


# Training latents that were made elsewhere, instead of encoding the training images.
rule import_latents:
    input:
        weights=encoder_weights,
        images=IMAGES,
    output:
        latents="<results>/data/{space}/latents.h5",
        held_out="<results>/data/{space}/held_out.h5",
    log:
        "<logs>/import_latents/{space}.log",
    benchmark:
        "<benchmarks>/import_latents/{space}.tsv"
    wildcard_constraints:
        space=as_constraint(IMPORTED_SPACES),
    priority: 100
    conda:
        ENVIRONMENT
    threads: CONFIG.jobs.data.threads
    resources:
        **resources_of("data"),
    params:
        latents=lambda w: import_arguments(w.space),
        images=encoding_arguments,
    message:
        "Importing the latents of latent space {wildcards.space}"
    shell:
        "(python -m twostage.data import {params.latents} --weights {input.weights:q} --threads {threads}"
        " --output {output.latents} &&"
        " python -m twostage.data encode {params.images} --threads {threads} --split held_out"
        " --statistics {output.latents} --output {output.held_out})"
        " > {log} 2>&1 || {{ tail -n 1 {log} >&2; exit 1; }}"


# Latents without an encoder: nothing can make held-out latents.
rule import_alone:
    output:
        "<results>/data/{space}/latents.h5",
    log:
        "<logs>/import_latents/{space}.log",
    benchmark:
        "<benchmarks>/import_latents/{space}.tsv"
    wildcard_constraints:
        space=as_constraint(ALONE),
    priority: 100
    conda:
        ENVIRONMENT
    threads: CONFIG.jobs.data.threads
    resources:
        **resources_of("data"),
    params:
        latents=lambda w: import_arguments(w.space),
    message:
        "Importing the latents of latent space {wildcards.space}"
    shell:
        "python -m twostage.data import {params.latents} --threads {threads} --output {output}"
        " > {log} 2>&1 || {{ tail -n 1 {log} >&2; exit 1; }}"
