"""One field up to the split, another after it: shares that add up, verdicts, and a table that its CSV gives back."""

import re

import pandas as pd
import pytest
from report_results import halves, split_of, with_parts, write

from twostage.report.claims import halves as claims
from twostage.report.claims import record, verdicts
from twostage.report.claims.claim import FAILS, HOLDS, NOT_TESTED, UNDECIDED
from twostage.report.figures import tab_halves
from twostage.report.results.run import Results

SPLITS = {"pixel": 0.45, "vae": 0.4}


def drawn(folder, tables):
    """The drawn table of {space: evaluation}."""
    paths = {space: write(folder, f"{space}/tab_halves.csv", table) for space, table in tables.items()}
    return tab_halves.drawn(paths, {s: write(folder, f"{s}/split.json", split_of(SPLITS[s])) for s in tables})


def row_of(table, kind):
    return table[table["kind"] == kind].iloc[0]


def test_shares_are_the_mean_of_both_orders_and_add_up(tmp_path):
    table = drawn(tmp_path, {"pixel": with_parts(halves(), 0.01)})
    for before, after, navigates, refines in (("XL", "XL", 0.2, 2.0), ("gaussian", "S", 0.1, 9.0)):
        row, both = row_of(table, f"{before} > {after}"), navigates * refines
        whole = navigates + refines + both
        assert row["navigation"] == pytest.approx((navigates + both / 2) / whole)  # what they do together is halved
        assert row["navigation"] + row["refinement"] == pytest.approx(1)
        assert row["refinement_low"] < row["refinement"] < row["refinement_high"]


def test_shares_of_a_half_that_is_the_oracles_or_of_no_excess_are_dashes(tmp_path):
    alike = with_parts(halves(lambda before, after: 2.0), 0.5)
    one_seed = halves()  # without parts: no interval
    better = with_parts(halves(lambda before, after: 1.0 + (before == after == "oracle")), 0.01)
    for rows in (alike, one_seed, better):
        table = drawn(tmp_path, {"pixel": rows})
        assert table[["navigation", "refinement"]].isna().all(axis=None)
        headings, cells = tab_halves.cells(table)
        shares = [i for i, heading in enumerate(headings) if "share" in heading]
        assert {row[i].text for row in cells for i in shares} == {"–"}
    assert not re.search(r">[^<>]*\bnan\b[^<>]*<", tab_halves.page(table).lower())
    words = [text.get_text() for axes in tab_halves.figure(table).axes for text in axes.texts]
    assert "XL: excess not clear of zero" in words
    table = drawn(tmp_path, {"pixel": with_parts(halves(), 0.01)})
    known = table[table["navigation"].notna()]
    assert not set(known["before"]) & {"oracle"}
    assert not set(known["after"]) & {"oracle"}


def test_a_change_is_against_the_refiner_throughout(tmp_path):
    table = drawn(tmp_path, {"pixel": with_parts(halves(), 0.01)})
    for kind in ("gaussian > XL", "oracle > S", "XL@250 > oracle"):
        row = row_of(table, kind)
        throughout = row_of(table, f"{row['after']} > {row['after']}")
        assert row["change"] == pytest.approx(row["mean"] - throughout["mean"])
    _, cells = tab_halves.cells(table)
    evaluations = {(row[0].text, row[1].text): row[-1].text for row in cells}
    assert evaluations["gaussian", "XL"] == "26"
    assert evaluations["XL@250", "oracle"] == "50"


def test_the_csv_gives_the_picture_back(tmp_path):
    rows = with_parts(halves(seeds=(0, 1)), 0.1)
    both = pd.concat([rows, rows.assign(features="inception", distance=rows["distance"] * 3)])
    table = drawn(tmp_path, {"pixel": both[both["kind"] != "S > S"]})
    again = pd.read_csv(write(tmp_path, "drawn.csv", table))
    texts = [[text.get_text() for axes in tab_halves.figure(t).axes for text in axes.texts] for t in (table, again)]
    assert texts[0] == texts[1]
    assert tab_halves.page(again) == tab_halves.page(table)


def adding(navigates, refines):
    """Distances to which the halves add: {navigator: what it adds}, {refiner: what it adds}; others as the first."""

    def distance(before, after):
        return 1.0 + navigates.get(before, navigates["XL"]) + refines.get(after, 0.0)

    return with_parts(halves(distance), 0.1)


FLAT = {"gaussian": 0.0, "XL": 0.0, "S": 0.0, "oracle": 0.0}
BY_ID = {claim.id: claim for claim in verdicts.claims_of(claims)}
CASES = [
    ("navigation-needs-no-network", adding({"gaussian": 0.0, "XL": 0.5, "S": 0.5}, {}), HOLDS),
    ("navigation-needs-no-network", adding({"gaussian": 0.5, "XL": 0.0, "S": 0.7}, {}), FAILS),  # of one model
    ("navigation-needs-no-network", adding({"gaussian": 0.5, "XL": 0.5, "S": 0.7}, {}), UNDECIDED),
    ("navigators-are-alike", adding(FLAT | {"gaussian": 0.2}, {"XL": 1.0, "S": 9.0}), HOLDS),
    ("navigators-are-alike", adding(FLAT | {"gaussian": 2.0}, {"XL": 1.0, "S": 9.0}), FAILS),
    ("navigators-are-alike", adding(FLAT | {"gaussian": 0.9}, {"XL": 1.0, "S": 9.0}), UNDECIDED),
    ("navigators-are-alike", adding(FLAT | {"XL@250": 5.0}, {"XL": 1.0, "S": 9.0}), HOLDS),  # a snapshot is set aside
    ("refinement-makes-most-of-the-distance", adding(FLAT | {"XL": 1.0, "S": 1.0}, {"XL": 2.0, "S": 9.0}), HOLDS),
    ("refinement-makes-most-of-the-distance", adding(FLAT | {"XL": 2.0, "S": 1.0}, {"XL": 1.0, "S": 9.0}), FAILS),
    ("refinement-makes-most-of-the-distance", adding(FLAT | {"XL": 2.0, "S": 1.0}, {"XL": 2.0, "S": 9.0}), UNDECIDED),
    ("refinement-makes-most-of-the-distance", adding(FLAT, {}), UNDECIDED),  # no excess
]


@pytest.mark.parametrize(("name", "rows", "verdict"), CASES)
def test_verdict(tmp_path, name, rows, verdict):
    path = {"pixel": write(tmp_path, "tab_halves.csv", rows)}
    run = Results(halves=path, split={"pixel": write(tmp_path, "split.json", split_of(0.45))})
    [(_, findings)] = verdicts.evaluate(run, [BY_ID[name]])
    assert record.overall(findings) == verdict, findings


@pytest.mark.parametrize("missing", ["S > oracle", "oracle > oracle"])
def test_claims_are_untested_where_a_plan_is_missing(tmp_path, missing):
    rows = halves()
    rows = rows[rows["kind"] != missing]
    path = {"pixel": write(tmp_path, "tab_halves.csv", rows)}
    run = Results(halves=path, split={"pixel": write(tmp_path, "split.json", split_of(0.45))})
    for _, findings in verdicts.evaluate(run, BY_ID.values()):
        assert [finding.verdict for finding in findings] == [NOT_TESTED]
