"""``make gpu`` where there is no GPU: every measurement runs, small, on the pretended one, and says so."""

import json
import runpy
from pathlib import Path

import pytest

GPU = Path(__file__).parents[2] / "benchmarks/gpu"


@pytest.fixture
def program(monkeypatch):
    monkeypatch.syspath_prepend(GPU)
    monkeypatch.delenv("LIGHTNINGDIT", raising=False)
    return runpy.run_path(str(GPU / "__main__.py"), run_name="gpu")


def test_every_measurement_runs_without_a_gpu_and_says_that_there_is_none(program, tmp_path, capsys):
    names = [name for name in program["MEASUREMENTS"] if name != "ranks"]  # three trainings, tested elsewhere
    assert program["main"](["--output", str(tmp_path), "--only", *names]) == 0
    assert "torch sees no GPU" in capsys.readouterr().out
    (record,) = (json.loads(path.read_text(encoding="utf-8")) for path in tmp_path.glob("*.json"))
    assert record["pretended"] is True
    assert record["float32_convolutions"] == "float32"
    rows = {row["name"]: row for rows in record["measurements"].values() for row in rows}
    for name, row in rows.items():
        exact = row["unit"] in ("relative", "absolute", "standard errors")
        assert not exact or row["value"] == 0, f"{name}: the pretended GPU is the CPU, bit for bit"
        assert row["value"] is not None or row["note"], f"{name}: nothing says why it was not measured"
    assert rows["model FLOP utilisation"]["goal"] == "at least 0.45"
    assert rows["against the original's code"]["goal"] == "at least 1.3"
    assert rows["sweep against its products alone"]["goal"] == "at most 2"
    (page,) = (path.read_text(encoding="utf-8") for path in tmp_path.glob("*.md"))
    assert "No GPU" in page
    assert all(f"| {name} |" in page for name in rows)


def test_a_goal_is_met_or_not_or_was_not_measured(program):
    row = program["Row"]
    assert row("a", 1.5, "x", most=2).met is True
    assert row("a", 2.5, "x", most=2).met is False
    assert row("a", 0.5, "", least=0.45).met is True
    assert row("a", None, "", least=0.45).met is None
    assert row("a", 1.0, "").met is None


def test_a_measurement_that_fails_leaves_the_others_and_the_exit_code_says_it(program, tmp_path):
    def fails(machine):
        raise RuntimeError("no such kernel")

    measurements = program["MEASUREMENTS"]
    measurements["train"] = ("Training", fails)
    assert program["main"](["--output", str(tmp_path), "--only", "train", "neighbours"]) == 1
    (record,) = (json.loads(path.read_text(encoding="utf-8")) for path in tmp_path.glob("*.json"))
    assert record["measurements"]["Training"][0]["note"] == "RuntimeError: no such kernel"
    assert record["measurements"]["Nearest neighbours"][0]["value"] > 0
