# twostage: every figure and table of "From Navigation to Refinement" (arXiv 2512.02826) as one workflow.
#   snakemake --cores all                                     scikit-learn's digits, on a laptop
#   snakemake --cores all --configfile config/cifar10.yaml    another scale
#   snakemake --profile slurm                                 on a cluster
#   snakemake --cores all fig3                                one figure; write the target before --configfile
#   snakemake --cores all replicates                          three runs with different seeds, side by side
from pathlib import Path

from snakemake.utils import min_version

min_version("9.10")


# A file given with --configfile replaces the default. If the two were merged, their latent spaces and models would add
# up. The default is in the folder of the run. With --directory that folder may have none; then the one beside the
# Snakefile is used.
DEFAULT = Path("config/config.yaml")
if not workflow.configfiles:

    configfile: DEFAULT if DEFAULT.exists() else f"{workflow.current_basedir}/{DEFAULT}"


report: "workflow/report/workflow.rst"


# Used only with --sdm apptainer (docs/slurm.md).
container: "envs/twostage.sif"


include: "workflow/rules/common.smk"
include: "workflow/rules/arguments.smk"


if "x-replicate" not in config:

    include: "workflow/rules/told.smk"
    include: "workflow/rules/start.smk"


include: "workflow/rules/data.smk"
include: "workflow/rules/oracle.smk"
include: "workflow/rules/synthetic.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/sampling.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: "x-replicate" not in config
    input:
        rules.report.output,


include: "workflow/rules/replicates.smk"
include: "workflow/rules/storage.smk"
include: "workflow/rules/others.smk"
