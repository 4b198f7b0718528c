"""Verification of a run: what it takes as right, and what it names."""

import json
import re

import pytest

from twostage.provenance import provenance_path, write_provenance
from twostage.provenance.__main__ import main
from twostage.provenance.verify import verify


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of three stages: shared weights -> latents -> model -> table, with provenance as the workflow writes it."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results/tiny"
    for name, inputs, facts in (
        ("weights/w.pt", (), None),
        ("results/tiny/data/latents.h5", ("weights/w.pt",), {"fingerprint": "abc"}),
        (
            "results/tiny/training/step.safetensors",
            (),
            {"latents": {"path": "results/tiny/data/latents.h5", "fingerprint": "abc"}},
        ),
        ("results/tiny/evaluation/table.csv", ("results/tiny/training/step.safetensors",), {}),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}")
        if facts is not None:
            write_provenance(name, inputs=inputs, **facts)
    for aside in ("logs/rule.log", "benchmarks/rule.tsv", "training/state/events.jsonl", ".half.tmp"):
        (folder / aside).parent.mkdir(parents=True, exist_ok=True)
        (folder / aside).write_text("")
    return folder


def rewrite(artefact, change):
    file = provenance_path(artefact)
    record = json.loads(file.read_text())
    change(record)
    file.write_text(json.dumps(record))


def test_a_run_as_it_was_made_has_no_problem(run, capsys):
    assert main(["verify", str(run)]) == 0
    size = sum(path.stat().st_size for path in run.parents[1].rglob("*") if path.suffix in (".pt", ".h5", ".csv"))
    size += (run / "training/step.safetensors").stat().st_size
    assert capsys.readouterr().out == f"4 files verified ({size:,} bytes): 0 problems\n"


def test_a_run_may_be_verified_from_anywhere_and_be_moved(run, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    assert verify(run).problems == []
    (tmp_path / "archive").mkdir()
    found = verify(run.rename(tmp_path / "archive/tiny"))
    assert (found.problems, found.files) == ([], 4)


def _change(name):
    return lambda run: (run / name).write_text("changed")


def _remake(name):
    def change(run):
        (run / name).write_text("made again")
        write_provenance(f"results/tiny/{name}")

    return change


@pytest.mark.parametrize(
    ("damage", "problems"),
    [
        (_change("evaluation/table.csv"), [r"evaluation/table.csv: sha256 is \w{12}, was \w{12} .*: it has changed"]),
        (_change("training/step.safetensors"), [r"training/step.safetensors: sha256 is .* it has changed"]),
        (
            _remake("training/step.safetensors"),
            [r"evaluation/table.csv: made from results/tiny/training/step.safetensors of .* is .* by its own prov"],
        ),
        (lambda run: (run / "evaluation/table.csv").unlink(), ["evaluation/table.csv: is missing"]),
        (lambda run: (run / "training/step.safetensors").unlink(), ["training/step.safetensors: is missing"]),
        (lambda run: (run / "note.txt").write_text(""), ["note.txt: has no provenance beside it"]),
        (
            lambda run: (run.parents[1] / "weights/w.pt").write_text("other"),
            ["data/latents.h5: made from weights/w.pt"],
        ),
        (
            lambda run: rewrite(run / "data/latents.h5", lambda record: record.update(fingerprint="other")),
            ["training/step.safetensors: made from other latents than those in results/tiny/data/latents.h5, "],
        ),
        (
            lambda run: rewrite(run / "evaluation/table.csv", lambda record: record.pop("sha256")),
            ["evaluation/table.csv.provenance.json: cannot be read as provenance"],
        ),
        (
            lambda run: provenance_path(run / "evaluation/table.csv").write_text("{"),
            ["evaluation/table.csv.provenance.json: cannot be read as provenance"],
        ),
    ],
)
def test_each_problem_is_one_line(run, damage, problems, capsys):
    damage(run)
    assert main(["verify", str(run)]) == 1
    *lines, summary = capsys.readouterr().out.splitlines()
    assert len(lines) == len(problems)
    for line, problem in zip(lines, problems):
        assert re.match(rf"results/tiny/{problem}", line), line
    assert summary.endswith("1 problem")


def test_shards_and_published_checkpoints_are_inputs_too(run):
    shard = run.parent.parent / "shard.h5"
    shard.write_text("x")
    rewrite(run / "data/latents.h5", lambda record: record.update(shards={"shard.h5": "0" * 64}))
    source = {"source": "weights/w.pt", "source_sha256": "1" * 64}
    rewrite(run / "training/step.safetensors", lambda record: record.update(source))
    first, second = verify(run).problems
    assert first.startswith("results/tiny/data/latents.h5: made from shard.h5 of sha256 000000000000, which is ")
    assert second.startswith("results/tiny/training/step.safetensors: made from weights/w.pt of sha256 111111111111")


def test_what_snakemake_removed_and_what_lies_elsewhere_is_named_only(run, capsys):
    (run / "training/step.safetensors").unlink()
    (run.parents[1] / "weights/w.pt").unlink()
    log = run.parents[1] / ".snakemake/log/1.snakemake.log"
    log.parent.mkdir(parents=True)
    log.write_text("Removing temporary output results/tiny/training/step.safetensors.\n")
    assert main(["verify", str(run)]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == [
        "results/tiny/training/step.safetensors: removed since, as a temporary output",
        "weights/w.pt: not there, and not a file of this run: not verified",
    ]


def test_a_folder_that_is_no_run_is_refused(tmp_path, capsys):
    assert main(["verify", str(tmp_path)]) == 1
    assert "no provenance in it; expected the folder of a run" in capsys.readouterr().err
