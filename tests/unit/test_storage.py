"""Names of a run's files and the places of their copies."""

import argparse
import json

import pytest
from training_examples import ARCHITECTURE, RECIPE, write_latents

from twostage.provenance import git_commit, provenance_path, write_json, write_provenance
from twostage.storage import COMMIT, VARIABLE, OutputFile, here, name_of
from twostage.training.longer import announcement, state_of
from twostage.training.loop import train
from twostage.training.recipe import Recipe


@pytest.fixture
def copies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "copies/of"))
    return tmp_path / "copies/of"


def test_without_a_storage_a_name_is_a_path(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    for path in ("results/a.json", "/mnt/a.json", "../a.json"):
        assert here(path) == name_of(path) == path


def test_with_a_storage_a_name_is_that_of_a_copy_and_back(copies):
    there = str(copies / "results/a.json")
    assert here("results/a.json") == here(there) == here("copies/of/results/a.json") == there
    assert name_of(there) == name_of("copies/of/results/a.json") == name_of("results/a.json") == "results/a.json"
    for path in ("/mnt/images", f"{copies}2/a.json"):  # of a volume; of a folder whose name only begins in the same way
        assert here(path) == name_of(path) == path


def test_provenance_names_files_as_a_run_without_a_storage_does(copies):
    write_json(copies / "results/a.json", {})
    write_json(copies / "results/b.json", {})
    write_provenance(copies / "results/b.json", inputs=["copies/of/results/a.json"])
    assert '"results/a.json": "' in provenance_path(copies / "results/b.json").read_text()


def test_a_job_without_git_knows_the_commit(copies, monkeypatch):
    for given, said in (("a" * 40, "a" * 40), ("", None)):
        monkeypatch.setenv(COMMIT, given)
        git_commit.cache_clear()
        write_json(copies / "a.json", {})
        write_provenance(copies / "a.json")
        assert json.loads(provenance_path(copies / "a.json").read_text())["commit"] == said
    git_commit.cache_clear()


def test_an_output_may_have_its_provenance_beside_it_and_nothing_else():
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", action=OutputFile)
    for words in (["a"], ["a", "a.provenance.json"]):
        assert parser.parse_args(["--output", *words]).output == "a"
    with pytest.raises(SystemExit):
        parser.parse_args(["--output", "a", "b"])


def test_a_state_folder_is_that_of_the_training_on_every_machine(copies):
    assert str(state_of("results/a/S")) == "results/a/S/state"
    for output in ("results/a/S", copies / "results/a/S"):
        assert str(state_of(output, "/mnt/state")) == "/mnt/state/results/a/S"


def test_a_training_whose_machine_is_lost_goes_on_from_its_state_folder(tmp_path, monkeypatch):
    """Each attempt has an output of its own; the weights are those of a training that was left alone."""
    latents = write_latents(tmp_path / "latents.h5")
    assert train(latents, ARCHITECTURE, RECIPE, tmp_path / "alone")
    recipe = {**RECIPE, "state_folder": str(tmp_path / "volume")}
    for attempt in range(20):
        output = tmp_path / str(attempt) / "results/S"
        monkeypatch.setenv(VARIABLE, str(tmp_path / str(attempt)))
        if train(latents, ARCHITECTURE, {**recipe, "minutes": 1e-9}, output):
            break
    assert attempt > 1
    assert not (output / "state").exists()
    for name in ("step-0000004.safetensors", "step-0000012.safetensors"):
        assert (output / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    # What it made is lost on the way to the storage: nothing is trained again.
    before = (tmp_path / "volume/results/S/events.jsonl").read_text().count('"start"')
    monkeypatch.setenv(VARIABLE, str(tmp_path / "last"))
    assert train(latents, ARCHITECTURE, recipe, tmp_path / "last/results/S")
    assert (tmp_path / "volume/results/S/events.jsonl").read_text().count('"start"') == before
    for path in (output / name for name in ("stats.jsonl", "step-0000004.safetensors", "step-0000012.safetensors")):
        assert (tmp_path / "last/results/S" / path.name).read_bytes() == path.read_bytes()
        assert provenance_path(tmp_path / "last/results/S" / path.name).exists()
    longer = Recipe.parse({**recipe, "steps": 20})
    assert "the training that ended here is thrown away" in announcement("results/S", longer)
