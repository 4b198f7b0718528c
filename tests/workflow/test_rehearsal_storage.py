"""The whole smoke run with its files in a storage: the same results as without, except times.

``make rehearsal`` runs it: it takes as long as the smoke run itself.
"""

from stored import needs_plugin, results, stored_in, verified


@needs_plugin
def test_the_smoke_run_with_a_storage_is_the_smoke_run(smoke_run, checkout, tmp_path):
    prefix = tmp_path / "storage"
    done = checkout.snakemake(*stored_in(prefix), "--local-storage-prefix", str(tmp_path / "copies"))
    assert not (checkout.folder / "results").exists()
    plain, stored = results(smoke_run / "results/smoke"), results(prefix / "results/smoke")
    assert sorted(stored) == sorted(plain)
    assert [name for name in plain if stored[name] != plain[name]] == []
    assert verified(prefix / "results/smoke")
    again = checkout.snakemake(*stored_in(prefix), "--dry-run")
    assert "Nothing to be done" in again.stdout + again.stderr, done.stdout
