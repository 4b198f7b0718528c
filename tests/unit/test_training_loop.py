"""Training runs: survival of kills and signals, refusals, and the same numbers however the work is cut."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch
from safetensors.torch import load_file
from training_examples import ARCHITECTURE, RECIPE, SIZES, write_latents

from twostage.data.latents import LatentStore
from twostage.model.checkpoints import load_model
from twostage.model.lightningdit import LightningDiT
from twostage.training.__main__ import main
from twostage.training.lock import Lock
from twostage.training.loop import Run, train
from twostage.training.processes import Processes
from twostage.training.recipe import Recipe
from twostage.training.state import StateFolder
from twostage.training.statistics import Diverged
from twostage.training.stop import StopRequest, announce_end

OUTPUTS = ["stats.jsonl", "step-0000004.safetensors", "step-0000012.safetensors"]
KEPT = ["events.jsonl", "finished", "lock", "training.json"]


@pytest.fixture(scope="module")
def latents(tmp_path_factory):
    return write_latents(tmp_path_factory.mktemp("data") / "latents.h5", flips=True)


@pytest.fixture(scope="module")
def reference(latents, tmp_path_factory):
    """A training that nothing disturbed."""
    output = tmp_path_factory.mktemp("reference")
    assert train(latents, ARCHITECTURE, RECIPE, output)
    return output


def command(latents, output, recipe=RECIPE):
    return [
        *("--latents", str(latents), "--output", str(output), "--device", "cpu"),
        *("--architecture", json.dumps(ARCHITECTURE), "--recipe", json.dumps(recipe)),
    ]


def lines(output):
    return [json.loads(line) for line in (output / "stats.jsonl").read_text().splitlines()]


def losses(output):
    return {line["step"]: (line["loss"], line["grad_norm"]) for line in lines(output)}


def assert_same_weights(output, reference):
    for name in OUTPUTS[1:]:
        assert (output / name).read_bytes() == (reference / name).read_bytes(), name


def weights(output):
    return load_file(output / OUTPUTS[-1])


def events(output):
    return [json.loads(line) for line in (output / "state" / "events.jsonl").read_text().splitlines()]


def assert_complete(output):
    files = {path.relative_to(output).as_posix() for path in output.rglob("*")}
    outputs = {name + suffix for name in OUTPUTS for suffix in ("", ".provenance.json")}
    links = {f"state/{name}" for name in OUTPUTS}
    assert files == outputs | links | {"state", *(f"state/{name}" for name in KEPT)}
    assert all(path.stat().st_nlink > 1 for name in links if (path := output / name))


# --------------------------------------------------------------------------------------------------- a whole training


def test_training_writes_its_outputs_and_nothing_else(reference):
    assert_complete(reference)
    assert [line["step"] for line in lines(reference)] == [2, 3, 4, 6, 8, 9, 10, 12]
    last = lines(reference)[-1]
    assert last["lr"] == RECIPE["lr"]
    assert last["samples_per_second"] > 0
    model = load_model(reference / OUTPUTS[-1])
    assert model.architecture == SIZES
    assert model.metadata["step"] == 12
    assert model.metadata["training"]["recipe"]["ema"] == 0.9
    provenance = json.loads((reference / f"{OUTPUTS[-1]}.provenance.json").read_text())
    assert provenance["config"]["recipe"]["batch_size"] == 8


@pytest.mark.parametrize("changes", [{}, {"target": "oracle"}, {"preset": "lightningdit"}, {"precision": "bf16"}])
def test_training_learns(latents, reference, tmp_path, changes):
    train(latents, ARCHITECTURE, {**RECIPE, "steps": 60, **changes}, tmp_path)
    found = [line["loss"] for line in lines(tmp_path)]
    assert sum(found[-5:]) / 5 < 0.9 * sum(found[:3]) / 3
    assert (losses(tmp_path)[4] == losses(reference)[4]) == (not changes)


def test_snapshots_are_the_moving_average(latents, tmp_path):
    """With decay 0 the snapshot is the model itself; with 0.9 it lags behind the start by 0.9 after one step."""
    starts, ends = [], []
    for decay in (0.0, 0.9):
        output = tmp_path / str(decay)
        train(latents, ARCHITECTURE, {**RECIPE, "steps": 1, "snapshots": [], "ema": decay}, output)
        ends.append(load_file(output / "step-0000001.safetensors"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        starts = LightningDiT(**SIZES).state_dict()
    for name, start in starts.items():
        torch.testing.assert_close(ends[1][name], start + 0.1 * (ends[0][name] - start), rtol=1e-5, atol=1e-7)
    assert not torch.equal(ends[0]["final_layer.linear.weight"], starts["final_layer.linear.weight"])


def test_steps_leave_no_graph_behind(latents):
    """Averages and losses that kept their history would make every step hold on to all before it."""
    run = Run(LatentStore.open(latents), SIZES, Recipe.parse(RECIPE).resolved("cpu"), 0, Processes("cpu"))
    run.prepare()
    kept = [*run.step(*next(run.stream(0, 1))), *run.ema.values(), *run.state().values()]
    assert not any(tensor.requires_grad for tensor in kept)


def test_complete_training_ends_at_once(latents, reference, capsys):
    before = {path: path.stat().st_mtime_ns for path in reference.rglob("*")}
    assert main(command(latents, reference)) == 0
    assert {path: path.stat().st_mtime_ns for path in reference.rglob("*")} == before


# ------------------------------------------------------------------------------------------------------------ survival


def test_killed_training_ends_bit_identical(latents, reference, tmp_path):
    slow = (
        "import sys, time, twostage.training.loop as loop, twostage.training.__main__ as command; step = loop.Run.step;"
        "loop.Run.step = lambda *a: (time.sleep(0.02), step(*a))[1]; sys.exit(command.main())"
    )
    for wait_for in ("state/checkpoint-0000003.safetensors", "state/checkpoint-0000009.safetensors"):
        with subprocess.Popen([sys.executable, "-c", slow, *command(latents, tmp_path)]) as victim:
            deadline = time.monotonic() + 100
            while not (tmp_path / wait_for).exists() and victim.poll() is None and time.monotonic() < deadline:
                time.sleep(0.002)
            victim.kill()
        assert victim.returncode == -signal.SIGKILL
        assert (tmp_path / wait_for).exists()
    assert train(latents, ARCHITECTURE, RECIPE, tmp_path)
    assert_complete(tmp_path)
    assert_same_weights(tmp_path, reference)
    assert losses(tmp_path) == losses(reference)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_signals_checkpoint_and_ask_for_another_run(latents, reference, tmp_path, capsys, number):
    stats = tmp_path / "state" / "stats.jsonl"

    def send():
        while not (stats.exists() and stats.stat().st_size):
            time.sleep(0.001)
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    sender.start()
    code = main(command(latents, tmp_path, {**RECIPE, "steps": 12, "log_every": 1}))
    sender.join()
    assert code == 85
    assert f"{signal.Signals(number).name}: checkpoint of step" in capsys.readouterr().err
    assert list((tmp_path / "state").glob("checkpoint-*"))
    assert main(command(latents, tmp_path)) == 0
    assert_same_weights(tmp_path, reference)


def test_wall_clock_budget_leaves_with_a_checkpoint_each_time(latents, reference, tmp_path):
    recipe = {**RECIPE, "minutes": 1e-9}
    done = [train(latents, ARCHITECTURE, recipe, tmp_path) for _ in range(12)]
    assert done == [False] * 11 + [True]
    assert_complete(tmp_path)
    assert_same_weights(tmp_path, reference)


def test_a_training_leaves_before_its_slurm_job_ends(latents, reference, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time())))
    assert not train(latents, ARCHITECTURE, RECIPE, tmp_path)
    assert "the time limit of the Slurm job is near: checkpoint of step 1 written" in capsys.readouterr().err
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 3600))  # the job, begun anew
    assert train(latents, ARCHITECTURE, RECIPE, tmp_path)
    assert_same_weights(tmp_path, reference)


def test_the_end_of_a_job_leaves_time_for_two_checkpoints(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "time", lambda: 5000 + now[0])
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)
    announce_end(120)  # of an old Slurm; two hours
    with StopRequest(None, now[0]) as stop:
        stop.expect_save(10.8e9)  # XL, 108 s until one was timed
        now[0] += 7200 - 60 - 220
        assert not stop.requested()
        with stop.timed_save():
            now[0] += 6
        assert not stop.requested()
        now[0] = 1000 + 7200 - 60 - 13
        assert not stop.requested()
        now[0] += 2
        assert stop.requested()
    monkeypatch.delenv("SLURM_JOB_ID")  # outside Slurm nobody ends it
    with StopRequest(None, now[0]) as stop:
        assert not stop.requested()


SLOW = """
import atexit, os, pathlib, time
replace, note = os.replace, pathlib.Path(os.environ["NOTE"])
def slow(source, target):
    if "checkpoint" in str(target):
        (note / "writing").touch()
        time.sleep(3)
    replace(source, target)
os.replace = slow
if "RANK" in os.environ:
    rank, state = os.environ["RANK"], pathlib.Path(os.environ["STATE"])
    atexit.register(lambda: (note / rank).write_text(str(len(list(state.glob("checkpoint-*"))))))
    (note / "grace").write_text(os.environ["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"])
"""


def test_processes_leave_together_and_who_started_them_waits(latents, tmp_path):
    """SIGTERM to the first process alone, and a checkpoint that takes long: nobody ends before it is written."""
    note, output = tmp_path / "note", tmp_path / "out"
    note.mkdir()
    (note / "sitecustomize.py").write_text(SLOW)
    recipe = {**RECIPE, "steps": 1_000_000, "checkpoint_every": 1_000_000, "log_every": 1}
    environment = {**os.environ, "NOTE": str(note), "STATE": str(output / "state")}
    environment["PYTHONPATH"] = os.pathsep.join([str(note), *filter(None, [os.environ.get("PYTHONPATH")])])
    line = [sys.executable, "-m", "twostage.training", *command(latents, output, recipe), "--gpus", "2"]
    with subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, text=True) as launched:
        stats = output / "state" / "stats.jsonl"
        while launched.poll() is None and not (stats.exists() and stats.stat().st_size):
            time.sleep(0.05)
        launched.send_signal(signal.SIGTERM)
        said = launched.communicate()[1]
    assert launched.returncode == 1, said
    assert [event["event"] for event in events(output)] == ["start", "leave"]
    assert [(note / rank).read_text() for rank in "01"] == ["1", "1"]
    step, _ = StateFolder(output).newest()
    assert f"SIGTERM: checkpoint of step {step} written" in said
    assert int((note / "grace").read_text()) * 20e6 >= 10.8e9  # XL, on a slow disk, where torchrun was told as well


def test_deleted_outputs_of_a_failed_job_come_back(latents, reference, tmp_path):
    for _ in range(6):
        train(latents, ARCHITECTURE, {**RECIPE, "minutes": 1e-9}, tmp_path)
    assert (tmp_path / OUTPUTS[1]).exists()
    for name in OUTPUTS:
        (tmp_path / name).unlink(missing_ok=True)
    assert train(latents, ARCHITECTURE, RECIPE, tmp_path)
    assert_same_weights(tmp_path, reference)
    assert lines(tmp_path)[0]["step"] == 1


def test_deleted_outputs_of_a_finished_training_come_back_without_training(latents, tmp_path):
    train(latents, ARCHITECTURE, RECIPE, tmp_path)
    weights = (tmp_path / OUTPUTS[0]).read_bytes()
    for name in OUTPUTS:
        (tmp_path / name).unlink()  # as a workflow manager does that was killed and is started again
    assert train(latents, ARCHITECTURE, RECIPE, tmp_path)
    assert_complete(tmp_path)
    assert (tmp_path / OUTPUTS[0]).read_bytes() == weights
    assert [event["event"] for event in events(tmp_path)] == ["start", "finish", "finish"]


def test_a_finished_training_makes_room_for_another_recipe(latents, tmp_path):
    train(latents, ARCHITECTURE, {**RECIPE, "lr": 0.02}, tmp_path)
    for name in OUTPUTS:
        (tmp_path / name).unlink()
    assert train(latents, ARCHITECTURE, RECIPE, tmp_path)
    assert_complete(tmp_path)
    assert [event["step"] for event in events(tmp_path) if event["event"] == "start"] == [0, 0]


def test_events_tell_where_each_attempt_began_and_what_it_repeats(latents, tmp_path):
    for _ in range(4):
        train(latents, ARCHITECTURE, {**RECIPE, "minutes": 1e-9, "log_every": 1}, tmp_path)
    (tmp_path / "state" / "checkpoint-0000004.safetensors").unlink()
    train(latents, ARCHITECTURE, RECIPE, tmp_path)
    starts = [(event["step"], event["repeated"]) for event in events(tmp_path) if event["event"] == "start"]
    assert starts == [(0, 0), (1, 0), (2, 0), (3, 0), (3, 1)]
    assert all(event["pid"] == os.getpid() for event in events(tmp_path))


def test_damaged_checkpoint_costs_steps_not_the_training(latents, reference, tmp_path, capsys):
    for _ in range(5):
        train(latents, ARCHITECTURE, {**RECIPE, "minutes": 1e-9}, tmp_path)
    newest = tmp_path / "state" / "checkpoint-0000005.safetensors"
    newest.write_bytes(newest.read_bytes()[:1000])
    assert train(latents, ARCHITECTURE, RECIPE, tmp_path)
    assert "checkpoint-0000005.safetensors is damaged" in capsys.readouterr().err
    assert_same_weights(tmp_path, reference)
    steps = [line["step"] for line in lines(tmp_path)]
    assert steps == sorted(set(steps))


def test_diverging_training_stops_with_step_rate_and_rows(latents, tmp_path):
    with pytest.raises(Diverged, match=r"step \d+: loss .*learning rate 1e\+18; rows of the batch: \[\d+, .*\]"):
        train(latents, ARCHITECTURE, {**RECIPE, "lr": 1e18}, tmp_path)
    assert not (tmp_path / OUTPUTS[-1]).exists()


# ----------------------------------------------------------------------------------------------------------- refusals


def test_other_recipe_data_and_seed_are_refused_with_the_difference(latents, reference, tmp_path):
    with pytest.raises(ValueError, match=r"recipe.lr is 0.01 there and 0.02 here"):
        train(latents, ARCHITECTURE, {**RECIPE, "lr": 0.02}, reference)
    train(latents, ARCHITECTURE, {**RECIPE, "minutes": 1e-9}, tmp_path)
    with pytest.raises(ValueError, match=r"seed is 0 there and 1 here"):
        train(latents, ARCHITECTURE, RECIPE, tmp_path, seed=1)
    other = write_latents(tmp_path / "other.h5", flips=True, fingerprint="1" * 64)
    with pytest.raises(ValueError, match=r"data.fingerprint is '\w+' there and '\w+' here"):
        train(other, ARCHITECTURE, RECIPE, tmp_path)
    assert train(latents, ARCHITECTURE, {**RECIPE, "checkpoint_every": 5}, tmp_path)  # how often is nobody's number


def test_output_in_use_is_refused_and_let_be(latents, tmp_path, capsys):
    holder = Lock(tmp_path / "state")
    holder.acquire()
    assert main(command(latents, tmp_path)) == 1
    assert "is in use" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["state", "lock"]
    holder.release()
    assert main(command(latents, tmp_path)) == 0


def test_full_disk_ends_with_one_line_and_the_next_run_goes_on(latents, reference, tmp_path, capsys):
    train(latents, ARCHITECTURE, {**RECIPE, "minutes": 1e-9}, tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        assert main(command(latents, tmp_path)) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    said = capsys.readouterr().err
    assert "could not be written" in said
    assert "the checkpoint of step 1 is intact. Make room, then run the same command" in said
    assert main(command(latents, tmp_path)) == 0
    assert_complete(tmp_path)
    assert_same_weights(tmp_path, reference)


def test_snapshots_left_by_another_recipe_are_let_be(latents, reference, tmp_path):
    train(latents, ARCHITECTURE, {**RECIPE, "steps": 3, "snapshots": [], "lr": 0.5}, tmp_path)
    (tmp_path / "stats.jsonl").unlink()
    assert train(latents, ARCHITECTURE, RECIPE, tmp_path)
    assert_same_weights(tmp_path, reference)
    assert (tmp_path / "step-0000003.safetensors").exists()


def test_damaged_snapshot_is_made_anew(latents, reference, tmp_path):
    train(latents, ARCHITECTURE, RECIPE, tmp_path)
    (tmp_path / OUTPUTS[1]).write_bytes(b"damaged")
    assert train(latents, ARCHITECTURE, RECIPE, tmp_path)
    assert_same_weights(tmp_path, reference)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--architecture": "{"}, "not JSON"),
        ({"--recipe": '{"steps": 4, "batch": 8}'}, "there is no 'batch'; did you mean 'batch_size'"),
        ({"--architecture": '{"patch_size": 2}'}, "expected exactly patch_size, hidden_size, depth, num_heads"),
        ({"--architecture": json.dumps({**ARCHITECTURE, "patch_size": 3})}, "patch_size is 3"),
        ({"--architecture": json.dumps({**ARCHITECTURE, "depth": "two"})}, "depth is 'two'; expected a whole number"),
        ({"--latents": "nowhere.h5"}, "nowhere.h5"),
    ],
)
def test_bad_input_is_one_line(latents, tmp_path, capsys, changes, message):
    arguments = command(latents, tmp_path / "out")
    for flag, value in changes.items():
        arguments[arguments.index(flag) + 1] = value
    try:
        code = main(arguments)
    except SystemExit as exit_of_parser:
        code = exit_of_parser.code
    assert code not in (0, 85)
    assert message in capsys.readouterr().err


# ------------------------------------------------------------------------------- the same numbers, however it is cut


def assert_near(output, reference):
    ours, theirs = losses(output), losses(reference)
    assert ours.keys() == theirs.keys()
    for step, values in ours.items():
        assert values == pytest.approx(theirs[step], rel=1e-4), step
    for name, weight in weights(output).items():
        torch.testing.assert_close(weight, weights(reference)[name], rtol=1e-3, atol=1e-4)


def test_accumulation_changes_nothing_but_rounding(latents, reference, tmp_path):
    train(latents, ARCHITECTURE, {**RECIPE, "accumulate": 4}, tmp_path)
    assert_near(tmp_path, reference)


def test_recomputed_activations_change_nothing(latents, reference, tmp_path):
    train(latents, ARCHITECTURE, {**RECIPE, "activation_checkpointing": True}, tmp_path)
    assert_same_weights(tmp_path, reference)


def test_two_processes_have_the_losses_of_one(latents, reference, tmp_path):
    assert main([*command(latents, tmp_path, {**RECIPE, "accumulate": 2}), "--gpus", "2"]) == 0
    assert_complete(tmp_path)
    assert_near(tmp_path, reference)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--gpus", "3", "--nodes", "2"], "3 GPUs on 2 nodes; expected a multiple of the nodes"),
        (["--nodes", "2"], "nodes is 2, but this is no Slurm job; expected 1"),
    ],
)
def test_processes_that_cannot_be_started_are_refused(latents, tmp_path, capsys, monkeypatch, arguments, reason):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert main([*command(latents, tmp_path), *arguments]) == 1
    assert reason in capsys.readouterr().err


def test_a_world_size_without_torchrun_is_ignored(latents, reference, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert main(command(latents, tmp_path)) == 0
    assert_same_weights(tmp_path, reference)


def test_batch_that_cannot_be_shared_out_is_refused():
    processes = Processes("cpu")
    processes.count = 3
    with pytest.raises(ValueError, match="batch_size is 8; expected a multiple of 3 processes x 1 parts"):
        processes.share(8, 1)
