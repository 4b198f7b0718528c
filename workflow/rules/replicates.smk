# The same configuration with other seeds: every rule once more per replicate, as a module, in one DAG with this run's.
# Only where it is asked for: a command or a job with "replicate" in its words.
from twostage.config.replicates import replicate

OTHERS = []
if "x-replicate" not in config and any("replicate" in word for word in sys.argv):
    OTHERS = [replicate(CONFIG, number) for number in range(1, CONFIG.replicates)]

for number, other in enumerate(OTHERS, 1):
    others_name, prefix = f"replicate{number}", f"replicate{number}_"

    module:
        name: others_name
        snakefile:
            "../../Snakefile"
        config:
            other | {"x-replicate": True}

    # What belongs to no run, such as fetched weights, has one rule.
    use rule * from others_name exclude fetch_weights, fetch_images, fetch_flux, estimate, limits, picture, pictures, replicates as prefix*


rule replicates:
    input:
        "<results>/report/claims.json",
        [f"results/{other['run']}/report/claims.json" for other in OTHERS],
    output:
        csv="<results>/report/replicates.csv",
        html="<results>/report/replicates.html",
    log:
        "<logs>/report/replicates.log",
    benchmark:
        "<benchmarks>/report/replicates.tsv"
    localrule: True
    conda:
        REPORT_ENVIRONMENT
    threads: 1
    resources:
        **resources_of("report"),
    params:
        config=slice_of(CONFIG),
        code=page_code_of("twostage.report.pages.replicates"),
    message:
        "Comparing this run with its replicates"
    script:
        "../scripts/replicates.py"
