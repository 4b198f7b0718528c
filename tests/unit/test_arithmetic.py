"""How torch rounds: one state after every way in, stated in the provenance, and full products whatever was set."""

import ast
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from training_examples import ARCHITECTURE, write_latents

from twostage.job import job
from twostage.arithmetic import full_products, stated, use_full_precision
from twostage.data.__main__ import main as data
from twostage.provenance import provenance_path, write_provenance
from twostage.training.__main__ import main as training

FULL = {"float32_products": "float32", "float32_convolutions": "float32", "sums_of_bf16_products": "float32"}
SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"


def _by_new_switch(value):
    torch.backends.fp32_precision = value


def _by_part(value):
    torch.backends.cuda.matmul.fp32_precision = torch.backends.cudnn.conv.fp32_precision = value


# What another library, or a user's sitecustomize, may have set before.
BEFORE = {
    "nothing": lambda: None,
    "the old switches": lambda: (
        torch.set_float32_matmul_precision("medium"),
        setattr(torch.backends.cuda.matmul, "allow_tf32", True),
        setattr(torch.backends.cudnn, "allow_tf32", True),
    ),
    "the new switch of all": lambda: _by_new_switch("tf32"),
    "the new switches": lambda: _by_part("tf32"),
    "both": lambda: (torch.set_float32_matmul_precision("high"), _by_part("ieee")),
}


@pytest.fixture(autouse=True)
def _restored():
    yield
    _by_new_switch("none")
    use_full_precision()


@pytest.fixture(params=BEFORE)
def before(request):
    BEFORE[request.param]()


def test_one_state_whatever_was_set_before_and_both_sets_of_switches_agree(before):
    use_full_precision()
    assert stated() == FULL
    # Asked by the other set, torch raises where the two disagree.
    assert torch.get_float32_matmul_precision() == "highest"
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32
    with torch.backends.cudnn.flags(enabled=False, allow_tf32=False):
        pass


def test_full_products_are_full_and_leave_the_switches_alone(before):
    switches = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul
    values = [switch.fp32_precision for switch in switches]
    with full_products():
        assert {switch.fp32_precision for switch in switches} <= {"ieee", "none"}
    assert [switch.fp32_precision for switch in switches] == values


def test_every_way_in_sets_it_and_provenance_states_it(tmp_path):
    latents = write_latents(tmp_path / "latents.h5")
    recipe = {"steps": 1, "batch_size": 4, "ema": 0.0}
    words = ["--latents", str(latents), "--architecture", json.dumps(ARCHITECTURE), "--recipe", json.dumps(recipe)]

    def adapter():
        kept = [os.dup(number) for number in (1, 2)]  # a job's process ends with it, and leaves them to its log
        with job(SimpleNamespace(log=[tmp_path / "log.txt"])):
            (tmp_path / "a.txt").write_text("a", encoding="utf-8")
            write_provenance(tmp_path / "a.txt")
        for number, before in zip((1, 2), kept):
            os.dup2(before, number), os.close(before)

    ways = {
        "a.txt": adapter,
        "step-0000001.safetensors": lambda: training([*words, "--output", str(tmp_path), "--device", "cpu"]),
        None: lambda: data(["join", "--shards", "no.h5", "--output", "no.h5"]),
    }
    for artefact, enter in ways.items():
        _by_new_switch("tf32"), _by_part("tf32")
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = True
        assert stated() == {**dict.fromkeys(FULL, "tf32"), "sums_of_bf16_products": "may be bf16"}
        enter()
        assert stated() == FULL
        if artefact:
            record = json.loads(provenance_path(tmp_path / artefact).read_text(encoding="utf-8"))
            assert record["arithmetic"] == {**FULL, "gpu": None}


def test_without_torch_provenance_says_nothing_of_it_and_does_not_load_it(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "torch")
    (tmp_path / "table.csv").write_text("a", encoding="utf-8")
    write_provenance(tmp_path / "table.csv")
    assert "torch" not in sys.modules
    assert "arithmetic" not in json.loads(provenance_path(tmp_path / "table.csv").read_text(encoding="utf-8"))


def test_adapters_import_what_computes_before_their_job_begins():
    for script in SCRIPTS.glob("*.py"):
        tree = ast.parse(script.read_text(encoding="utf-8"))
        inside = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node not in tree.body]
        assert not inside, f"{script.name} imports {inside[0].module} late: torch's switches are set at its start"
