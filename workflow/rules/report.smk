# Figures, tables, claims and the report. A figure is a module of twostage.report, a caption and a line in FIGURES.

FIGURES = {
    "fig2": {"posterior": "oracle/{space}/posterior.csv", "transition": "oracle/{space}/transition.json"},
    "fig3": {"top1": "synthetic/top1.csv"},
    "fig7": {"oracle_loss": "training/{space}/oracle_loss.csv", "transition": "oracle/{space}/transition.json"},
    "fig9": {"oracle_loss": "training/{space}/oracle_loss.csv", "transition": "oracle/{space}/transition.json"},
    "law": {
        "curves": "oracle/{space}/law.csv",
        "transition": "oracle/{space}/transition.json",
        "synthetic_curves": "synthetic/law.csv",
        "synthetic_transition": "synthetic/transition.csv",
    },
}
TABLES = {name: {"evaluation": f"evaluation/{{space}}/{name}.csv"} for name in EXPERIMENTS if name.startswith("tab")}

for figure, sources in (FIGURES | TABLES).items():

    rule:
        name:
            figure
        input:
            **result_paths(figure, sources),
        output:
            pdf=f"<results>/report/{figure}.pdf",
            png=report(
                f"<results>/report/{figure}.png",
                caption=f"../report/{figure}.rst",
                category="Tables" if figure in TABLES else "Figures",
                labels={"item": figure, "file": "picture"},
            ),
            csv=report(
                f"<results>/report/{figure}.csv",
                caption=f"../report/{figure}.rst",
                category="Tables" if figure in TABLES else "Figures",
                labels={"item": figure, "file": "numbers drawn"},
            ),
        log:
            f"<logs>/report/{figure}.log",
        benchmark:
            f"<benchmarks>/report/{figure}.tsv"
        params:
            spaces=spaces_of(figure),
            code=code_of(f"twostage.report.{figure}"),
        threads: CONFIG.jobs.report.threads
        resources:
            **resources_of("report"),
        conda:
            REPORT_ENVIRONMENT
        message:
            f"Drawing {figure}"
        script:
            "../scripts/figure.py"
