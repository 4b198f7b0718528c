# make demo: the environment, the whole workflow on scikit-learn's digits, results/digits/report.html
# make test: the environment, every test but the rehearsal
# make rehearsal: every target of config/imagenet256.yaml, small, on this machine's CPUs
# make limits: write into docs/scales.md what each job of config/imagenet256.yaml requests
# make replicates: two more digits runs with other seeds; which verdicts change, into docs/results.md
# make claims: write docs/claims.md, every claim beside the verdicts of all runs in docs/results
# make gpu: the checks that need a GPU, in 20 minutes on one; without one, small, on a pretended GPU
# make crate: the digits run as an RO-Crate, once its files have been verified; RUN=results/other for another run
# make docs: the documentation as a site
# make why: the jobs that a run would start now, with reasons; CONFIG=config/other.yaml for another configuration
PYTHON ?= python3
CORES ?= all
ENVIRONMENT := .venv/.installed
RUN ?= results/digits
REHEARSAL := tests/workflow/test_rehearsal.py

.PHONY: crate gpu demo test rehearsal lint lint-code lint-types lint-rules limits docs why results claims replicates lock clean

demo: $(ENVIRONMENT)
	.venv/bin/snakemake --cores $(CORES)

# Two processes in parallel, one thread each; each takes one test file at a time, the longest first.
test: $(ENVIRONMENT)
	OMP_NUM_THREADS=1 .venv/bin/pytest -n 2 --dist loadfile --no-loadscope-reorder --ignore=$(REHEARSAL)

rehearsal: $(ENVIRONMENT)
	OMP_NUM_THREADS=1 .venv/bin/pytest $(REHEARSAL)

# LIGHTNINGDIT=path/to/LightningDiT times the original's code beside the training.
gpu: export LIGHTNINGDIT ?=
gpu: $(ENVIRONMENT)
	.venv/bin/python benchmarks/gpu

# Parts that know nothing of each other: `make --jobs 2 lint` has two of them at a time.
lint: docs lint-code lint-types lint-rules

lint-code: $(ENVIRONMENT)
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/lint-imports
	.venv/bin/vulture

lint-types: $(ENVIRONMENT)
	.venv/bin/mypy

lint-rules: $(ENVIRONMENT)
	.venv/bin/snakefmt --check Snakefile workflow
	.venv/bin/snakemake --lint

# The documentation as a site in site/; a broken link or an unknown name is an error.
docs: $(ENVIRONMENT)
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet

.venv: $(ENVIRONMENT)

$(ENVIRONMENT): envs/requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "twostage needs Python 3.11 or newer; this is " + sys.version)'
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r envs/requirements.txt
	.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

why: $(ENVIRONMENT)
	.venv/bin/snakemake --dry-run --quiet rules $(if $(CONFIG),--configfile $(CONFIG))

limits: $(ENVIRONMENT)
	.venv/bin/snakemake --cores 1 limits --configfile config/imagenet256.yaml | grep '^|' > .limits
	sed -i -e '/<!-- limits -->/,/<!-- \/limits -->/{//!d}' -e '/<!-- limits -->/r .limits' docs/scales.md
	rm .limits

# Writes the results of a run as CSVs in docs/results, and the pictures of README and docs, drawn from them.
results: $(ENVIRONMENT)
	.venv/bin/python -m twostage.report.publish $(RUN) docs/results/$(notdir $(RUN))
	.venv/bin/snakemake --cores 1 pictures
	$(MAKE) claims

claims: $(ENVIRONMENT)
	.venv/bin/python -m twostage.report.scales docs/results docs/claims.md

crate: $(ENVIRONMENT)
	.venv/bin/python -m twostage.provenance verify $(RUN)
	.venv/bin/python -m twostage.report.crate $(RUN)

# The claims of a run say what the published table of its replicates says, so they are checked again once it is published:
# of the same commit, though publishing has changed files of the checkout.
replicates: $(ENVIRONMENT)
	.venv/bin/snakemake --cores $(CORES) report replicates
	.venv/bin/python -c "from twostage.provenance import git_commit; print(git_commit() or '')" > .commit
	.venv/bin/python -m twostage.report.publish results/digits docs/results/digits
	TWOSTAGE_COMMIT=$$(cat .commit) .venv/bin/snakemake --cores $(CORES) report replicates
	$(MAKE) results
	.venv/bin/python -m twostage.report.pages.replicates docs/results/digits/replicates.csv > .replicates
	sed -i -e '/<!-- replicates -->/,/<!-- \/replicates -->/{//!d}' -e '/<!-- replicates -->/r .replicates' docs/results.md
	rm .replicates .commit

# Needs uv. Writes the hash-locked requirements from pyproject.toml and envs/constraints.txt.
lock:
	uv pip compile pyproject.toml --extra workflow --extra dev --extra docs --extra flux --constraint envs/constraints.txt \
	    --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-emit-find-links \
	    -o envs/requirements.txt

clean:
	rm -rf results/digits .snakemake
