"""Statistics: lines that survive a kill, the watch for divergence."""

import json
import sys

import pytest
import torch

from twostage.training.processes import Processes
from twostage.training.statistics import EXPLODED, Diverged, Statistics


def add(log, *losses, norm=1.0):
    for loss in losses:
        log.add(torch.tensor(loss), torch.tensor(norm))


def write(log, keep=0):
    log.end_line(Processes("cpu"), 0.1, 8)
    log.write(lambda step: f"batch of {step}", keep)


def steps(path):
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def test_line_holds_the_means_since_the_last_one(tmp_path):
    log = Statistics(tmp_path / "stats.jsonl", 4)
    add(log, 1.0, 2.0)
    add(log, 6.0, norm=4.0)
    write(log)
    write(log)  # nothing new, no line
    (line,) = [json.loads(line) for line in (tmp_path / "stats.jsonl").read_text().splitlines()]
    assert (line["step"], line["loss"], line["grad_norm"], line["lr"]) == (7, 3.0, 2.0, 0.1)
    assert line["samples_per_second"] == pytest.approx(24 / line["seconds"])


def test_lines_after_the_checkpoint_and_torn_ones_are_cut_off_in_place(tmp_path):
    path, link = tmp_path / "stats.jsonl", tmp_path / "link"
    lines = [json.dumps({"step": step, "seconds": 2.0 * step}) + "\n" for step in (2, 4, 6)]
    path.write_text("".join(lines))
    link.hardlink_to(path)
    log = Statistics(path, 5)
    assert steps(link) == [2, 4]
    assert log.seconds == 8.0
    path.write_text(lines[0] + lines[1][:-4])
    Statistics(path, 5)
    assert steps(path) == [2]
    path.write_text(lines[0] + lines[1].rstrip())  # whole but for its newline: the next line would join it
    Statistics(path, 5)
    assert steps(path) == [2]
    Statistics(path, 0)
    assert path.read_text() == ""


@pytest.mark.parametrize(
    ("loss", "norm"), [(float("nan"), 1.0), (1.0, float("inf")), (1.0, float("nan")), (EXPLODED * 1.01, 1.0)]
)
def test_first_bad_step_is_reported_with_its_batch(loss, norm):
    log = Statistics(None, 10)
    add(log, 1.0, 2.0)
    log.check(lambda step: pytest.fail("these steps were fine"))
    add(log, 3.0)
    add(log, loss, norm=norm)
    add(log, float("nan"))
    with pytest.raises(Diverged, match=r"step 14: loss .*; batch of 13"):
        log.check(lambda step: f"batch of {step}")


def test_a_line_may_wait_for_the_next_one_but_no_bad_step_passes(tmp_path):
    path = tmp_path / "stats.jsonl"
    log = Statistics(path, 0)
    add(log, 1.0, 2.0)
    write(log, keep=1)
    assert steps(path) == []
    add(log, 3.0, float("nan"))
    write(log, keep=1)
    assert steps(path) == [2]
    add(log, 1.0)
    with pytest.raises(Diverged, match=r"step 4: loss nan.*; batch of 3"):  # one line later
        write(log, keep=1)
    assert steps(path) == [2]


def test_missing_tensorboard_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match="pip install tensorboard"):
        Statistics(tmp_path / "stats.jsonl", 0, tmp_path / "board")


def test_tensorboard_shows_the_lines_and_hides_those_after_a_checkpoint(tmp_path):
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    board = tmp_path / "board"
    for start, losses in ((0, (1.0, 2.0, 3.0, 4.0)), (2, (5.0, 6.0))):  # killed after step 4, resumed from step 2
        log = Statistics(tmp_path / "stats.jsonl", start, board)
        for loss in losses:
            add(log, loss)
            write(log)
        log.close()
    shown = accumulators.EventAccumulator(str(board)).Reload()
    assert [(event.step, event.value) for event in shown.Scalars("loss")] == [(1, 1.0), (2, 2.0), (3, 5.0), (4, 6.0)]
    assert {"grad_norm", "samples_per_second"} <= set(shown.Tags()["scalars"])
