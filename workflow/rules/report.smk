# Figures, tables, claims and the report. A figure is a module of twostage.report, a caption and a line in FIGURES.

TRANSITION = {"transition": "oracle/{space}/transition.json"}
LOSSES = {"oracle_loss": "training/{space}/oracle_loss.csv"}
FIGURES = {
    "fig2": {"posterior": "oracle/{space}/posterior.csv"} | TRANSITION,
    "fig3": {"top1": "synthetic/top1.csv"},
    "fig7": LOSSES | TRANSITION,
    "fig9": LOSSES | TRANSITION,
    "law": {
        "curves": "oracle/{space}/law.csv",
        "synthetic_curves": "synthetic/law.csv",
        "synthetic_transition": "synthetic/transition.csv",
    }
    | TRANSITION,
    "nsweep": {"nsweep": "oracle/{space}/nsweep.csv"},
}
TABLES = {
    name: {"evaluation": f"evaluation/{{space}}/{name}.csv"} | TRANSITION
    for name in EXPERIMENTS
    if name.startswith("tab")
}
CLAIMS = (
    {
        "posterior": "oracle/{space}/posterior.csv",
        "curves": "oracle/{space}/law.csv",
        "nsweep": "oracle/{space}/nsweep.csv",
        "top1": "synthetic/top1.csv",
        "synthetic_curves": "synthetic/law.csv",
        "synthetic_transition": "synthetic/transition.csv",
    }
    | LOSSES
    | TRANSITION
)
SETTINGS = {"fig7": {"models": MODELS, "split": SPLIT}, "fig9": {"models": MODELS, "split": SPLIT}}

for figure, sources in (FIGURES | TABLES).items():

    rule:
        name:
            figure
        input:
            **result_paths(sources, spaces_of(figure)),
        output:
            **report_outputs(figure, "Tables" if figure in TABLES else "Figures"),
        log:
            f"<logs>/report/{figure}.log",
        benchmark:
            f"<benchmarks>/report/{figure}.tsv"
        conda:
            REPORT_ENVIRONMENT
        threads: CONFIG.jobs.report.threads
        resources:
            **resources_of("report"),
        params:
            spaces=spaces_of(figure),
            settings=SETTINGS.get(figure, {}),
            code=code_of(f"twostage.report.{figure}"),
        message:
            f"Drawing {figure}"
        script:
            "../scripts/figure.py"


rule claims:
    input:
        **result_paths(CLAIMS, SPACES),
        **{name: path for table in TABLES for name, path in table_paths(table).items()},
    output:
        json="<results>/report/claims.json",
        csv="<results>/report/claims.csv",
        html=report("<results>/report/claims.html", caption="../report/claims.rst", category="Claims"),
    log:
        "<logs>/report/claims.log",
    benchmark:
        "<benchmarks>/report/claims.tsv"
    conda:
        REPORT_ENVIRONMENT
    threads: CONFIG.jobs.report.threads
    resources:
        **resources_of("report"),
    params:
        spaces={"all": SPACES} | {table: spaces_of(table) for table in TABLES},
        models=MODELS,
        split=SPLIT,
        code=code_of("twostage.report.claims"),
    message:
        "Checking the paper's claims against this run"
    script:
        "../scripts/claims.py"


rule report:
    input:
        rules.claims.output,
        [f"<results>/report/{name}.png" for name in FIGURES | TABLES],
    output:
        report="<results>/report.html",
        config="<results>/config.yaml",
    log:
        "<logs>/report/report.log",
    benchmark:
        "<benchmarks>/report/report.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        **resources_of("report"),
    params:
        # The one rule that sees the whole configuration: it writes it beside the results.
        config=slice_of(CONFIG),
        snakefile=workflow.main_snakefile,
        targets=["claims", *FIGURES, *TABLES],
    message:
        "Building the report"
    script:
        "../scripts/report.py"


rule figures:
    input:
        [f"<results>/report/{name}.png" for name in FIGURES],


rule tables:
    input:
        [f"<results>/report/{name}.png" for name in TABLES],
