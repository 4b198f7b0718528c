"""`snakemake replicates`: this run and the same with other seeds, in one DAG; what a run says of its replicates."""

import re
from dataclasses import replace

import pandas as pd
from stored import needs_plugin, stored_in
from unit.report_results import checked, checked_claim

from twostage.report.claims import record

TABLE = "docs/results/smoke/replicates.csv"


def made(checkout, *arguments):
    """{(path, rule)} of the files that a run would make."""
    said = checkout.snakemake("--summary", *arguments).stdout
    lines = [line.split("\t") for line in said[said.index("output_file") :].splitlines()]
    return {(words[0], words[2]) for words in lines[1:]}


def test_every_file_of_a_run_is_made_once_per_replicate(checkout):
    alone, together = (made(checkout, "--", target) for target in ("claims", "replicates"))
    assert {"train_B", "autoencoder", "sample_tab1", "evaluate"} <= {rule for _, rule in alone}
    copies = {
        (path.replace("results/smoke/", f"results/smoke-seed{number}/"), f"replicate{number}_{rule}")
        for path, rule in alone
        for number in (1, 2)
    }
    own = {(f"results/smoke/report/replicates.{kind}", "replicates") for kind in ("csv", "html")}
    assert together == alone | copies | own


@needs_plugin
def test_in_a_storage_the_provenance_of_every_file_travels_too(checkout, tmp_path):
    found = made(checkout, *stored_in(tmp_path / "storage"), "--", "replicates")
    files = {(path, rule) for path, rule in found if not path.endswith(".provenance.json")}
    assert {"claims", "replicates", "replicate1_claims", "replicate2_train_B"} <= {rule for _, rule in files}
    assert found == files | {(f"{path}.provenance.json", rule) for path, rule in files}


def test_every_replicate_has_its_seed(checkout):
    said = checkout.snakemake("--dry-run", "--printshellcmds", "--", "replicates").stdout
    commands = re.findall("^Shell command: (python .*)", said, flags=re.MULTILINE)
    found = {
        (*re.findall(r"results/[\w-]+/", line)[:1], *re.findall(r'--seed (\d+)|seed": (\d+)', line))
        for line in commands
    }
    assert found >= {("results/smoke/", ("0", "")), ("results/smoke-seed2/", ("2", ""))}
    for run, *seeds in found:
        assert {"".join(seed) for seed in seeds} == {re.sub(r"\D", "", run) or "0"}


def test_what_belongs_to_no_run_is_made_once(checkout):
    together = made(checkout, "--config", "evaluation={features: [inception]}", "--", "replicates")
    fetched = [(path, rule) for path, rule in together if not path.startswith("results/")]
    assert [rule for _, rule in fetched] == ["fetch_weights"]


def test_one_run_alone_is_refused(checkout):
    done = checkout.snakemake("--config", "replicates=1", "--", "replicates", check=False)
    assert done.returncode == 1
    assert "config: replicates is 1; expected" in done.stdout + done.stderr


def write_claims(folder, *verdicts):
    """The claims.json of runs that differ in the verdict of one claim."""
    claim = checked_claim("words", id="targets-part-early")
    for run, verdict in zip(("smoke", "smoke-seed1", "smoke-seed2"), verdicts):
        path = folder / "results" / run / "report/claims.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        finding = replace(claim.findings[0], case="pixel", verdict=verdict)
        record.write(path, checked(replace(claim, findings=[finding])))


def test_a_run_says_which_of_its_verdicts_changed_in_its_published_replicates(finished):
    report, published = finished.folder / "results/smoke/report", finished.folder / TABLE
    kept = (report / "claims.json").read_bytes()
    write_claims(finished.folder, "holds", "fails", "holds")
    finished.snakemake("--allowed-rules", "replicates", "--", "replicates")
    assert "the verdict changed in 1 of 1 cases" in (report / "replicates.html").read_text()
    (report / "claims.json").write_bytes(kept)
    published.parent.mkdir(parents=True)
    (report / "replicates.csv").rename(published)
    config = published.with_name("config.yaml")
    # What is published of another configuration is none of this run's.
    smoke = (finished.folder / "tests/workflow/smoke.yaml").read_text()
    config.write_text(f"{smoke}\nsplit: 0.25\n")
    assert finished.reruns("claims") == set()
    config.write_text(smoke)
    assert finished.reruns("claims") == {"claims"}

    finished.snakemake("--", "claims")
    claims = pd.read_csv(report / "claims.csv")
    remark = "verdict changed with the seed in replicates of this configuration: holds 2, fails 1"
    assert list(claims[claims["note"].fillna("").str.endswith(remark)]["id"]) == ["targets-part-early"]
    # The same table, published again, is nothing new.
    published.touch()
    assert finished.reruns("claims") == set()
