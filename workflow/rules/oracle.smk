# The exact posterior over the training latents, the transition measured from it and the one the law predicts.


rule posterior:
    input:
        latents="<results>/data/{space}/latents.h5",
    output:
        posterior="<results>/oracle/{space}/posterior.csv",
        transition="<results>/oracle/{space}/transition.json",
        law="<results>/oracle/{space}/law.csv",
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
        oracle=slice_of(CONFIG.oracle),
        seed=CONFIG.seed,
        device=device_of("oracle"),
        code=code_of("twostage.oracle.study"),
    message:
        "Measuring the oracle posterior in latent space {wildcards.space}"
    script:
        "../scripts/posterior.py"


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
