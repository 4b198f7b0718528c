# Posteriors over unit Gaussians for several D and N (Fig. 3).


rule synthetic:
    output:
        top1="<results>/synthetic/top1.csv",
        law="<results>/synthetic/law.csv",
        transition="<results>/synthetic/transition.csv",
        information="<results>/synthetic/information.csv",
    log:
        "<logs>/synthetic.log",
    benchmark:
        "<benchmarks>/synthetic.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.jobs.synthetic.threads
    resources:
        **resources_of("synthetic"),
    params:
        synthetic=slice_of(CONFIG.synthetic),
        seed=CONFIG.seed,
        code=code_of("twostage.oracle.panels"),
        state=lambda w, output: f"{Path(output.top1).parent}/state",
    message:
        "Sampling posteriors over unit Gaussians"
    script:
        "../scripts/synthetic.py"
