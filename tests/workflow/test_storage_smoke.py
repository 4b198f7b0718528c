"""The smoke run, begun without a storage and ended in one: the same results, except times.

What is put into the storage is what costs time and is there once more: the latent space ``pixel``. All else is made
from what lies in the storage: the other space from its images on, one job of each rule that only ``pixel`` has, and
every figure and page.
"""

import shutil
from fnmatch import fnmatch

from stored import needs_plugin, results, stored_in, verified

LEFT_OUT = ("report*", "config.yaml*", "logs/*", "benchmarks/report/*", "*/vae/*", "*/vae*.tsv", "*/state/*")
LEFT_OUT += ("*synthetic*", "samples/pixel/fig8*", "*/fig8/*", "*fig_samples-*", "*/fig_samples/*")


def put(run, storage):
    """Copy the files of a run, with their times, but for those that are to be made in the storage."""
    for path in filter(lambda path: path.is_file(), run.rglob("*")):
        name = path.relative_to(run)
        if not any(fnmatch(str(name), pattern) for pattern in LEFT_OUT):
            (storage / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, storage / name)


@needs_plugin
def test_the_smoke_run_with_a_storage_is_the_smoke_run(smoke_run, checkout, tmp_path):
    prefix = tmp_path / "storage"
    put(smoke_run / "results/smoke", prefix / "results/smoke")
    done = checkout.snakemake(*stored_in(prefix), "--local-storage-prefix", str(tmp_path / "copies"))
    assert not (checkout.folder / "results").exists()
    made = {line.split()[0] for line in done.stderr.splitlines() if line.endswith(" 1") or line.endswith(" 2")}
    assert made >= {"autoencoder", "encode", "train_B", "follow_fig8", "memorization", "synthetic", "oracle_loss"}
    plain, stored = results(smoke_run / "results/smoke"), results(prefix / "results/smoke")
    assert sorted(stored) == sorted(plain)
    assert [name for name in plain if stored[name] != plain[name]] == []
    assert verified(prefix / "results/smoke")
    again = checkout.snakemake(*stored_in(prefix), "--dry-run")
    assert "Nothing to be done" in again.stdout + again.stderr, done.stdout
