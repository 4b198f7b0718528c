# What figures, tables and pages are drawn from, and how the report shows them.

from twostage.report.results.parts import part_of


def spaces_of(name):
    """The latent spaces an experiment runs in; every one for what is no experiment, or those that make images."""
    decoded = [space for space in SPACES if CONFIG.spaces[space].decodes]
    if name == "fig_training":
        return [space for space in decoded if trained_models(space)]
    if name == "tab_reconstruction":
        return decoded
    return EXPERIMENTS.get(name, {}).get("spaces") or SPACES


def spaces_by_source(name, sources):
    """{keyword: latent spaces} of those sources of a figure that name a {space}: where it and what it reads run.

    What a source's folder names as a model is read where that model is trained.
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
    """The experiment, if any, whose results a source is."""
    name = Path(source).stem.split("-")[0]
    return [name] if name in EXPERIMENTS else []


def result_paths(sources, spaces, each=()):
    """Inputs of a figure: {name: path}, or paths where the source names a {space} (and in it {each} plan or model).

    spaces: {name: latent spaces}; each: names, or a function that gives those of a space.
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
    """A source with its latent space, and one after the other what it names as {each}, put in."""
    each = each(space) if callable(each) else each
    return [source.format(space=space, each=name) for name in (each if "{each}" in source else [None])]


def paths_below(targets, each):
    """{name: paths below results/{run}} of what targets are drawn from; targets: {name: sources}."""
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
    """What the report says of a figure in its list: latent spaces, models and sampling seeds behind it."""
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
    """A file of a page that is no figure, as the report shows it."""
    labels = {"item": name, "as": {"html": "page"}.get(kind, kind.upper())}
    return report(f"<results>/report/{name}.{kind}", caption=f"../report/{name}.rst", category=category, labels=labels)


def stage_of_rule():
    """{rule: the stage, by its folder of results, whose rules file it stands in}, of the rules so far."""
    folders = {"sampling": "samples"}
    stems = {rule.name: Path(str(rule.snakefile)).stem for rule in workflow.rules}
    return {name: folders.get(stem, stem) for name, stem in stems.items()}


def caption_of(name):
    """A figure's caption, for params: it is no input of any job, and a change of it would not be seen."""
    return Path(f"{SOURCE}/../workflow/report/{name}.rst").read_text(encoding="utf-8")


def page_code_of(*modules):
    """As ``code_of``, with the templates, styles and scripts that pages are made from."""

    def found(wildcards):
        from twostage.report.template import digest  # here, since not every start of Snakemake needs it

        return f"{provenance.code_of(*modules)} {digest()}"

    return found


def report_outputs(name, category, sources):
    """The files of a figure or table: PDF; PNG and CSV, which the report shows; of a table a page as well."""

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
