# The exact posterior over the training latents, the transition (measured, and predicted by the law), and the
# information that x_t carries about x_1.


rule posterior:
    input:
        latents="<results>/data/{space}/latents.h5",
    output:
        posterior="<results>/oracle/{space}/posterior.csv",
        transition="<results>/oracle/{space}/transition.json",
        law="<results>/oracle/{space}/law.csv",
        information="<results>/oracle/{space}/information.csv",
    log:
        "<logs>/posterior/{space}.log",
    benchmark:
        "<benchmarks>/posterior/{space}.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.jobs.oracle.threads
    resources:
        **resources_of("oracle"),
    params:
        oracle=posterior_settings(),
        seed=CONFIG.seed,
        device=device_of("oracle"),
        code=code_of("twostage.oracle.study"),
    message:
        "Measuring the oracle posterior in latent space {wildcards.space}"
    script:
        "../scripts/posterior.py"


# The stage split, measured or fixed, in the one file from which samples, figures and claims read it. A rule of its own,
# so that a change of a fixed split runs only the jobs that use it.
rule split:
    input:
        transition="<results>/oracle/{space}/transition.json",
    output:
        "<results>/oracle/{space}/split.json",
    log:
        "<logs>/split/{space}.log",
    benchmark:
        "<benchmarks>/split/{space}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        **resources_of("report"),
    params:
        fixed=SPLIT,
        code=code_of("twostage.split"),
    message:
        "Writing the stage split of latent space {wildcards.space}"
    script:
        "../scripts/split.py"


# Intervals from the data, for plans whose guidance acts on one of them.
rule windows:
    input:
        law="<results>/oracle/{space}/law.csv",
        information="<results>/oracle/{space}/information.csv",
    output:
        "<results>/oracle/{space}/windows.json",
    log:
        "<logs>/windows/{space}.log",
    benchmark:
        "<benchmarks>/windows/{space}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        **resources_of("report"),
    params:
        named=lambda w: windows_named(name for name in PLANS if w.space in spaces_of(name)),
        code=code_of("twostage.windows"),
    message:
        "Finding the windows of the data in latent space {wildcards.space}"
    script:
        "../scripts/windows.py"


if CONFIG.settling:

    # The images drawn from each class, and those that Fig. 5 follows, where it runs.
    rule settle:
        input:
            latents="<results>/data/{space}/latents.h5",
            weights=encoder_weights,
            followed=followed_images,
        output:
            table="<results>/oracle/{space}/settling.csv",
            pictures="<results>/oracle/{space}/settling.h5",
        log:
            "<logs>/settle/{space}.log",
        benchmark:
            "<benchmarks>/settle/{space}.tsv"
        conda:
            ENVIRONMENT
        threads: CONFIG.jobs.oracle.threads
        resources:
            **resources_of("oracle"),
        params:
            settling=slice_of(CONFIG.settling),
            memory_mb=CONFIG.oracle.memory_mb,
            encoder=lambda w: encoder_of(w.space) if CONFIG.spaces[w.space].decodes else None,
            seed=CONFIG.seed,
            device=device_of("oracle"),
            code=code_of("twostage.oracle.single_images"),
        message:
            "Measuring when the posterior settles on single images in latent space {wildcards.space}"
        script:
            "../scripts/settle.py"


rule vary_size:
    input:
        latents="<results>/data/{space}/latents.h5",
    output:
        "<results>/oracle/{space}/nsweep.csv",
    log:
        "<logs>/vary_size/{space}.log",
    benchmark:
        "<benchmarks>/vary_size/{space}.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.jobs.oracle.threads
    resources:
        **resources_of("oracle"),
    params:
        nsweep=slice_of(CONFIG.nsweep),
        memory_mb=CONFIG.oracle.memory_mb,
        seed=CONFIG.seed,
        device=device_of("oracle"),
        code=code_of("twostage.oracle.study"),
    message:
        "Varying N in latent space {wildcards.space}"
    script:
        "../scripts/vary_size.py"
