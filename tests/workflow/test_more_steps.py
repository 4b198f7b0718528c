"""More steps after the end, through Snakemake: it says what becomes of the training before it starts, and goes on."""

import json

import pytest

FOLDER = "results/smoke/training/pixel/S"
RECIPE = "training={steps: %d, snapshots: [2], batch_size: 32, lr: 1.0e-3, ema: 0.5, keep_state: %s}"


@pytest.mark.parametrize("kept", [True, False])
def test_more_steps_go_on_from_a_kept_state_or_say_what_is_thrown_away(checkout, kept):
    said = []
    for steps in (4, 6):
        recipe = RECIPE % (steps, "true" if kept else "false")
        done = checkout.snakemake("--config", recipe, "--", f"{FOLDER}/step-{steps:07d}.safetensors")
        said.append(done.stderr)
    events = [json.loads(line) for line in (checkout.folder / FOLDER / "state/events.jsonl").read_text().splitlines()]
    assert [event["step"] for event in events if event["event"] == "start"] == [0, 4 if kept else 0]
    assert f"{FOLDER}: a training" not in said[0]
    if kept:
        assert f"{FOLDER}: a training of 4 steps lies here; it goes on from step 4" in said[1]
    else:
        assert f"{FOLDER}: the training that ended here is thrown away (recipe.snapshots is [2, 4] there" in said[1]
        assert "because its last state was not kept" in said[1]
