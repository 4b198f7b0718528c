"""``fig_jump``: what its table says of the plans, every claim driven to hold and away from it, and its picture."""

import math

import pandas as pd
import pytest
from matplotlib.text import Text
from report_jump import FALL, jumped, memorized, write_references
from report_results import information, split_of, transition, write

from twostage.report.claims import jump as claims
from twostage.report.claims import record, verdicts
from twostage.report.claims.claim import FAILS, HOLDS, NOT_TESTED, UNDECIDED
from twostage.report.figures import fig_jump
from twostage.report.results.jump import jumps, plans_of
from twostage.report.results.run import Results

LAW = 0.42


def sources(folder, table=None, beside=None, *, told=True):
    table = jumped() if table is None else table
    beside = memorized(table) if beside is None else beside
    law = transition("x", LAW)
    assert "split_predicted" in law
    made = {
        "jump": ("csv", table), "memorization_jump": ("csv", beside), "split": ("json", split_of(0.41)),
        "transition": ("json", law | {"split_predicted": LAW}),
    }  # fmt: skip
    if told:
        made["information"] = ("csv", information())
    found = {name: {"x": write(folder, f"{name}.{kind}", content)} for name, (kind, content) in made.items()}
    return found | {"references": {"x": write_references(folder / "references.h5", 0.45)}}


def test_the_table_says_where_plans_start_and_what_they_are_compared_with(tmp_path):
    paths = sources(tmp_path, jumped(seeds=(0, 1)))
    table = jumps(*(paths[name] for name in ("jump", "memorization_jump", "split", "transition", "information")))
    jump, uniform = (plans_of(table, kind).set_index("t") for kind in ("jump", "uniform"))
    assert list(jump.index) == list(uniform.index) == pytest.approx(list(FALL))
    assert list(jump["saved"]) == pytest.approx([0.2, 0.4, 0.44, 0.6])
    assert jump["change"][0.4] == pytest.approx(-0.5)
    assert jump["change_low"][0.4] < -0.5 < jump["change_high"][0.4]
    assert list(jump["against"]) == pytest.approx([-0.3] * 4)
    assert uniform["against"].isna().all()
    assert (table["control"] == 3).all()
    assert set(table["law"]) == {LAW}
    assert 0.4 < table["decided"].iloc[0] < 0.5
    assert len(table) == 2 * 9


def test_what_is_not_there_is_not_made_up(tmp_path):
    table = jumped()
    paths = sources(tmp_path, table[table["kind"] != "uniform"], memorized(table, control=None), told=False)
    found = jumps(paths["jump"], paths["memorization_jump"])
    assert found[["against", "control", "law", "decided", "split"]].isna().all().all()
    fig_jump.figure(found)


COSTS, BEATS, TURNS, CLASS, ERRORS, KEEPS, NEW, SAME, SKIPS = (claim.id for claim in verdicts.claims_of(claims))
# {name: (jumps, what memorized() is given)}, each read once
RUNS = {
    "usual": ({}, {}),
    "dear": ({"found": {0.4: 3.5}, "uniform": -0.3, "recall": 0.9}, {"nearest": 2.0, "same": 4.0}),
    "unsure": ({"found": {0.2: 2.9, 0.4: 3.06}, "uniform": 0.0, "sem": 20}, {"nearest": 2.86, "same": 2.5, "sem": 0.2}),
    "flat": ({"found": {0.2: 2.5, 0.4: 2.5, 0.6: 3.4}, "sem": 50, "coverage": 0.9}, {}),
    "early": ({"found": {0.1: 2.5, 0.2: 2.8, 0.45: 2.9}}, {}),  # the best jump goes far before the split
    "rising": ({"found": {0.4: 2.5, 0.45: 2.4}, "coverage": math.nan}, {"control": None}),  # it has not turned
    "skipping": ({"found": {0.16: 2.8, 0.3: 3.5}}, {}),  # 15% to 30% of the steps, not all as good
    "seeds": ({"seeds": (0, 1, 2)}, {}),
    "seeds lose": ({"seeds": (0, 1, 2), "coverage": 0.9}, {}),
    "far": ({"found": {0.8: 3.4}}, {}),  # none goes to the split
}
CASES = [
    (COSTS, {"usual": HOLDS, "dear": FAILS, "unsure": UNDECIDED, "far": NOT_TESTED}),
    (BEATS, {"usual": HOLDS, "dear": FAILS, "unsure": UNDECIDED, "far": NOT_TESTED}),
    (TURNS, {"usual": HOLDS, "early": FAILS, "rising": UNDECIDED, "flat": UNDECIDED}),
    (CLASS, {"usual": HOLDS, "early": FAILS, "flat": UNDECIDED}),
    (ERRORS, {"usual": HOLDS, "early": FAILS, "flat": UNDECIDED}),
    (KEEPS, {"usual": UNDECIDED, "seeds": HOLDS, "seeds lose": FAILS, "rising": NOT_TESTED}),
    (NEW, {"usual": HOLDS, "dear": FAILS, "unsure": UNDECIDED, "rising": NOT_TESTED}),
    (SKIPS, {"usual": HOLDS, "skipping": FAILS, "unsure": UNDECIDED, "far": NOT_TESTED}),
    (SAME, {"usual": HOLDS, "dear": FAILS, "unsure": UNDECIDED, "far": NOT_TESTED}),
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    made = {}
    for name, (options, beside) in RUNS.items():
        table = jumped(**options)
        made[name] = Results(**sources(tmp_path_factory.mktemp(name), table, memorized(table, **beside)))
    return made


@pytest.mark.parametrize(("name", "expected"), CASES, ids=[name for name, _ in CASES])
def test_verdict(runs, name, expected):
    [claim] = [claim for claim in verdicts.claims_of(claims) if claim.id == name]
    for run, verdict in expected.items():
        [(_, findings)] = verdicts.evaluate(runs[run], [claim])
        assert record.overall(findings) == verdict, (run, findings)


def test_every_rule_is_driven_to_each_verdict():
    for claim in verdicts.claims_of(claims):
        found = {*dict(CASES)[claim.id].values()} - {NOT_TESTED}
        assert found == {HOLDS, FAILS, UNDECIDED}


def test_diversity_has_an_interval_where_there_are_seeds(tmp_path):
    table = jumped(seeds=(0, 1, 2))
    for seed, share in enumerate((0.45, 0.5, 0.55)):  # lost: 10%, nothing, and 10% more
        table.loc[(table["seed"] == seed) & (table["kind"] == "jump"), "recall"] = share
    [(_, [finding])] = verdicts.evaluate(Results(**sources(tmp_path, table)), [claims.KEEPS_DIVERSITY])
    assert finding.verdict == UNDECIDED
    assert finding.estimate.value == pytest.approx(0)
    assert finding.estimate.low < 0 < finding.estimate.high


def test_without_classes_to_tell_the_class_predicts_nothing(tmp_path):
    paths = sources(tmp_path)
    paths["information"] = {"x": write(tmp_path, "one.csv", information(conditionings=("class", "all")))}
    [(_, [finding])] = verdicts.evaluate(Results(**paths), [claims.TURNS_WITH_THE_CLASS])
    assert finding.verdict == NOT_TESTED


def test_errors_of_another_model_predict_nothing_and_a_gaussian_that_stays_nearer_the_end(tmp_path):
    paths = sources(tmp_path)
    for options, verdict in (({"model": "B"}, NOT_TESTED), ({}, FAILS)):
        paths["references"] = {"x": write_references(tmp_path / "other.h5", 2.0, **options)}
        [(_, [finding])] = verdicts.evaluate(Results(**paths), [claims.TURNS_WITH_THE_ERRORS])
        assert finding.verdict == verdict
    assert finding.estimate.value == pytest.approx(0.45 - 1)


def test_a_picture_from_its_csv_alone_is_the_same(tmp_path):
    outputs = [tmp_path / f"fig_jump.{kind}" for kind in ("pdf", "png", "csv")]
    paths = sources(tmp_path, jumped())
    keywords = {name: paths[name] for name in ("split", "transition", "information")}
    fig_jump.draw(paths["jump"], paths["memorization_jump"], *outputs, **keywords)
    assert all(path.stat().st_size > 1000 for path in outputs)
    words, again = (
        [text.get_text() for text in fig_jump.figure(table).findobj(Text)]
        for table in (fig_jump.drawn(paths["jump"], paths["memorization_jump"], **keywords), pd.read_csv(outputs[2]))
    )
    assert words == again
    assert any(text.startswith("x: 3 with 50 evaluations; 2.45 at t = 0.45") for text in words)
