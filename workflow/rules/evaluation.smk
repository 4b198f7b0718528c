# Features of images, and the distance of samples to the training images in these features.


GIVEN = CONFIG.evaluation.given_references


rule classifier:
    input:
        images=IMAGES,
    output:
        weights="<results>/evaluation/classifier/classifier.safetensors",
        accuracy="<results>/evaluation/classifier/accuracy.json",
        reference="<results>/evaluation/classifier/reference.npz",
    log:
        "<logs>/classifier.log",
    benchmark:
        "<benchmarks>/classifier.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.jobs.evaluation.threads
    resources:
        **resources_of("evaluation"),
    params:
        dataset=DATASET,
        classifier=slice_of(CONFIG.classifier),
        seed=CONFIG.seed,
        device=device_of("evaluation"),
        code=code_of("twostage.evaluation.classifier", "twostage.evaluation.reference"),
    message:
        "Training the classifier in whose features distances are measured"
    script:
        "../scripts/classifier.py"


EXTRACTOR_WEIGHTS = {**feature_weights(), "classifier": rules.classifier.output.weights}


# The features towards which an aligned autoencoder is trained.
rule classifier_features:
    input:
        classifier=rules.classifier.output.weights,
        images=IMAGES,
    output:
        "<results>/evaluation/classifier/features.npy",
    log:
        "<logs>/classifier_features.log",
    benchmark:
        "<benchmarks>/classifier_features.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.jobs.evaluation.threads
    resources:
        **resources_of("evaluation"),
    params:
        dataset=DATASET,
        device=device_of("evaluation"),
    message:
        "Computing the classifier's features of the training images"
    script:
        "../scripts/classifier_features.py"


rule reference:
    input:
        weights=lambda w: feature_weights()[w.features],
        images=IMAGES,
    output:
        "<results>/evaluation/{features}/reference.npz",
    log:
        "<logs>/reference/{features}.log",
    benchmark:
        "<benchmarks>/reference/{features}.tsv"
    wildcard_constraints:
        features="|".join(CONFIG.evaluation.published) or "none",
    conda:
        ENVIRONMENT
    threads: CONFIG.jobs.evaluation.threads
    resources:
        **resources_of("evaluation"),
    params:
        dataset=DATASET,
        device=device_of("evaluation"),
        code=code_of("twostage.evaluation.reference"),
    message:
        "Computing the {wildcards.features} features of the training images"
    script:
        "../scripts/reference.py"


# The held-out images instead of the training images, where the configuration asks for it.
rule held_out_reference:
    input:
        weights=lambda w: EXTRACTOR_WEIGHTS[w.features],
        images=IMAGES,
    output:
        "<results>/evaluation/{features}/held_out.npz",
    log:
        "<logs>/reference/{features}-held_out.log",
    benchmark:
        "<benchmarks>/reference/{features}-held_out.tsv"
    wildcard_constraints:
        features=as_constraint(CONFIG.evaluation.features),
    conda:
        ENVIRONMENT
    threads: CONFIG.jobs.evaluation.threads
    resources:
        **resources_of("evaluation"),
    params:
        dataset=DATASET,
        split="held_out",
        device=device_of("evaluation"),
        code=code_of("twostage.evaluation.reference"),
    message:
        "Computing the {wildcards.features} features of the held-out images"
    script:
        "../scripts/reference.py"


rule given_reference:
    input:
        given=lambda w: GIVEN[w.features].place,
        weights=lambda w: EXTRACTOR_WEIGHTS[w.features],
    output:
        "<results>/evaluation/{features}/given.npz",
    log:
        "<logs>/reference/{features}-given.log",
    benchmark:
        "<benchmarks>/reference/{features}-given.tsv"
    wildcard_constraints:
        features=as_constraint(GIVEN),
    priority: 1000
    conda:
        ENVIRONMENT
    threads: CONFIG.jobs.evaluation.threads
    resources:
        **resources_of("evaluation"),
    params:
        sha256=lambda w: GIVEN[w.features].sha256,
        device=device_of("evaluation"),
        code=code_of("twostage.evaluation.reference"),
    message:
        "Reading the reference in {wildcards.features} features from {input.given}"
    script:
        "../scripts/given_reference.py"


rule evaluate:
    input:
        **feature_weights(),
        **feature_references(),
        classifier=branch(
            "classifier" in CONFIG.evaluation.features,
            then=rules.classifier.output.weights,
            otherwise=[],
        ),
        samples=lambda w: [path for shards in sample_paths(w.space, w.experiment).values() for path in shards],
        images=IMAGES,
    output:
        table="<results>/evaluation/{space}/{experiment}.csv",
        settings="<results>/evaluation/{space}/{experiment}.json",
    log:
        "<logs>/evaluate/{experiment}/{space}.log",
    benchmark:
        "<benchmarks>/evaluate/{experiment}/{space}.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.jobs.evaluation.threads
    resources:
        **resources_of("evaluation"),
    params:
        dataset=DATASET,
        plans=lambda w: list(PLANS[w.experiment]),
        features=CONFIG.evaluation.features,
        device=device_of("evaluation"),
        code=code_of("twostage.evaluation.evaluate"),
    message:
        "Evaluating {wildcards.experiment} in latent space {wildcards.space}"
    script:
        "../scripts/evaluate.py"


# Each class by itself, when requested: one experiment's table by its path, or all of them (`per_class`).
rule class_distances:
    input:
        **feature_weights(),
        classifier=branch(
            "classifier" in CONFIG.evaluation.features, then=rules.classifier.output.weights, otherwise=[]
        ),
        samples=lambda w: [path for shards in sample_paths(w.space, w.experiment).values() for path in shards],
        images=IMAGES,
    output:
        table="<results>/evaluation/{space}/classes/{experiment}.csv",
    log:
        "<logs>/class_distances/{experiment}/{space}.log",
    benchmark:
        "<benchmarks>/class_distances/{experiment}/{space}.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.jobs.evaluation.threads
    resources:
        **resources_of("evaluation"),
    params:
        dataset=DATASET,
        plans=lambda w: list(PLANS[w.experiment]),
        features=CONFIG.evaluation.features,
        device=device_of("evaluation"),
        code=code_of("twostage.evaluation.per_class"),
    message:
        "Measuring each class of {wildcards.experiment} in latent space {wildcards.space}"
    script:
        "../scripts/class_distances.py"


rule memorization:
    input:
        **feature_weights(),
        classifier=branch(
            "classifier" in CONFIG.evaluation.features, then=rules.classifier.output.weights, otherwise=[]
        ),
        samples=lambda w: [path for shards in sample_paths(w.space, w.experiment).values() for path in shards],
        latents="<results>/data/{space}/latents.h5",
        held_out="<results>/data/{space}/held_out.h5",
        weights=encoder_weights,
    output:
        table="<results>/evaluation/{space}/{experiment}-memorization.csv",
        neighbours="<results>/evaluation/{space}/{experiment}-neighbours.csv",
        pictures="<results>/evaluation/{space}/{experiment}-pictures.h5",
    log:
        "<logs>/memorization/{experiment}/{space}.log",
    benchmark:
        "<benchmarks>/memorization/{experiment}/{space}.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.jobs.evaluation.threads
    resources:
        **resources_of("evaluation"),
    params:
        plans=lambda w: list(PLANS[w.experiment]),
        # A sheet of samples alone has room for more samples than a sheet with one column per plan.
        rows=lambda w: 36 if w.experiment == "fig_samples" else 8,
        encoder=lambda w: encoder_of(w.space),
        features=CONFIG.evaluation.features,
        control_images=CONFIG.evaluation.control_images,
        # The samples of a jump beside those of the model alone, from the same noise.
        beside=lambda w: "fig_jump-0" if w.experiment == "fig_jump" else None,
        device=device_of("evaluation"),
        code=code_of("twostage.evaluation.memorization", "twostage.evaluation.pictures"),
    message:
        "Looking for the training images nearest to the samples of {wildcards.experiment} in {wildcards.space}"
    script:
        "../scripts/memorization.py"


rule reconstruction:
    input:
        **feature_weights(),
        classifier=branch(
            "classifier" in CONFIG.evaluation.features, then=rules.classifier.output.weights, otherwise=[]
        ),
        weights=encoder_weights,
        images=IMAGES,
    output:
        "<results>/evaluation/{space}/reconstruction.csv",
    log:
        "<logs>/reconstruction/{space}.log",
    benchmark:
        "<benchmarks>/reconstruction/{space}.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.jobs.evaluation.threads
    resources:
        **resources_of("evaluation"),
    params:
        dataset=DATASET,
        encoder=lambda w: encoder_of(w.space),
        images=CONFIG.evaluation.reconstruction_images,
        features=CONFIG.evaluation.features,
        device=device_of("evaluation"),
        code=code_of("twostage.evaluation.reconstruction"),
    message:
        "Comparing reconstructions of latent space {wildcards.space} with their originals"
    script:
        "../scripts/reconstruction.py"


# For ADM's own evaluator, with labels: `snakemake results/{run}/samples/{space}/{plan}/adm-seed-0.npz`.
rule export:
    input:
        lambda w: [f"<results>/samples/{{space}}/{{plan}}/shard-{shard}.h5" for shard in range(CONFIG.sampling.shards)],
    output:
        "<results>/samples/{space}/{plan}/adm-seed-{seed}.npz",
    log:
        "<logs>/export/{space}-{plan}-{seed}.log",
    benchmark:
        "<benchmarks>/export/{space}-{plan}-{seed}.tsv"
    wildcard_constraints:
        plan="|".join(re.escape(plan) for name in SAMPLED for plan in PLANS[name]) or "none",
        seed=r"\d+",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        **resources_of("evaluation"),
    message:
        "Writing the samples of {wildcards.plan} as ADM's npz"
    shell:
        "python -m twostage.evaluation.export {input:q} --seed {wildcards.seed} --output {output:q} > {log} 2>&1"
