# twostage: every figure and table of "From Navigation to Refinement" (arXiv 2512.02826) as one workflow.
#   snakemake --cores all                                     scikit-learn's digits, on a laptop
#   snakemake --cores all --configfile config/cifar10.yaml    another scale
#   snakemake --profile slurm                                 on a cluster
#   snakemake --cores all fig3                                one figure
from snakemake.utils import min_version

min_version("9.10")


# A file given with --configfile replaces the default; merged, its latent spaces and models would add up.
if not workflow.configfiles:

    configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/start.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/oracle.smk"
include: "workflow/rules/synthetic.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/sampling.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        rules.report.output,
    message:
        "Everything is made; open {input[0]}"
