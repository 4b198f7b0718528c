# Figures, tables and claims; the report itself is the Snakefile's. A figure is a module of twostage.report, a caption and
# a line in FIGURES.

TRANSITION = {"transition": "oracle/{space}/transition.json"}
SPLITS = {"split": "oracle/{space}/split.json"}
LOSSES = {"oracle_loss": "training/{space}/oracle_loss.csv"}
SYNTHETIC = {"synthetic_curves": "synthetic/law.csv", "synthetic_transition": "synthetic/transition.csv"}
MIXED = {
    name: {
        "pictures": f"evaluation/{{space}}/{name}-pictures.h5",
        "memorization": f"evaluation/{{space}}/{name}-memorization.csv",
    }
    | SPLITS
    for name in ("fig5", "fig6")
}
# What each figure reads; a {space} makes one file a latent space, {each} one a plan or model.
ALWAYS = {
    "fig2": {"posterior": "oracle/{space}/posterior.csv"} | TRANSITION | SPLITS,
    "fig3": {"top1": "synthetic/top1.csv"},
    "fig7": LOSSES | SPLITS,
    "fig9": LOSSES | SPLITS,
    "law": {"curves": "oracle/{space}/law.csv"} | SYNTHETIC | TRANSITION,
    "nsweep": {"nsweep": "oracle/{space}/nsweep.csv"},
    "fig_training": {"stats": "training/{space}/{each}/stats.jsonl", "samples": "training/{space}/samples.h5"},
}
OF_EXPERIMENTS = {
    "fig8": {"trajectories": "samples/{space}/fig8.csv", "pictures": "samples/{space}/{each}/trajectory.h5"} | SPLITS,
    **MIXED,
    "fig_samples": {"pictures": "evaluation/{space}/fig_samples-pictures.h5"},
    "fig_oracle_supervised": {"evaluation": "evaluation/{space}/fig_oracle_supervised.csv"} | LOSSES | SPLITS,
}
EACH = PLANS | {"fig_training": trained_models}
FIGURES = ALWAYS | {name: sources for name, sources in OF_EXPERIMENTS.items() if name in EXPERIMENTS}
if not spaces_of("fig_training"):
    del FIGURES["fig_training"]
if "tab2" in EXPERIMENTS:
    FIGURES["fig_shift"] = SPLITS
if {"fig5", "fig6"} <= set(EXPERIMENTS):
    FIGURES["fig_memorization"] = {
        "memorization_switch": MIXED["fig5"]["memorization"],
        "memorization_resume": MIXED["fig6"]["memorization"],
    } | SPLITS
if CONFIG.flux:
    FIGURES["fig_flux"] = {"trajectories": "samples/flux.csv", "pictures": "samples/flux.h5"}
# App. E: what was run in every latent space, side by side.
IN_EVERY_SPACE = {
    "trajectories": OF_EXPERIMENTS["fig8"]["trajectories"],
    "memorization_switch": MIXED["fig5"]["memorization"],
    "tab1": "evaluation/{space}/tab1.csv",
    "tab2": "evaluation/{space}/tab2.csv",
}
if len(SPACES) > 1:
    FIGURES["fig_spaces"] = (
        {"posterior": "oracle/{space}/posterior.csv"}
        | LOSSES
        | TRANSITION
        | SPLITS
        | {
            keyword: source
            for keyword, source in IN_EVERY_SPACE.items()
            if [spaces_of(experiment) for experiment in experiments_in(source)] == [SPACES]
        }
    )
TABLES = {
    name: {"evaluation": f"evaluation/{{space}}/{name}.csv"} | ({} if name == "tab1" else SPLITS)
    for name in EXPERIMENTS
    if name.startswith("tab")
}
CLAIMS = (
    {
        "posterior": "oracle/{space}/posterior.csv",
        "curves": "oracle/{space}/law.csv",
        "nsweep": "oracle/{space}/nsweep.csv",
        "top1": "synthetic/top1.csv",
    }
    | ({"flux": FIGURES["fig_flux"]["trajectories"]} if CONFIG.flux else {})
    | SYNTHETIC
    | LOSSES
    | {"pair_errors": "training/{space}/oracle_loss.h5"}
    | TRANSITION
    | SPLITS
)
SETTINGS = dict.fromkeys(["fig7", "fig9", "fig_spaces"], {"models": CONFIG.sizes})
if "tab2" in EXPERIMENTS:
    SETTINGS["fig_shift"] = {"steps": CONFIG.sampling.steps, "shifts": EXPERIMENTS["tab2"]["shifts"]}

if "fig_oracle_supervised" in EXPERIMENTS:
    plain, supervised = EXPERIMENTS["fig_oracle_supervised"]["models"]
    SETTINGS["fig_oracle_supervised"] = {"pairs": {supervised: plain}}
# What claims are checked on besides, where its experiment runs.
CLAIMS_OF_EXPERIMENTS = {
    "tab1": "evaluation/{space}/tab1.csv",
    "tab2": "evaluation/{space}/tab2.csv",
    "tab3": "evaluation/{space}/tab3.csv",
    "trajectories": "samples/{space}/fig8.csv",
    "memorization_switch": "evaluation/{space}/fig5-memorization.csv",
    "memorization_resume": "evaluation/{space}/fig6-memorization.csv",
    "oracle_supervised": "evaluation/{space}/fig_oracle_supervised.csv",
}
CLAIMS |= {keyword: source for keyword, source in CLAIMS_OF_EXPERIMENTS.items() if experiments_in(source)}
if "fig_oracle_supervised" in EXPERIMENTS:
    CLAIMS["supervised_log"] = f"training/{{space}}/{supervised}/stats.jsonl"

# Made when asked for by name, not by `all`.
ON_DEMAND = {"tab_reconstruction": {"reconstruction": "evaluation/{space}/reconstruction.csv"}}

for figure, sources in (FIGURES | TABLES | ON_DEMAND).items():

    rule:
        name:
            figure
        input:
            **result_paths(sources, spaces_by_source(figure, sources), EACH.get(figure, ())),
        output:
            **report_outputs(figure, "Figures" if figure in FIGURES else "Tables", sources),
        log:
            f"<logs>/report/{figure}.log",
        benchmark:
            f"<benchmarks>/report/{figure}.tsv"
        group:
            "drawing"
        conda:
            REPORT_ENVIRONMENT
        threads: CONFIG.jobs.report.threads
        resources:
            **resources_of("report"),
        params:
            spaces=spaces_by_source(figure, sources),
            order={"models": MODELS, "spaces": SPACES},
            settings=SETTINGS.get(figure, {}),
            figure=figure,
            caption=caption_of(figure),
            code=(code_of if figure in FIGURES else page_code_of)(f"twostage.report.{figure}"),
        message:
            f"Drawing {figure}"
        script:
            "../scripts/figure.py"


if "fig8" in FIGURES:

    # The paper's Fig. 4 is a part of its Fig. 8: one figure here.
    rule fig4:
        input:
            rules.fig8.output,


rule claims:
    input:
        **result_paths(CLAIMS, spaces_by_source("claims", CLAIMS)),
    output:
        **{kind: page_of("claims", kind, "Claims") for kind in ("json", "csv", "html")},
        beside=page_of("side_by_side", "html", "Side by side"),
        beside_csv=page_of("side_by_side", "csv", "Side by side"),
        interactive=page_of("interactive", "html", "Try it yourself"),
    log:
        "<logs>/report/claims.log",
    benchmark:
        "<benchmarks>/report/claims.tsv"
    group:
        "drawing"
    conda:
        REPORT_ENVIRONMENT
    threads: CONFIG.jobs.report.threads
    resources:
        **resources_of("report"),
    params:
        spaces=spaces_by_source("claims", CLAIMS),
        order={"spaces": SPACES},
        models=CONFIG.sizes,
        pairs=SETTINGS.get("fig_oracle_supervised", {}).get("pairs"),
        code=page_code_of(
            "twostage.report.claims",
            *(f"twostage.report.pages.{page}" for page in ("claims", "side_by_side", "interactive")),
        ),
    message:
        "Checking the paper's claims against this run"
    script:
        "../scripts/claims.py"


rule figures:
    input:
        [f"<results>/report/{name}.png" for name in FIGURES],


rule tables:
    input:
        [f"<results>/report/{name}.png" for name in TABLES],


# Before anything is spent: snakemake estimate, snakemake limits
rule estimate:
    log:
        "<logs>/estimate.log",
    localrule: True
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        **resources_of("report"),
    params:
        config=slice_of(CONFIG),
        plans=PLANS,
        targets=paths_below(FIGURES | TABLES | {"claims": CLAIMS}, EACH),
        on_demand=paths_below(ON_DEMAND, EACH),
    message:
        "Estimating what the run will cost"
    script:
        "../scripts/estimate.py"


rule limits:
    log:
        "<logs>/limits.log",
    localrule: True
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        **resources_of("report"),
    params:
        config=slice_of(CONFIG),
        plans=PLANS,
        targets=paths_below(FIGURES | TABLES | {"claims": CLAIMS}, EACH),
    message:
        "Estimating what each job asks for"
    script:
        "../scripts/limits.py"


# The pictures of the README, from committed results alone: `make results` publishes a run's and draws them again.
PUBLISHED = ("fig2", "fig7", "tab1")


rule picture:
    input:
        csv="docs/results/digits/{figure}.csv",
    output:
        png="docs/pictures/{figure}.png",
    log:
        "<logs>/report/picture-{figure}.log",
    benchmark:
        "<benchmarks>/report/picture-{figure}.tsv"
    wildcard_constraints:
        figure="|".join(PUBLISHED),
    localrule: True
    conda:
        REPORT_ENVIRONMENT
    threads: 1
    resources:
        **resources_of("report"),
    params:
        code=lambda w: provenance.code_of(f"twostage.report.{w.figure}"),
    message:
        "Drawing {wildcards.figure} for the README"
    script:
        "../scripts/pictures.py"


rule pictures:
    input:
        expand("docs/pictures/{figure}.png", figure=PUBLISHED),
