# The same configuration with other seeds, and the comparison of their claims. Only where it is asked for: a command or a
# job with "replicate" in its words. The rules of the others: others.smk.
from twostage.config.replicates import replicate

OTHERS = []
if "x-replicate" not in config and any("replicate" in word for word in sys.argv):
    OTHERS = [replicate(CONFIG, number) for number in range(1, CONFIG.replicates)]


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
