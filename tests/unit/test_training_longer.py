"""More steps after the end, what is thrown away where no state was kept, and divergence that is not retried."""

import json
from pathlib import Path

import pytest
from training_examples import ARCHITECTURE, RECIPE, write_latents

from twostage.training.longer import announcement
from twostage.training.loop import train
from twostage.training.recipe import Recipe
from twostage.training.statistics import Diverged

SHORT = {**RECIPE, "steps": 6, "snapshots": [4], "checkpoint_every": 4, "keep_state": True}
LONG = {**SHORT, "steps": 13, "snapshots": [4, 9]}


@pytest.fixture(scope="module")
def latents(tmp_path_factory):
    return write_latents(tmp_path_factory.mktemp("data") / "latents.h5", flips=True)


@pytest.fixture(scope="module")
def reference(latents, tmp_path_factory):
    """A training that had all of its steps from the start."""
    output = tmp_path_factory.mktemp("reference")
    assert train(latents, ARCHITECTURE, LONG, output)
    return output


def starts(output):
    events = map(json.loads, (output / "state/events.jsonl").read_text().splitlines())
    return [event["step"] for event in events if event["event"] == "start"]


def checkpoints(output):
    return [path.name for path in sorted((output / "state").glob("checkpoint-*"))]


def assert_same(output, reference):
    for step in (4, 9, 13):
        name = f"step-{step:07d}.safetensors"
        assert (output / name).read_bytes() == (reference / name).read_bytes(), name


def announced(output, recipe):
    return announcement(output, Recipe.parse(recipe))


@pytest.mark.parametrize("deleted", [True, False], ids=["outputs deleted, as Snakemake does", "outputs in place"])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_more_steps_go_on_and_end_bit_identical(latents, tmp_path, deleted, precision):
    for name, recipes in {"once": [LONG], "twice": [SHORT, LONG]}.items():
        for recipe in recipes:
            if deleted:
                for path in (tmp_path / name).glob("*.*"):
                    path.unlink()
            assert train(latents, ARCHITECTURE, {**recipe, "precision": precision}, tmp_path / name)
    assert_same(tmp_path / "twice", tmp_path / "once")
    assert starts(tmp_path / "twice") == [0, 6]
    assert checkpoints(tmp_path / "twice") == ["checkpoint-0000013.safetensors"]
    steps = [json.loads(line)["step"] for line in (tmp_path / "twice/stats.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps))
    assert steps[-1] == 13


def test_a_training_of_more_steps_than_before_goes_on_while_it_is_under_way(latents, reference, tmp_path):
    for _ in range(5):
        train(latents, ARCHITECTURE, {**SHORT, "minutes": 1e-9, "keep_state": False}, tmp_path)
    assert announced(tmp_path, LONG) == f"{tmp_path}: a training of 6 steps lies here; it goes on from step 5"
    assert train(latents, ARCHITECTURE, LONG, tmp_path)
    assert starts(tmp_path) == [0, 1, 2, 3, 4, 5]
    assert_same(tmp_path, reference)


def test_fewer_snapshots_train_nothing(latents, reference, tmp_path):
    train(latents, ARCHITECTURE, {**LONG, "snapshots": [2, 4, 9]}, tmp_path)
    (tmp_path / "stats.jsonl").unlink()
    assert train(latents, ARCHITECTURE, LONG, tmp_path)
    assert starts(tmp_path) == [0]
    assert_same(tmp_path, reference)


@pytest.mark.parametrize(
    ("first", "changes", "reason"),
    [
        ({"keep_state": False}, {}, "because its last state was not kept: `training.keep_state: true` keeps one"),
        ({}, {"snapshots": [3, 4, 9]}, "because it has no snapshot at step 3"),
        ({"steps": 20}, {}, "because its state is of step 20, past the 13 asked for"),
        ({"lr": 0.02}, {}, "recipe.lr is 0.02 there and 0.01 here"),
    ],
)
def test_what_is_thrown_away_is_said_before_it_starts(latents, reference, tmp_path, capsys, first, changes, reason):
    train(latents, ARCHITECTURE, {**SHORT, **first}, tmp_path)
    for path in tmp_path.glob("*.*"):
        path.unlink()
    recipe = {**LONG, **changes}
    said = announced(tmp_path, recipe)
    assert said.startswith(f"{tmp_path}: the training that ended here is thrown away (")
    assert reason in said
    capsys.readouterr()
    assert train(latents, ARCHITECTURE, recipe, tmp_path)
    assert said in capsys.readouterr().err.splitlines()[0]
    assert starts(tmp_path) == [0, 0]
    if not changes:
        assert_same(tmp_path, reference)


def test_nothing_is_announced_where_nothing_lies_or_nothing_changes(reference, tmp_path):
    assert announced(tmp_path, LONG) is None
    assert announced(reference, LONG) is None
    assert announced(reference, {**LONG, "checkpoint_every": 1}) is None


def test_a_snapshot_that_is_gone_is_made_again_from_before_it(latents, reference, tmp_path):
    train(latents, ARCHITECTURE, LONG, tmp_path)
    for folder in (tmp_path, tmp_path / "state"):
        (folder / "step-0000009.safetensors").unlink()
    assert train(latents, ARCHITECTURE, LONG, tmp_path)
    assert_same(tmp_path, reference)


def test_a_kept_state_needs_no_links(latents, reference, tmp_path, monkeypatch):
    def refuse(*arguments):
        raise PermissionError("no links here")

    monkeypatch.setattr("os.link", refuse)
    for recipe in (SHORT, LONG):
        train(latents, ARCHITECTURE, recipe, tmp_path)
        for path in tmp_path.glob("*.*"):
            path.unlink() if recipe is SHORT else None
    assert starts(tmp_path) == [0, 6]
    assert_same(tmp_path, reference)


def test_how_it_is_kept_is_no_part_of_the_recipe():
    assert Recipe.parse(LONG).numbers() == Recipe.parse({**LONG, "keep_state": False}).numbers()


# ---------------------------------------------------------------------------------------------------------- divergence


def test_a_divergence_is_not_retried_until_its_marker_is_deleted(latents, tmp_path, monkeypatch):
    recipe = {**RECIPE, "lr": 1e18}
    with pytest.raises(Diverged, match=r"learning rate 1e\+18.* delete .*diverged.json") as first:
        train(latents, ARCHITECTURE, recipe, tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("twostage.training.loop.Run", None)  # no step is taken
        with pytest.raises(Diverged) as second:
            train(latents, ARCHITECTURE, recipe, tmp_path)
    assert str(second.value) == str(first.value)
    marker = tmp_path / "state/diverged.json"
    assert str(marker) in str(first.value)
    marker.unlink()
    with pytest.raises(Diverged):
        train(latents, ARCHITECTURE, recipe, tmp_path)
    assert starts(tmp_path) == [0, 0]


def test_a_diverged_training_makes_room_for_another_recipe(latents, reference, tmp_path, capsys):
    with pytest.raises(Diverged):
        train(latents, ARCHITECTURE, {**LONG, "lr": 1e18}, tmp_path)
    for path in tmp_path.glob("*.*"):
        path.unlink()
    assert "thrown away (recipe.lr is 1e+18 there" in announced(tmp_path, LONG)
    assert train(latents, ARCHITECTURE, LONG, tmp_path)
    assert "the training that ended here is thrown away (recipe.lr is 1e+18" in capsys.readouterr().err
    assert not (tmp_path / "state/diverged.json").exists()
    assert_same(tmp_path, reference)


# ------------------------------------------------------------------------------------------------------------- remarks


@pytest.mark.parametrize(
    ("ema", "steps", "odd"), [(0.9, 10, False), (0.9, 9, True), (0.9999, 600, True), (0, 1, False)]
)
def test_an_average_longer_than_the_training_is_remarked(ema, steps, odd):
    remark = Recipe(steps=steps, ema=ema).remark()
    assert (remark is not None) == odd
    if steps == 600:
        assert (
            "spans 10,000 steps, more than the 600 of the training, and 94% of it is still the random start" in remark
        )


def test_the_remark_is_said_before_training(latents, tmp_path, capsys):
    train(latents, ARCHITECTURE, {**RECIPE, "steps": 2, "snapshots": []}, tmp_path)
    assert capsys.readouterr().err.startswith("warning: ema is 0.9: the average of the weights spans 10 steps")
    assert Path(tmp_path / "step-0000002.safetensors").exists()
