# Messages and checks before the first job starts. The nested Snakemakes that run the jobs skip them.
from twostage.cluster import ClusterError, Request, refuse_impossible
from twostage.left_lock import hold_mark
from twostage.storage import name_of
from twostage.training.longer import announcement, state_of
from twostage.training.recipe import Recipe

# After a crash the same command continues the run; profiles/default has the options for it.
if workflow.is_main_process and hold_mark(".snakemake"):
    logger.info("The last run here was killed: its lock is removed.")


def profiles_named(words):
    """[(option, profile)] of a command line, and of the environment variable that names profiles."""
    named = [("SNAKEMAKE_PROFILE", name) for name in filter(None, os.environ.get("SNAKEMAKE_PROFILE", "").split(","))]
    for word, following in zip(words, [*words[1:], ""]):
        option, equals, value = word.partition("=")
        if option in ("--profile", "--workflow-profile"):
            named.append((option, value if equals else following))
    return named


def refuse_missing_profiles(named):
    """Without this, Snakemake would ignore a --workflow-profile that it does not find, and run all jobs on this
    machine."""
    for option, name in named:
        places = [Path("profiles") / name, Path(workflow.basedir) / "profiles" / name, Path(name)]
        if option == "--workflow-profile" and name != "none" and not any(place.exists() for place in places):
            raise WorkflowError(f"there is no profile {name!r}; looked for {' and '.join(map(str, places))}")


def refuse_unwritable(folder):
    """The folder of the results must be writable, or it must be possible to make it."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        raise WorkflowError(f"{there} cannot be written to; expected a folder for this run's results ({folder})")


def refuse_unfit_references(given):
    """A reference that does not fit ends the run before anything is sampled. One that is fetched, or is an empty file,
    is checked in its own job."""
    from twostage.evaluation.given import refuse_unfit_reference

    for name, file in given.items():
        width = CONFIG.classifier.features if name == "classifier" else None
        if os.path.exists(file.place) and os.path.getsize(file.place):
            try:
                refuse_unfit_reference(file.place, name, width=width, image_size=CONFIG.data.image_size)
            except (ValueError, OSError) as error:
                raise WorkflowError(f"config: evaluation.references.{name}: {error}") from None


def refuse_too_few_images(jobs):
    """Images so few that they have no stages end the run before anything is computed, if a job needs the split."""
    from twostage.config.stages import refuse_without_stages

    needing = {"oracle_loss"} | ({"split"} if SPLIT is None else set())
    named = [(re.sub(r"^replicate\d+_", "", job.rule.name), job.wildcards_dict.get("space")) for job in jobs]
    try:
        refuse_without_stages(CONFIG, sorted({space for name, space in named if name in needing}))
    except ConfigError as error:
        raise WorkflowError(str(error)) from None


def note_trainings_under_way(outputs):
    """Name the trainings that still run although their Snakemake was killed: jobs of this run will wait for them."""
    for output in sorted(outputs):
        owner = lock_owner(state_of(output, CONFIG.training.state_folder) / "lock")
        if owner:
            who = ", ".join(f"{key} {owner[key]}" for key in ("slurm_job", "host", "pid") if owner.get(key))
            logger.info(f"{output} is held by a training ({who}); a job of this run will wait for its end.")


def note_what_becomes_of_trainings(jobs):
    """Say which of the requested trainings continue and which are thrown away, and remark on unusual recipes."""
    folder = {"state_folder": CONFIG.training.state_folder}
    recipes = {f"train_{model}": Recipe.parse(recipe_of(model) | folder) for model in CONFIG.lightningdits}
    trainings = [job for job in jobs if job.rule.name in recipes]
    for job in trainings:
        said = announcement(name_of(Path(job.output.stats).parent), recipes[job.rule.name])
        if said:
            logger.warning(said)
    if trainings and STORAGE is not None and folder["state_folder"] is None:
        logger.warning(
            "warning: training.state_folder names no folder: with a storage, a training that is killed starts again"
        )
    for name in dict.fromkeys(job.rule.name for job in trainings):
        if recipes[name].remark():
            logger.warning(f"warning: {name}: {recipes[name].remark()}")


def give_long_trainings_their_jobs(jobs):
    """Allow a training that is longer than its time limit as many attempts as it needs, and warn of other long jobs.

    This is here and not in the rules: otherwise the nested Snakemake that runs one job would retry it itself.
    """
    more = {}
    for job in jobs:
        about, limit = (job.rule.name, job.wildcards_dict), job.resources.get("runtime")
        hours = time_limits().hours(*about)
        if not (hours and isinstance(limit, int)):
            continue
        attempts = time_limits().attempts(*about, limit)
        named = ", ".join([job.rule.name, *map(str, job.wildcards_dict.values())])
        told = f"{named}: {hours:.1f} hours by the estimate"
        if attempts > 1:
            more[job.rule] = max(more.get(job.rule, 0), attempts - 1)
            logger.info(f"{told}, in up to {attempts} jobs of {limit} minutes")
        elif 60 * hours > limit:
            logger.warning(f"warning: {told}, longer than its time limit of {limit} minutes")
    for trained, number in more.items():
        trained.restart_times += number


def lock_owner(lock):
    try:
        return json.loads(lock.read_text(encoding="utf-8") or "{}")
    except (OSError, ValueError):
        return {}


onstart:
    executor = workflow.executor_plugin.name
    named = profiles_named(sys.argv)
    logger.info(f"Executor: {executor}; profiles: {', '.join(name for _, name in named) or 'none'}")
    refuse_missing_profiles(named)
    if STORAGE is None:
        refuse_unwritable(Path("results") / CONFIG.run)
    refuse_unfit_references(GIVEN)
    refuse_too_few_images(workflow.dag.needrun_jobs())
    note_trainings_under_way(
        f"results/{CONFIG.run}/training/{space}/{model}" for space in SPACES for model in trained_models(space)
    )
    note_what_becomes_of_trainings(workflow.dag.needrun_jobs())
    submitted = [job for job in workflow.dag.needrun_jobs() if not job.is_local]
    if not workflow.local_exec and "auto" in [getattr(stage, "runtime", None) for _, stage in CONFIG.jobs]:
        give_long_trainings_their_jobs(submitted)
    if executor == "slurm":
        try:
            refuse_impossible(
                [Request.of(job.rule.name, job.threads, dict(job.resources.items())) for job in submitted]
            )
        except ClusterError as error:
            raise WorkflowError(str(error)) from None
