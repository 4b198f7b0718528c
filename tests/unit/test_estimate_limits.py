"""Time limits from the estimate: what a job asks for, in how many attempts, and where the hours come from."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from twostage.config import load
from twostage.estimate.limits import TimeLimits, attempts, minutes

ROOT = Path(__file__).parents[2]
HOURS = {
    "train_XL": {"pixel": 73.1},
    "encode_shard": {"vae, train": 2.0, "vae, held_out": 3.0},
    "reference": {"inception": 1.0},
    "held_out_reference": {"inception": 4.0},
    "evaluate": {"pixel, tab1": 100.0},
}


def limits(folder, trusted=False, hours=HOURS, **jobs):
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text()) | {"jobs": {"longest": 2880} | jobs}
    found = TimeLimits(load(config), {}, folder, trusted)
    if hours is not None:
        found.keep(hours)
    return found


@pytest.mark.parametrize(
    ("hours", "attempt", "limit"), [(0, 1, 15), (0.1, 1, 15), (1, 1, 90), (1, 2, 180), (1, 9, 2880), (73.1, 1, 2880)]
)
def test_a_limit_is_half_as_much_again_within_its_bounds_and_doubles_when_tried_again(hours, attempt, limit):
    assert minutes(hours, 2880, attempt) == limit


@pytest.mark.parametrize(("hours", "limit", "number"), [(0, 15, 1), (32, 2880, 1), (32.1, 2880, 2), (73.1, 2880, 3)])
def test_attempts_cover_the_estimate_and_half_as_much_again(hours, limit, number):
    assert attempts(hours, limit) == number
    assert number * limit >= 60 * 1.5 * hours


def test_jobs_are_told_apart_by_rule_and_wildcards(tmp_path):
    found = limits(tmp_path)
    assert found.minutes("encode_shard", {"space": "vae", "split": "train", "shard": "7"}) == 180
    assert found.minutes("encode_shard", {"split": "held_out", "shard": "0", "space": "vae"}) == 270
    assert found.minutes("evaluate", {"space": "pixel", "experiment": "tab1"}) == 2880
    assert found.minutes("export", {"space": "pixel", "plan": "tab1-B", "seed": "0"}) == 15
    assert found.minutes("mine_reference", {"features": "inception"}) == 90  # as a part of another workflow
    assert found.minutes("mine_held_out_reference", {"features": "inception"}) == 360


def test_a_training_resumes_and_so_asks_for_the_same_again(tmp_path):
    found, job = limits(tmp_path, longest=1000), ("train_XL", {"space": "pixel"})
    assert [found.minutes(*job, attempt) for attempt in (1, 2, 3)] == [1000] * 3
    assert found.attempts(*job, 1000) == 7
    assert found.attempts("evaluate", {"space": "pixel", "experiment": "tab1"}, 1000) == 1


def test_what_is_kept_counts_for_the_same_configuration_or_for_jobs_of_the_run(tmp_path):
    limits(tmp_path)
    assert limits(tmp_path, hours=None).hours("train_XL", {"space": "pixel"}) == 73.1
    other = limits(tmp_path, hours=None, data={"mem_mb": 9000})
    assert other._key() != limits(tmp_path, hours=None)._key()
    assert limits(tmp_path, True, None, data={"mem_mb": 9000}).hours("train_XL", {"space": "pixel"}) == 73.1


def test_where_nothing_could_be_counted_every_job_asks_for_the_longest(tmp_path):
    limits(tmp_path).keep(None)
    found = limits(tmp_path, True, None)
    assert found.minutes("synthetic", {}) == 2880
    assert found.attempts("train_XL", {"space": "pixel"}, 2880) == 1


def test_hours_are_counted_in_a_process_of_its_own(tmp_path):
    """For what is kept of another configuration, too; this process imports no torch."""
    code = f"""\
import sys, yaml
from twostage.config import load
from twostage.estimate.limits import TimeLimits
config = load(yaml.safe_load(open({str(ROOT / "tests/workflow/faults.yaml")!r})))
limits = TimeLimits(config, {{}}, {str(tmp_path)!r})
limits.path.write_text('{{"key": "another", "hours": {{}}}}')
print(limits.hours("train_S", {{"space": "pixel"}}), "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    hours, imported = done.stdout.split()
    kept = json.loads((tmp_path / "hours-faults.json").read_text())["hours"]
    assert kept["train_S"]["pixel"] == float(hours) > 0
    assert imported == "False"
