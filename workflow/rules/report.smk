# Figures, tables, claims and the report. A figure is a module of twostage.report.figures, a caption and a line in
# FIGURES.

from twostage.report.results.sources import SOURCES, paths_of

LAW = paths_of("transition", "synthetic_transition") | {
    "curves": "oracle/{space}/law.csv",
    "synthetic_curves": "synthetic/law.csv",
}
PICTURES = "evaluation/{{space}}/{}-pictures.h5"
# What each figure reads. {space} stands for one file per latent space, {each} for one per plan or model.
ALWAYS = {
    "fig2": paths_of("posterior", "transition", "split"),
    "fig3": paths_of("top1"),
    "fig7": paths_of("oracle_loss", "split"),
    "fig9": paths_of("oracle_loss", "split", "pair_errors", "posterior", "transition"),
    "law": LAW,
    "nsweep": paths_of("nsweep"),
    "fig_information": paths_of("information", "synthetic_information"),
    "fig_norms": paths_of("pair_errors", "split"),
    "fig_training": {"stats": "training/{space}/{each}/stats.jsonl", "samples": "training/{space}/samples.h5"},
}
OF_EXPERIMENTS = {
    "fig8": paths_of("trajectories", "split") | {"pictures": "samples/{space}/{each}/trajectory.h5"},
    **{
        name: paths_of("split") | {"pictures": PICTURES.format(name), "memorization": SOURCES[memorization].path}
        for name, memorization in (("fig5", "memorization_switch"), ("fig6", "memorization_resume"))
    },
    "fig_references": paths_of("references", "split"),
    "fig_samples": {"pictures": PICTURES.format("fig_samples")},
    "fig_jump": paths_of("jump", "memorization_jump", "transition", "split", "information"),
    "fig_oracle_supervised": paths_of("oracle_loss", "split") | {"evaluation": SOURCES["oracle_supervised"].path},
}
EACH = PLANS | {"fig_training": trained_models}
FIGURES = ALWAYS | {name: sources for name, sources in OF_EXPERIMENTS.items() if name in EXPERIMENTS}
if not spaces_of("fig_training"):
    del FIGURES["fig_training"]
if "tab2" in EXPERIMENTS:
    FIGURES["fig_shift"] = paths_of("split")
if {"fig5", "fig6"} <= set(EXPERIMENTS):
    FIGURES["fig_memorization"] = paths_of("memorization_switch", "memorization_resume", "split")
if CONFIG.settling:
    FIGURES["fig_settling"] = paths_of("settling") | {"pictures": "oracle/{space}/settling.h5"}
    if "fig5" in EXPERIMENTS:
        FIGURES["fig_settling"] |= paths_of("followed_images")
if CONFIG.flux:
    FIGURES["fig_flux"] = {"trajectories": SOURCES["flux"].path, "pictures": "samples/flux.h5"}
# App. E: experiments that ran in every latent space, side by side.
IN_EVERY_SPACE = paths_of("trajectories", "memorization_switch", "tab1", "tab2")
if len(SPACES) > 1:
    FIGURES["fig_spaces"] = paths_of("posterior", "oracle_loss", "transition", "split") | {
        keyword: source
        for keyword, source in IN_EVERY_SPACE.items()
        if [spaces_of(experiment) for experiment in experiments_in(source)] == [SPACES]
    }
TABLES = {
    name: {"evaluation": f"evaluation/{{space}}/{name}.csv"} | ({} if name == "tab1" else paths_of("split"))
    for name in EXPERIMENTS
    if name.startswith("tab")
}
SETTINGS = dict.fromkeys(["fig7", "fig9", "fig_norms", "fig_references"], {"models": CONFIG.shown})
SETTINGS["fig_spaces"] = {"models": CONFIG.sizes}
if "tab2" in EXPERIMENTS:
    SETTINGS["fig_shift"] = {"steps": CONFIG.sampling.steps, "shifts": EXPERIMENTS["tab2"]["shifts"]}

if "fig_oracle_supervised" in EXPERIMENTS:
    plain, supervised = EXPERIMENTS["fig_oracle_supervised"]["models"]
    SETTINGS["fig_oracle_supervised"] = {"pairs": {supervised: plain}}
# The results on which claims are checked: those of every run, and those of its experiments.
MADE = {None, *EXPERIMENTS} | {name for name in ("flux", "settling") if getattr(CONFIG, name)}
CLAIMS = {name: source.path for name, source in SOURCES.items() if source.experiment in MADE}
if "supervised_log" in CLAIMS:
    CLAIMS["supervised_log"] = CLAIMS["supervised_log"].replace("{supervised}", supervised)

# Made when requested by name, not by `all`.
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
            code=(code_of if figure in FIGURES else page_code_of)(f"twostage.report.figures.{figure}"),
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
        replicates=published_replicates,
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
        aligned=CONFIG.aligned,
        code=page_code_of(
            "twostage.report.claims.verdicts",
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


# The distances of each class, made when requested.
PER_CLASS = [f"evaluation/{space}/classes/{name}.csv" for name in SAMPLED for space in spaces_of(name)]


rule per_class:
    input:
        [f"<results>/{table}" for table in PER_CLASS],


# Before anything is computed: snakemake estimate, snakemake limits
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
        on_demand=paths_below(ON_DEMAND, EACH) | {"per_class": PER_CLASS},
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
        "Estimating what each job requests"
    script:
        "../scripts/limits.py"


# The pictures of the README and the docs, drawn from committed results alone. `make results` publishes the results of a
# run and draws them.
PUBLISHED = ("digits/fig2", "digits/fig7", "digits/tab1", "cifar10_cpu/fig_jump", "cifar10_cpu/fig9")


# One wildcard, not a run and a figure: of each run only its own figures are shown.
rule picture:
    input:
        csv="docs/results/{picture}.csv",
    output:
        png="docs/pictures/{picture}.png",
    log:
        "<logs>/report/picture/{picture}.log",
    benchmark:
        "<benchmarks>/report/picture/{picture}.tsv"
    wildcard_constraints:
        picture=as_constraint(PUBLISHED),
    localrule: True
    conda:
        REPORT_ENVIRONMENT
    threads: 1
    resources:
        **resources_of("report"),
    params:
        code=lambda w: provenance.code_of(f"twostage.report.figures.{Path(w.picture).name}"),
    message:
        "Drawing {wildcards.picture} for the documentation"
    script:
        "../scripts/pictures.py"


rule pictures:
    input:
        [f"docs/pictures/{name}.png" for name in PUBLISHED],


rule report:
    input:
        rules.claims.output,
        claims=rules.claims.output.json,
        figures=[f"<results>/report/{name}.png" for name in FIGURES | TABLES],
    output:
        report="<results>/report.html",
        overview="<results>/report/overview.html",
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
        snakefile=os.path.relpath(f"{SOURCE}/../Snakefile"),
        figures={name: part_of(sources.values()) for name, sources in (FIGURES | TABLES).items()},
        stages=stage_of_rule(),
        code=page_code_of("twostage.report.pages.overview"),
    message:
        "Building {output.report}"
    script:
        "../scripts/report.py"
