"""The estimate counts the jobs that Snakemake would run, whatever the configuration."""

import json
import re
from functools import cache

import pytest
import yaml
from conftest import ROOT, Checkout

from twostage.config import load
from twostage.estimate.limits import attempts, minutes, resumes

# What is in the dry run and not in the estimate, and why.
COSTS_NOTHING = {
    r"fig\w+|tab\w+|law|nsweep": "drawing takes seconds",
    "claims|replicates": "reads tables",
    "report": "reads pictures and tables",
    "all": "a name for other targets",
}
CONFIGURATIONS = [
    *(f"config/{name}.yaml" for name in ("config", "cifar10_cpu", "cifar10", "imagenet256")),
    "tests/workflow/smoke.yaml",
]
OTHER = "other.yaml"  # the smallest of them, with what none of them has: Flux, a fixed split, files from elsewhere


@cache
def estimated(checkout, configfile):
    """(jobs by rule, jobs by target) of `snakemake estimate`, which is run once per configuration."""
    output = checkout.snakemake("--quiet", "--", "estimate", configfile=configfile).stdout
    tables = re.split(r"^(?:rule|target) .*\n", output, flags=re.MULTILINE)[1:]
    jobs = []
    for table in tables:
        jobs.append({})
        # Name, what it is of, jobs, and five numbers more.
        for name, count in re.findall(r"^(\w+) .*? (\d+)(?: +[\d.,e+-]+){5}$", table, flags=re.MULTILINE):
            jobs[-1][name] = jobs[-1].get(name, 0) + int(count)
    rules, targets = jobs
    assert rules.pop("everything") == sum(rules.values())
    return rules, targets


def planned(checkout, configfile, *targets):
    """{rule: jobs} of a dry run, without what costs nothing."""
    output = checkout.snakemake("--dry-run", "--quiet", "rules", "--", *targets, configfile=configfile).stdout
    jobs = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", output, flags=re.MULTILINE)}
    assert jobs.pop("total") == sum(jobs.values())
    free = re.compile(rf"(replicate\d+_)?({'|'.join(COSTS_NOTHING)})")
    return {rule: count for rule, count in jobs.items() if not free.fullmatch(rule)}


def put_weights(folder):
    """Weights that a configuration names and no rule fetches, as empty files."""
    (folder / "weights").mkdir(exist_ok=True)
    for name in ("vavae-imagenet256-f16d32-dinov2.pt", "XL.safetensors", "adm.npz"):
        (folder / "weights" / name).touch()


def put_empty_class_folders(folder):
    """What ImageNet's configuration asks for before it is planned."""
    for split in ("train", "val"):
        (folder / f"data/imagenet/{split}/n00000000").mkdir(parents=True)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A checkout in which nothing has run, with the weights that a plan asks for."""
    checkout = Checkout(tmp_path_factory.mktemp("estimate"))
    config = yaml.safe_load((checkout.folder / CONFIGURATIONS[-1]).read_text())
    config["flux"] = {"model": "some/model", "revision": "0" * 40, "height": 64, "width": 64}
    config["spaces"]["vae"]["encoder"]["align_weight"] = 0.5
    config["models"]["XL"]["checkpoint"] = {"pixel": "weights/XL.safetensors"}
    config["evaluation"] = {"features": ["inception", "classifier"], "references": {"inception": "weights/adm.npz"}}
    config["split"] = 0.3
    del config["experiments"]["tab1"]
    (checkout.folder / OTHER).write_text(yaml.safe_dump(config))
    put_weights(checkout.folder)
    return checkout


@pytest.mark.parametrize("configfile", [*CONFIGURATIONS, OTHER])
def test_the_jobs_are_those_of_the_dry_run(fresh, configfile):
    rules, _ = estimated(fresh, configfile)  # before the images are there
    if "imagenet" in configfile:
        put_empty_class_folders(fresh.folder)
    assert rules == planned(fresh, configfile, "all")


@pytest.mark.parametrize("configfile", CONFIGURATIONS[:3])
def test_no_job_is_estimated_above_its_time_limit(fresh, configfile):
    config = load(yaml.safe_load((ROOT / configfile).read_text()))
    kept = fresh.folder / f".snakemake/twostage/hours-{config.run}.json"
    if not kept.exists():
        estimated(fresh, configfile)
    stages = [getattr(config.jobs, stage).runtime for stage in ("data", "oracle", "training", "sampling", "evaluation")]
    for rule, jobs in json.loads(kept.read_text())["hours"].items():
        for where, hours in jobs.items():
            if set(stages) == {"auto"}:
                limit = minutes(hours, config.jobs.longest)
                tried = attempts(hours, limit) if resumes(rule) else 1
            else:
                limit, tried = min(stages), 1
            assert 60 * hours <= limit * tried, (rule, where)
            assert tried == 1 or (config.run, rule) == ("imagenet256", "train_XL")


def test_the_documented_table_has_every_job_and_its_time_limit(fresh):
    """Its memory is that of the unit tests: to count it takes half a minute."""
    text = (ROOT / "docs/scales.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| (\w+) +\| (.*?) +\| (\d+) .*?\| (\S+) +\| (\S+) +\| (\d+) ", text, flags=re.MULTILINE)
    estimated(fresh, "config/imagenet256.yaml")
    hours = json.loads((fresh.folder / ".snakemake/twostage/hours-imagenet256.json").read_text())["hours"]
    assert len(lines) > 40
    for rule, where, _, shown, limit, tried in lines:
        found = hours[rule][where.strip()]
        assert float(shown) == pytest.approx(found, rel=5e-3), "`make limits` writes it anew"
        assert int(limit.replace(",", "")) == minutes(found, 2880)
        assert int(tried) == (attempts(found, 2880) if resumes(rule) else 1)
    assert {rule for rule, *_ in lines} >= {f"train_{model}" for model in ("S", "S_oracle", "B", "XL")}


def test_a_target_has_the_jobs_of_its_own_dry_run(fresh):
    _, targets = estimated(fresh, CONFIGURATIONS[-1])
    for target in ("fig2", "fig7", "fig5", "fig8", "tab1", "tab_plans", "tab_reconstruction"):
        assert targets[target] == sum(planned(fresh, CONFIGURATIONS[-1], target).values()), target


@pytest.mark.parametrize("configfile", [CONFIGURATIONS[-1], OTHER])
def test_replicates_have_the_jobs_of_all_runs_and_what_is_fetched_once(fresh, configfile):
    _, targets = estimated(fresh, configfile)
    jobs = planned(fresh, configfile, "replicates")
    assert targets["replicates"] == sum(jobs.values())
    fetched = sum(count for rule, count in jobs.items() if "fetch" in rule)
    assert (fetched > 0) == (configfile == OTHER)
    assert targets["replicates"] - fetched == 3 * (targets["claims"] - fetched)


def test_nothing_is_made(fresh):
    estimated(fresh, CONFIGURATIONS[0])
    assert {path.name for path in (fresh.folder / "results").rglob("*") if path.is_file()} <= {
        "estimate.log",
        "limits.log",
    }
