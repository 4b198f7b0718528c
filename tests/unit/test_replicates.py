"""Runs that differ in their seeds alone: their configurations, the table of their claims, what a single run says."""

import math
import shutil
from dataclasses import replace
from html import unescape
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import yaml
from report_results import checked, checked_claim, write_run

from twostage.config import load
from twostage.config.replicates import are_replicates, published, replicate
from twostage.provenance import provenance_path, write_provenance
from twostage.report import publish as publishing
from twostage.report.claims import record, replicates, verdicts
from twostage.report.pages import claims as claims_page
from twostage.report.pages import replicates as page
from twostage.report.results.sources import SOURCES

CONFIG = {
    "run": "toy", "seed": 4, "data": {"name": "digits", "image_size": 8},
    "spaces": {"pixel": {"encoder": {"kind": "identity"}, "patch_size": 4}},
    "models": {name: {"hidden_size": 8, "depth": 1, "num_heads": heads} for name, heads in (("S", 1), ("B", 2))},
    "training": {"steps": 4, "snapshots": [2, 4]},
    "sampling": {"seeds": [0, 1, 2]},
    "experiments": {"tab1": {"models": ["B", "S"]}, "tab2": {"model": "B", "seeds": [5, 0]}},
}  # fmt: skip


# ------------------------------------------------------------------------------------------ configurations


def test_a_replicate_differs_in_its_seeds_alone():
    config = load(CONFIG)
    second = load(replicate(config, 2))
    assert (second.run, second.seed) == ("toy-seed6", 6)
    assert second.sampling.seeds == [12, 13, 14]
    assert (second.experiments.tab1.seeds, second.experiments.tab2.seeds) == (None, [17, 12])
    own = {"run", "seed", "sampling", "experiments"}
    assert second.model_dump(exclude=own) == config.model_dump(exclude=own)


def test_replicates_share_no_noise():
    config = load(CONFIG)
    runs = [config, *(load(replicate(config, number)) for number in (1, 2, 3))]
    drawn = [{*run.sampling.seeds, *run.experiments.tab2.seeds} for run in runs]
    assert all(max(first) < min(second) for first, second in pairwise(drawn))


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"run": "mine", "seed": 7, "replicates": 5}, True),
        ({"sampling": {"seeds": [3, 4, 5]}, "jobs": {"training": {"threads": 1}}}, True),
        ({"training": {"steps": 4, "snapshots": [2, 4], "log_every": 1}}, True),
        ({"sampling": {"seeds": [0, 1]}}, False),
        ({"training": {"steps": 5, "snapshots": [2, 4]}}, False),
        ({"data": {"name": "digits", "image_size": 8, "held_out": 0.3}}, False),
        ({"no_such_key": 1}, False),
    ],
)
def test_replicates_differ_in_nothing_that_changes_a_number_but_seeds(changes, same):
    assert are_replicates(CONFIG, CONFIG | changes) is same
    assert are_replicates(CONFIG | changes, load(CONFIG).model_dump(mode="json")) is same


def test_only_the_table_of_the_same_configuration_is_taken(tmp_path):
    config = load(CONFIG).model_dump(mode="json")
    assert published(tmp_path, config) == []
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config | {"seed": 9}))
    assert published(tmp_path, config) == []
    (tmp_path / "replicates.csv").touch()
    assert published(tmp_path, config) == [str(tmp_path / "replicates.csv")]
    assert published(tmp_path, config | {"split": 0.3}) == []


# ------------------------------------------------------------------------------------------ the table


def run_of(**cases):
    """The claims of a run with one claim: {case: (verdict, value, half width or None)}."""
    claim = checked_claim("words")
    findings = [
        record.CheckedFinding(case, verdict, None, value, half and [value - half, value + half], "")
        for case, (verdict, value, half) in cases.items()
    ]
    return checked(replace(claim, findings=findings))


def test_a_row_has_the_verdicts_and_the_spread_beside_the_interval():
    runs = [run_of(a=("holds", 1.0, 0.5)), run_of(a=("fails", 4.0, 0.7)), run_of(a=("holds", 2.5, 0.1))]
    (row,) = replicates.table(runs).to_dict("records")
    assert (row["verdicts"], row["changed"], row["known"]) == ("holds, fails, holds", True, 3)
    assert (row["value"], row["low"], row["high"]) == (1.0, 0.5, 1.5)
    assert (row["mean"], row["sd"], row["lowest"], row["highest"]) == pytest.approx((2.5, 1.5, 1.0, 4.0))
    assert row["half_width"] == pytest.approx(0.5)  # sqrt((0.25 + 0.49 + 0.01) / 3)
    assert row["ratio"] == pytest.approx(1.959964 * 1.5 / 0.5)
    assert row["chance"] == pytest.approx(math.exp(-(row["ratio"] ** 2)))  # of chi-squared with two degrees of freedom


def test_what_is_not_known_is_nan_and_no_number():
    runs = [
        run_of(exact=("holds", 1.0, None), gone=("holds", 2.0, 0.1), none=("not tested", None, None)),
        run_of(exact=("holds", 3.0, None), new=("fails", 0.0, 1.0), none=("not tested", None, None)),
    ]
    rows = replicates.table(runs).set_index("case")
    assert rows["verdicts"].to_dict() == {
        "exact": "holds, holds", "gone": "holds, not tested", "none": "not tested, not tested",
        "new": "not tested, fails",
    }  # fmt: skip
    assert rows["sd"].dropna().to_dict() == pytest.approx({"exact": math.sqrt(2)})
    assert rows["ratio"].isna().all()
    assert rows["chance"].isna().all()
    assert math.isnan(rows.loc["new", "value"])
    assert rows.loc["none"][["mean", "lowest", "highest", "half_width"]].isna().all()
    total = replicates.summary(rows.reset_index()).iloc[-1]
    assert (total["cases"], total["changed"], total["opposed"], total["compared"]) == (3, 2, 0, 0)
    assert math.isnan(total["widen"])


def test_numbers_in_which_nothing_is_random_are_not_compared():
    (claim,) = run_of(a=("holds", 1.0, 0.5)).claims
    rows = replicates.table(2 * [checked(replace(claim, covers=""))])
    assert rows["ratio"].isna().all()


def test_one_run_is_no_replicate():
    with pytest.raises(ValueError, match="1 run is no replicate; expected the claims of two or more"):
        replicates.table([run_of(a=("holds", 1.0, None))])


@pytest.mark.parametrize(("count", "training"), [(3, 0.0), (2, 1.0), (6, 1.0)])
def test_the_factor_is_that_by_which_the_spread_is_larger(count, training):
    """Numbers with the error that the interval says (sd 1), and one of the training beside it."""
    rng = np.random.default_rng(count)
    values = rng.normal(scale=math.hypot(1, training), size=(count, 600))
    half = 1.959964
    runs = [run_of(**{f"c{i}": ("undecided", value, half) for i, value in enumerate(row)}) for row in values]
    total = replicates.summary(replicates.table(runs)).iloc[-1]
    assert total["widen"] == pytest.approx(math.hypot(1, training), rel=0.12)
    if not training:
        assert total["beyond"] == pytest.approx(0.05 * 600, abs=4 * math.sqrt(0.05 * 600))


# ------------------------------------------------------------------------------------------ files and pages


@pytest.fixture(scope="module")
def claims(tmp_path_factory):
    """The claims.json of two runs: the second has another verdict in one case."""
    folder = tmp_path_factory.mktemp("claims")
    run = {name: path for name, path in write_run(folder).items() if name in SOURCES}
    first, second = folder / "claims.json", folder / "second.json"
    verdicts.write(first, folder / "claims.csv", **run)
    content = record.read(first)
    claim = next(claim for claim in content.claims if claim.findings[0].verdict == "holds")
    turned = replace(claim.findings[0], verdict="fails", value=claim.findings[0].value + 1)
    others = [replace(c, findings=[turned, *c.findings[1:]]) if c is claim else c for c in content.claims]
    record.write(second, replace(content, claims=others))
    return {
        "run": run,
        "paths": [first, second, first],
        "csv": folder / "claims.csv",
        "turned": (claim.id, turned.case),
    }


def test_a_single_run_says_which_of_its_verdicts_changed_with_the_seed(claims, tmp_path):
    table = tmp_path / "replicates.csv"
    page.write(table, tmp_path / "replicates.html", claims["paths"], config=CONFIG)
    verdicts.write(tmp_path / "again.json", tmp_path / "again.csv", known=table, **claims["run"])
    remark = "verdict changed with the seed in replicates of this configuration: holds 2, fails 1"
    rows = pd.read_csv(tmp_path / "again.csv", keep_default_na=False).set_index(["id", "case"])
    assert list(rows.index[rows["note"].str.endswith(remark)]) == [claims["turned"]]
    content = record.read(tmp_path / "again.json")
    shown = " ".join(unescape(claims_page.page(content)).split())
    assert shown.count(remark) == 1
    assert "In 3 runs of this configuration that differ in their seeds, the verdict changed in 1 of" in shown
    assert "with the seed" not in claims_page.page(record.read(claims["paths"][0]))
    # Nothing else is another, and the provenance names the table.
    before = pd.read_csv(claims["csv"], keep_default_na=False).drop(columns="note")
    pd.testing.assert_frame_equal(rows.reset_index()[before.columns], before)
    assert str(table) in provenance_path(tmp_path / "again.json").read_text()


def test_the_table_that_is_read_is_the_one_that_was_written(claims, tmp_path):
    page.write(tmp_path / "replicates.csv", tmp_path / "replicates.html", claims["paths"], config=CONFIG)
    made = replicates.table([record.read(path) for path in claims["paths"]])
    pd.testing.assert_frame_equal(replicates.read(tmp_path / "replicates.csv"), made, rtol=1e-8, check_dtype=False)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"other\.csv cannot be read as replicates .*; run `replicates` again"):
        replicates.read(tmp_path / "other.csv")


def test_the_markdown_has_the_cases_that_change_and_no_others(claims):
    rows = replicates.table([record.read(path) for path in claims["paths"]])
    summary, cases = page.markdown(rows).split("\n\n")
    assert len(cases.splitlines()) == 3
    assert "| holds 2, fails 1 |" in cases
    tested = len(rows) - (rows["verdicts"] == "not tested, not tested, not tested").sum()
    assert summary.splitlines()[-1].startswith(f"| all | {tested} | 1 | 1 |")
    assert len({line.count("|") for line in summary.splitlines()}) == 1


def test_replicates_of_another_configuration_are_not_published(claims, tmp_path):
    report, config = tmp_path / "toy/report", load(CONFIG).model_dump(mode="json")
    report.mkdir(parents=True)
    page.write(report / "replicates.csv", report / "replicates.html", claims["paths"], config=config)
    shutil.copy(claims["csv"], report)
    write_provenance(report / "claims.csv")
    (tmp_path / "toy/config.yaml").write_text(yaml.safe_dump(config))
    assert "replicates.csv" in publishing.publish(tmp_path / "toy", tmp_path / "docs")
    (tmp_path / "toy/config.yaml").write_text(yaml.safe_dump(config | {"split": 0.3}))
    with pytest.raises(ValueError, match=r"replicates\.csv is of another configuration .*: run `replicates` again"):
        publishing.publish(tmp_path / "toy", tmp_path / "docs")
