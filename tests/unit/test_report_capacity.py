"""Two models in three parts: shares that add up, verdicts, and a table that its CSV gives back."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from report_results import capacity, split_of, with_parts, write

from twostage.report.claims import capacity as claims
from twostage.report.claims import record, verdicts
from twostage.report.claims.claim import FAILS, HOLDS, NOT_TESTED, UNDECIDED
from twostage.report.figures import tab_capacity
from twostage.report.results import capacity as results
from twostage.report.results.contrast import Distances
from twostage.report.results.run import Results
from twostage.report.results.shapley import weights_of

SPLITS = {"pixel": 0.45, "vae": 0.4}


def drawn(folder, tables):
    """The drawn table of {space: evaluation}."""
    paths = {space: write(folder, f"{space}/tab_capacity.csv", table) for space, table in tables.items()}
    return tab_capacity.drawn(paths, {s: write(folder, f"{s}/split.json", split_of(SPLITS[s])) for s in tables})


def distances_of(table):
    return results.distances_of(table[(table["space"] == "pixel") & (table["features"] == "classifier")])


def test_values_are_those_of_the_glove_game():
    # Two left gloves and one right one: a pair is worth 1. Shapley's own example: 1/6, 1/6, 2/3.
    combinations = [(a, b, c) for a in (False, True) for b in (False, True) for c in (False, True)]
    worth = {combination: float(combination[2] and any(combination[:2])) for combination in combinations}
    found = weights_of({combination: combination for combination in combinations})
    values = [sum(weight * worth[plan] for plan, weight in weights.items()) for weights in found]
    assert values == pytest.approx([1 / 6, 1 / 6, 2 / 3])


def test_costs_that_add_up_are_each_parts_own(tmp_path):
    distances = distances_of(drawn(tmp_path, {"pixel": with_parts(capacity(costs=(0.5, 2.0, 1.5)), 0.1)}))
    found = [distances.contrast(weights).value for weights in results.costs().values()]
    assert found == pytest.approx([0.5, 2.0, 1.5])
    whole = {results.BOTH_SMALL: 1, results.BOTH_LARGE: -1}
    shares = [distances.share(weights, whole) for weights in results.costs().values()]
    assert [share.value for share in shares] == pytest.approx([0.125, 0.5, 0.375])
    assert all(share.low < share.value < share.high for share in shares)


def test_costs_that_come_together_are_shared():
    # 1.0 only where navigation and early refinement are both small: half for each, nothing for the third.
    rows = capacity(costs=(0, 0, 0), together=1.0)
    distances = Distances.of(rows, rows["kind"])
    assert [distances.contrast(weights).value for weights in results.costs().values()] == pytest.approx([0.5, 0.5, 0])


def test_a_cost_that_is_not_clear_of_zero_has_no_shares(tmp_path):
    for rows in (
        with_parts(capacity(costs=(0.01, 0.01, 0.01)), 5.0),
        capacity(costs=(0.5, 2.0, 1.5)),  # one seed, and no parts of it: no interval
        with_parts(capacity(costs=(-0.5, -2.0, -1.5)), 0.1),
    ):
        table = drawn(tmp_path, {"pixel": rows})
        whole = {results.BOTH_SMALL: 1, results.BOTH_LARGE: -1}
        assert all(np.isnan(distances_of(table).share(weights, whole).value) for weights in results.costs().values())
        assert tab_capacity.notes(table)[-1].endswith("not clear of zero, so its parts have no shares.")
    assert not re.search(r">[^<>]*\bnan\b[^<>]*<", tab_capacity.page(table).lower())


def test_costs_are_of_each_space_and_in_evaluations_and_operations(tmp_path):
    tables = {"pixel": capacity(), "vae": capacity(steps=(20, 17, 13))}
    headings, rows = tab_capacity.cells(drawn(tmp_path, tables))
    assert headings[:3] == list(results.PARTS)
    assert headings[5:7] == ["pixel, evaluations, large + small", "pixel, FLOPs"]
    by_models = {tuple(cell.text for cell in row[:3]): row for row in rows}
    assert next(iter(by_models)) == ("XL", "XL", "XL")
    row = by_models["B", "XL", "B"]
    # Of 24, 14 and 12 steps, and of 20, 17 and 13: XL takes the second part; it costs three times as much as B.
    assert [row[5].text, row[9].text] == ["14 + 36", "17 + 33"]
    assert [row[6].text, row[10].text] == [f"{(14 * 3 + 36) / 150:.0%}", f"{(17 * 3 + 33) / 150:.0%}"]


def test_a_missing_assignment_is_said(tmp_path):
    rows = with_parts(capacity(), 0.1)
    table = drawn(tmp_path, {"pixel": rows[rows["kind"] != "small-large-small"], "vae": rows})
    assert distances_of(table) is None
    assert "an assignment or a seed is missing" in " ".join(tab_capacity.notes(table))
    _, cells = tab_capacity.cells(table)
    missing = next(row for row in cells if [cell.text for cell in row[:3]] == ["B", "XL", "B"])
    assert [cell.text for cell in missing[3:7]] == ["–"] * 4
    assert missing[7].text != "–"
    assert tab_capacity.figure(table)


def test_the_csv_gives_the_picture_back(tmp_path):
    rows = with_parts(capacity(seeds=(0, 1)), 0.1)
    both = pd.concat([rows, rows.assign(features="inception", distance=rows["distance"] * 3)])
    table = drawn(tmp_path, {"pixel": both, "vae": rows})
    again = pd.read_csv(write(tmp_path, "drawn.csv", table))
    texts = [[text.get_text() for axes in tab_capacity.figure(t).axes for text in axes.texts] for t in (table, again)]
    assert texts[0] == texts[1]
    assert tab_capacity.page(again) == tab_capacity.page(table)


BY_ID = {claim.id: claim for claim in verdicts.claims_of(claims)}
# (claim, costs alone of navigation, early and late refinement, verdict); the large model throughout has 2.0.
CASES = [
    ("navigation-needs-capacity-least", (0.1, 1.0, 0.5), HOLDS),
    ("navigation-needs-capacity-least", (1.0, 1.5, 0.5), FAILS),
    ("navigation-needs-capacity-least", (0.5, 1.5, 0.501), UNDECIDED),
    ("flowblending-ends-need-capacity", (1.0, 0.1, 0.5), HOLDS),
    ("flowblending-ends-need-capacity", (1.0, 0.7, 0.5), FAILS),
    ("flowblending-ends-need-capacity", (1.0, 0.5, 0.501), UNDECIDED),
    ("flowblending-between-is-negligible", (1.0, 0.1, 1.0), HOLDS),
    ("flowblending-between-is-negligible", (1.0, 0.3, 1.0), FAILS),
    ("flowblending-between-is-negligible", (1.0, 0.2, 1.0), UNDECIDED),
    ("small-first-is-comparable", (0.1, 1.0, 1.0), HOLDS),
    ("small-first-is-comparable", (0.3, 1.0, 1.0), FAILS),
    ("small-first-is-comparable", (0.2, 1.0, 1.0), UNDECIDED),
]


@pytest.mark.parametrize(("name", "costs", "verdict"), CASES)
def test_verdict(tmp_path, name, costs, verdict):
    path = {"pixel": write(tmp_path, "tab_capacity.csv", with_parts(capacity(costs=costs), 0.1))}
    run = Results(capacity=path, split={"pixel": write(tmp_path, "split.json", split_of(0.45))})
    [(_, findings)] = verdicts.evaluate(run, [BY_ID[name]])
    assert record.overall(findings) == verdict, findings


def test_every_claim_is_untested_where_an_assignment_is_missing(tmp_path):
    rows = capacity()
    path = {"pixel": write(tmp_path, "tab_capacity.csv", rows[rows["kind"] != "small-large-small"])}
    run = Results(capacity=path, split={"pixel": write(tmp_path, "split.json", split_of(0.45))})
    for _, findings in verdicts.evaluate(run, BY_ID.values()):
        assert [finding.verdict for finding in findings] == [NOT_TESTED]


def test_evaluations_are_read_as_the_sampler_writes_them():
    assert json.loads(capacity()["evaluations"].iloc[1]) == {"XL": 38, "B": 12}
