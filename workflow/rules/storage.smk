# Without a shared file system (--default-storage-provider): what a job reads or writes beside the files that its rule
# names. It is named here, for all rules at once, so that it travels too. Runs on a shared file system name as many files
# as before: with others, their trainings would start again.
import tempfile

from snakemake.io import strip_wildcard_constraints

from twostage.provenance import provenance_path


def name_in_storage(file):
    """The name of a file of the run, with its wildcards, without the storage's prefix."""
    return strip_wildcard_constraints(file.storage_object.query.removeprefix(PREFIX))


def refuse_unwritable_prefix():
    """The storage must take a file before the first job. It stays there: to remove the last file of an S3 bucket removes
    the bucket."""
    probe = STORAGE.object(f"{PREFIX}.twostage")
    try:
        with tempfile.TemporaryDirectory() as folder:
            probe.set_local_path(Path(folder) / "probe")
            probe.local_path().write_text("The results of twostage lie here.\n", encoding="utf-8")
            workflow.async_run(probe.managed_store())
    except Exception as error:  # a plugin's own
        reason = " ".join(str(error).split())
        raise WorkflowError(
            f"--default-storage-prefix is {PREFIX!r}, which cannot be written ({reason}); expected a place that the "
            f"storage plugin {workflow.storage_settings.default_storage_provider!r} can write to from here"
        ) from None


def imported_files(wildcards):
    """The latents of a latent space that were made elsewhere, and their labels, where they lie in the storage."""
    latents = CONFIG.spaces[wildcards.space].imported
    labels = latents.labels or (str(Path(latents.path).with_name("labels.npy")) if latents.format == "npy" else None)
    return [path for path in (latents.path, labels) if path and not os.path.isabs(path)]


def shards_of(split):
    """A function of the wildcards: the shards of which a store of a latent space consists."""

    def found(wildcards):
        if CONFIG.data.shards == 1 or wildcards.space not in ENCODED_SPACES:
            return []
        folder = f"results/{CONFIG.run}/data/{wildcards.space}/shards"
        return [f"{folder}/{split}-{shard}.h5" for shard in range(SHARDS[split])]

    return found


def records_behind(wildcards):
    """The provenance and the benchmarks of all files behind the report, which it tells of."""
    pending, found, jobs = [file for file in rules.report.input if isinstance(file, str)], {}, set()
    while pending:
        file = pending.pop()
        for producer in [each for each in workflow.rules if each.is_producer(file)]:
            values = producer.get_wildcards(file)
            if (job := (producer.name, tuple(values.items()))) not in jobs:
                jobs.add(job)
                pending += producer.expand_input(values)[0]
                made = [each for each in producer.expand_output(values)[0] if each.endswith(".provenance.json")]
                found |= dict.fromkeys([*made, *filter(None, [producer.expand_benchmark(values)])])
    return list(found)


def is_called(told, name):
    """Whether a rule has this name; whoever imports the workflow as a module may have put a word before it."""
    return told.name == name or told.name.endswith(f"_{name}")


if STORAGE is not None:
    if workflow.is_main_process and not {"-n", "--dry-run", "--dryrun"} & {*sys.argv}:
        refuse_unwritable_prefix()
    ours = os.path.abspath(f"{SOURCE}/..")
    for told in [each for each in workflow.rules if Path(str(each.snakefile)).is_relative_to(ours)]:
        written = [name_in_storage(file) for file in told.output]
        if any(name.endswith(".provenance.json") for name in written):
            continue  # of the run itself, and this is a replicate of it
        kept = [name for name in written if name.startswith("results/") or is_called(told, "fetch_weights")]
        told.set_output(*(str(provenance_path(name)) for name in kept))
        if is_called(told, "join"):
            told.set_input(provenance=[str(provenance_path(name)) for name in map(name_in_storage, told.input)])
            continue
        for name, split in (("latents", "train"), ("held_out", "held_out")):
            if name in told.input.keys():
                told.set_input(**{f"{name}_shards": shards_of(split)})
        if is_called(told, "import_latents") or is_called(told, "import_alone"):
            told.set_input(imported=imported_files)
        if is_called(told, "report"):
            told.set_input(behind=records_behind)
