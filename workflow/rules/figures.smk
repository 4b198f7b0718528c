# The results from which figures, tables and pages are drawn, and how the report shows them.

from twostage.report.results.parts import part_of


def spaces_of(name):
    """The latent spaces in which an experiment runs. For a figure of no experiment: all, or those that make images."""
    decoded = [space for space in SPACES if CONFIG.spaces[space].decodes]
    if name == "fig_training":
        return [space for space in decoded if trained_models(space)]
    if name == "tab_reconstruction":
        return decoded
    return EXPERIMENTS.get(name, {}).get("spaces") or SPACES


def spaces_by_source(name, sources):
    """{keyword: latent spaces} for the sources of a figure that name a {space}: those where the figure and its source
    run.

    A source whose folder names a model is read only in the latent spaces where that model is trained.
    """
    return {
        keyword: [
            space
            for space in spaces_of(name)
            if all(space in spaces_of(experiment) for experiment in experiments_in(source))
            and all(model in trained_models(space) for model in MODELS if f"/{model}/" in source)
        ]
        for keyword, source in sources.items()
        if "{space}" in source
    }


def experiments_in(source):
    """The experiment to which a source belongs, as a list; empty if there is none."""
    name = Path(source).stem.split("-")[0]
    return [name] if name in EXPERIMENTS else []


def result_paths(sources, spaces, each=()):
    """Inputs of a figure: {name: path}, or {name: paths} if the source names a {space} (and {each} plan or model in
    it).

    spaces: {name: latent spaces}; each: names, or a function that returns the names for a space.
    """
    return {
        name: (
            [f"<results>/{path}" for space in spaces[name] for path in filled(source, space, each)]
            if "{space}" in source
            else f"<results>/{source}"
        )
        for name, source in sources.items()
    }


def filled(source, space, each):
    """The paths of a source: its latent space filled in, and each name in turn in place of {each}."""
    each = each(space) if callable(each) else each
    return [source.format(space=space, each=name) for name in (each if "{each}" in source else [None])]


def paths_below(targets, each):
    """{name: paths below results/{run}} of the files that targets read; targets: {name: sources}."""
    return {
        name: [
            path
            for keyword, source in sources.items()
            for space in spaces_by_source(name, sources).get(keyword, SPACES[:1])
            for path in filled(source, space, each.get(name, ()))
        ]
        for name, sources in targets.items()
    }


def labels_of(name, sources):
    """The labels of a figure in the report's list: its latent spaces, models and sampling seeds."""
    words = {name} | {found for source in sources.values() for found in experiments_in(source)}
    experiments = [found for found in EXPERIMENTS if found in words]
    models = [model for found in experiments for model in CONFIG.models_named(found)]
    if any(path.startswith("training/") for path in sources.values()) and not models:
        models = MODELS
    elsewhere = ["Flux's own" if name == "fig_flux" else "unit Gaussians"]
    spaces = spaces_of(name) if any("{space}" in path for path in sources.values()) else elsewhere
    seeds = [seed for found in experiments for seed in seeds_of(found)] or [CONFIG.seed]
    return {
        "item": name,
        "latent space": ", ".join(spaces),
        "model": ", ".join(dict.fromkeys(models)) or "none",
        "seed": ", ".join(map(str, dict.fromkeys(seeds))),
    }


def page_of(name, kind, category):
    """A file of a page that is not a figure, as the report shows it."""
    labels = {"item": name, "as": {"html": "page"}.get(kind, kind.upper())}
    return report(f"<results>/report/{name}.{kind}", caption=f"../report/{name}.rst", category=category, labels=labels)


def stage_of_rule():
    """{rule: stage} of the rules so far; a stage is the results folder that belongs to the rule's file."""
    folders = {"sampling": "samples"}
    stems = {rule.name: Path(str(rule.snakefile)).stem for rule in workflow.rules}
    return {name: folders.get(stem, stem) for name, stem in stems.items()}


def caption_of(name):
    """A figure's caption, as a param: it is no input of any job, so a change of it would go unnoticed otherwise."""
    return Path(f"{SOURCE}/../workflow/report/{name}.rst").read_text(encoding="utf-8")


def page_code_of(*modules):
    """As ``code_of``, plus the templates, styles and scripts of the pages."""

    def found(wildcards):
        from twostage.report.template import digest  # here, since not every start of Snakemake needs it

        return f"{provenance.code_of(*modules)} {digest()}"

    return found


def report_outputs(name, category, sources):
    """The files of a figure or table: PDF, PNG and CSV, and for a table also a page. The report shows all except the
    PDF."""

    def shown(suffix, kind):
        return report(
            f"<results>/report/{name}.{suffix}",
            caption=f"../report/{name}.rst",
            category=category,
            subcategory=part_of(sources.values()),
            labels=labels_of(name, sources) | {"as": kind},
        )

    outputs = {"pdf": f"<results>/report/{name}.pdf", "png": shown("png", "picture"), "csv": shown("csv", "numbers")}
    return outputs | ({"html": shown("html", "table")} if category == "Tables" else {})
