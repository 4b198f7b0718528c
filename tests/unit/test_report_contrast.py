"""Differences of plans' distances: paired by sample, one seed or several, and the lead of the best of many."""

import numpy as np
import pandas as pd
import pytest
from report_results import with_parts

from twostage.evaluation.jackknife import standard_error
from twostage.report.results.contrast import Distances, with_changes, without_columns


def table_of(plans, seeds=(0,), sem=None):
    rows = [("x", "classifier", plan, seed, value + seed) for plan, value in plans.items() for seed in seeds]
    table = pd.DataFrame(rows, columns=["space", "features", "plan", "seed", "distance"])
    return table if sem is None else with_parts(table, sem)


def test_one_seeds_contrast_is_the_jackknifes():
    table = table_of({"a": 3.0, "b": 5.0, "c": 5.5}, sem=2.0)
    without = table[without_columns(table)].to_numpy()
    found = Distances.of(table, table["plan"]).contrast({"b": 1, "a": -0.5, "c": -0.5})
    error = standard_error(without[1] - 0.5 * (without[0] + without[2]))
    assert found.value == pytest.approx(5.0 - 0.5 * 8.5)
    assert found.high - found.value == pytest.approx(2.262157 * error, rel=1e-6)  # Student's t, 9 degrees
    alone = Distances.of(table, table["plan"]).contrast({"a": 1})
    assert alone.high - alone.value == pytest.approx(2.262157 * standard_error(without[0]), rel=1e-6)


def test_more_seeds_are_surer_and_without_parts_seeds_alone_decide():
    one, three = (
        Distances.of(table, table["plan"]).contrast({"b": 1, "a": -1})
        for table in (table_of({"a": 3.0, "b": 5.0}, seeds, sem=2.0) for seeds in ((0,), (0, 1, 2)))
    )
    assert one.value == pytest.approx(three.value)
    assert three.high - three.value < 0.8 * (one.high - one.value)
    bare = table_of({"a": 3.0, "b": 5.0}, (0, 1, 2))
    bare["distance"] += [0, 0.3, 0.6, 0, 0.1, 0.2]
    found = Distances.of(bare, bare["plan"]).contrast({"a": 1})
    assert found.high - found.value == pytest.approx(4.302653 * 1.3 / 3**0.5, rel=1e-6)
    alone = Distances.of(bare[bare["seed"] == 0], bare[bare["seed"] == 0]["plan"]).contrast({"b": 1, "a": -1})
    assert alone.value == 2.0
    assert np.isnan(alone.low)


def test_plans_with_the_same_samples_differ_by_nothing():
    table = table_of({"a": 16.5, "b": 16.5 + 4e-15, "c": 16.5 + 1e-9}, (0, 1, 2))
    distances = Distances.of(table, table["plan"])
    assert distances.contrast({"a": 1, "b": -1}) == (0, 0, 0)
    assert distances.contrast({"a": 1, "c": -1}).value == pytest.approx(-1e-9, rel=1e-4)


def test_parts_that_are_not_known_for_one_plan_are_used_for_none():
    table = table_of({"a": 3.0, "b": 5.0}, sem=2.0)
    table.loc[1, "distance_without_3"] = np.nan
    assert np.isnan(Distances.of(table, table["plan"]).contrast({"b": 1, "a": -1}).low)


def test_the_best_of_many_leads_by_less_than_it_seems():
    """Twenty plans alike in truth: the best of ten is not better than the best of the other ten."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        parts = pd.DataFrame(rng.standard_normal((10, 20)))
        held += Distances(parts, parts).lead(list(range(10)), list(range(10, 20))).low > 0
    assert held <= 14  # 2.5% of 200 are 5
    clear = Distances(parts - 10.0 * (parts.columns == 3), parts)
    assert clear.contrast({3: 1}).value == pytest.approx(parts[3].mean())
    clear = Distances(parts, parts - 10.0 * (parts.columns == 3))
    assert clear.lead([2, 3], [11, 12]).low > 5


def test_a_change_is_against_the_plan_that_it_names():
    table = table_of({"a": 3.0, "b": 5.0, "c": 9.0}, (0, 1), sem=0.1).assign(samples=400)
    found = with_changes(table, ["b"] * 6).drop_duplicates("plan").set_index("plan")
    assert found["change"].tolist() == pytest.approx([-2.0, 0.0, 4.0])
    assert (found["change_low"] <= found["change"]).all()
    table.loc[table["plan"] == "c", "samples"] = 100
    assert np.isnan(with_changes(table, ["b"] * 6).query("plan == 'c'")["change"]).all()
    assert np.isnan(with_changes(table, [None] * 6)["change"]).all()
