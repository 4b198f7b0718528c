"""The smoke run goes on in a storage: what is made there is, but for times, what the run without one has made.

The finished run is put into the storage. Its pages, with figures of each kind of source, are made there first; then one
job of each rule that computes, from what the storage holds. (Encoding and training: test_storage_run.py.)
"""

import re
import shutil
from fnmatch import fnmatch

from stored import needs_plugin, results, stored_in, verified

RUN = "results/smoke"
FIGURES = ("fig_memorization", "fig_spaces", "fig_training", "tab1")
PAGES = ("report.html*", "config.yaml*", *(f"report/{name}.*" for name in (*FIGURES, "overview")))
PAGES += tuple(f"report/{name}.*" for name in ("claims", "side_by_side", "interactive"))
COMPUTED = {  # the rules: a file of each
    "classifier": "evaluation/classifier/classifier.safetensors",
    "evaluate": "evaluation/vae/tab1.csv",
    "follow_fig8": "samples/pixel/fig8.csv",
    "memorization": "evaluation/pixel/fig_samples-memorization.csv",
    "oracle_loss": "training/vae/oracle_loss.csv",
    "posterior": "oracle/vae/posterior.csv",
    "references": "samples/vae/fig_references.h5",
    "sample_tab1": "samples/vae/tab1-measured-B-B/shard-0.h5",
    "settle": "oracle/vae/settling.csv",
    "split": "oracle/vae/split.json",
    "synthetic": "synthetic/top1.csv",
    "vary_size": "oracle/vae/nsweep.csv",
    "windows": "oracle/vae/windows.json",
}
# Those files, and what else their rules make.
OUTPUTS = ("evaluation/classifier/*", "evaluation/vae/tab1.*", "samples/pixel/fig8*", "evaluation/pixel/fig_samples-*")
OUTPUTS += ("training/vae/oracle_loss.*", "training/vae/samples.*", "oracle/vae/*", "samples/vae/fig_references*")
OUTPUTS += ("samples/vae/tab1-*", "synthetic/*")


def files(folder, patterns):
    """The files below a folder whose names in it are of these patterns."""
    for path in filter(lambda path: path.is_file(), list(folder.rglob("*"))):
        if any(fnmatch(str(path.relative_to(folder)), pattern) for pattern in patterns):
            yield path


@needs_plugin
def test_what_is_made_in_a_storage_is_what_the_smoke_run_has_made(smoke_run, checkout, tmp_path):
    stored, plain = tmp_path / "storage" / RUN, smoke_run / RUN
    shutil.copytree(plain, stored)  # with its times
    options = [*stored_in(tmp_path / "storage"), "--local-storage-prefix", str(tmp_path / "copies")]
    for path in files(stored, PAGES):
        path.unlink()
    done = checkout.snakemake(*options)
    assert started(done) == {*FIGURES, "claims", "report", "all"}
    again = checkout.snakemake(*options, "--dry-run")
    assert "Nothing to be done" in again.stdout + again.stderr, done.stdout
    for path in files(stored, OUTPUTS):
        path.unlink()
    done = checkout.snakemake(*options, "--", *(f"{RUN}/{path}" for path in COMPUTED.values()))
    assert started(done) == COMPUTED.keys()

    assert not (checkout.folder / "results").exists()
    ours, theirs = results(stored), results(plain)
    assert sorted(ours) == sorted(theirs)
    assert [name for name in theirs if ours[name] != theirs[name]] == []
    assert verified(stored)


def started(done):
    """Names of the rules whose jobs have run."""
    return set(re.findall(r"^(\w+) +\d+$", done.stdout + done.stderr, flags=re.MULTILINE)) - {"total"}
