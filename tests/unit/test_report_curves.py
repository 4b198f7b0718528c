"""Numbers read off curves: exact cases, intervals that widen with the errors, and ranges that are empty."""

import math

import numpy as np
import pytest

from twostage.report.results import curves
from twostage.report.results.curves import Estimate

T = np.linspace(0, 1, 101)
NONE = np.zeros_like(T)


def test_area_and_mean_of_a_straight_line_are_exact_at_any_ends():
    assert curves.area(T, 2 * T, 0.123, 0.777) == pytest.approx(0.777**2 - 0.123**2, rel=1e-12)
    assert curves.mean_over(T, 2 * T, NONE, 0.123, 0.777).value == pytest.approx(0.9, rel=1e-12)


def test_mean_over_an_empty_or_unknown_range_is_unknown():
    for low, high in ((0.5, 0.5), (1.2, 1.5), (math.nan, 1.0)):
        assert math.isnan(curves.mean_over(T, T, NONE, low, high).value)


def test_errors_along_a_curve_count_as_fully_correlated():
    mean = curves.mean_over(T, T, np.full_like(T, 0.1), 0, 1)
    assert mean.high - mean.value == pytest.approx(0.1 * curves.CONFIDENCE)


def test_share_before_a_time():
    share = curves.share_before(T, np.where(T <= 0.5, 1.0, 0.0), NONE, 0.5)
    assert share.value == pytest.approx(1.0, abs=0.02)
    flat = curves.share_before(T, np.ones_like(T), np.full_like(T, 0.01), 0.3)
    assert flat.value == pytest.approx(0.3)
    assert flat.low < 0.3 < flat.high
    assert math.isnan(curves.share_before(T, NONE, NONE, 0.5).value)


def test_crossing_is_the_last_rise_above_the_level_and_interpolated():
    assert curves.first_crossing(T, T, 0.505) == pytest.approx(0.505)
    dips = np.where(T < 0.2, 1.0, T)
    assert curves.first_crossing(T, dips, 0.5) == pytest.approx(0.5)
    assert math.isnan(curves.first_crossing(T, T, 1.1))
    assert curves.first_crossing(T, T, -1.0) == 0.0


def test_crossing_interval_holds_the_crossings_of_the_band():
    found = curves.crossing(T, T, np.full_like(T, 0.01), 0.5)
    assert found.low == pytest.approx(0.5 - 0.01 * curves.CONFIDENCE)
    assert found.high == pytest.approx(0.5 + 0.01 * curves.CONFIDENCE)


def test_difference_adds_errors_in_squares_and_ratio_uses_the_ends():
    first, second = Estimate(3, 2.7, 3.3), Estimate(1, 0.6, 1.4)
    assert curves.difference(first, second) == pytest.approx((2, 1.5, 2.5))
    assert curves.ratio(first, second) == pytest.approx((3, 2.7 / 1.4, 3.3 / 0.6))
    assert curves.ratio(first, Estimate(0.1, -0.1, 0.3)) == (30, -math.inf, math.inf)
    assert math.isnan(curves.ratio(first, Estimate(0, 0, 0)).value)


def test_mean_of_seeds_uses_students_t():
    found = curves.mean_of([1.0, 2.0, 3.0])
    assert found.high - found.value == pytest.approx(4.302653 / math.sqrt(3))
    assert math.isnan(curves.mean_of([1.0]).low)
    assert math.isnan(curves.mean_of([]).value)


def test_median_of_cases_has_an_interval_within_the_cases():
    found = curves.median_of([0.01, 0.02, 0.03, 0.04, 0.30], range(5))
    assert found.value == pytest.approx(0.03)
    assert 0.01 <= found.low < 0.03 < found.high <= 0.30


def test_values_of_one_pool_count_as_one():
    values = np.random.default_rng(0).standard_normal(8)
    once, twice = curves.median_of(values, range(8)), curves.median_of(np.repeat(values, 4), np.repeat(range(8), 4))
    assert (once.low, once.high) == (twice.low, twice.high)
    alone = curves.median_of(np.repeat(values, 4), range(32))
    assert alone.high - alone.low < 0.8 * (once.high - once.low)
    few = curves.median_of(values, [0, 1, 2, 3, 0, 1, 2, 3])
    assert math.isfinite(few.value)
    assert math.isnan(few.low)


def test_a_resampled_median_is_numpys():
    values, pools = np.array([1.0, 2.0, 5.0, 7.0, 11.0, 3.0]), np.array([0, 0, 1, 2, 3, 4])
    draws = np.random.default_rng(0).integers(5, size=(2000, 5))
    direct = [np.median(np.concatenate([values[pools == pool] for pool in draw])) for draw in draws]
    found = curves.median_of(values, pools)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(direct, [0.025, 0.975])))


def test_the_least_of_several_reaches_as_low_as_any_and_higher_than_each():
    several = [Estimate(1.0, 0.5, 1.5), Estimate(1.1, 0.2, 2.0), Estimate(3.0, 2.5, 3.5)]
    least, greatest = curves.least(several), curves.greatest(several)
    assert (least.value, least.low) == (1.0, 0.2)
    assert least.high == pytest.approx(1 + 0.5 * 2.3940 / 1.9600, rel=1e-4)  # 1 - 0.05 / 6 of a normal
    assert (greatest.value, greatest.high) == (3.0, 3.5)
    assert curves.least(several[:1]) == pytest.approx(several[0])
    assert math.isnan(curves.least([*several, Estimate(1, math.nan, math.nan)]).low)


def test_the_lead_of_single_plans_is_their_difference_and_of_many_is_less_sure():
    one = curves.lead([[2.0]], [[0.5]], 9)
    assert one == pytest.approx(curves.symmetric(2.0, 0.5, 9))
    many = curves.lead(np.array([[2.0, 3.0], [1.0, 2.0]]), np.full((2, 2), 0.5), 9)
    assert many.value == 2.0
    assert many.low < one.low
    assert math.isnan(curves.lead([[2.0]], [[math.nan]]).low)


def test_no_number_is_read_off_a_curve_with_a_hole():
    y = T.copy()
    y[50] = np.nan
    found = [curves.at(T, y, NONE, 0.2), curves.mean_over(T, y, NONE, 0, 1), curves.share_before(T, y, NONE, 0.2)]
    found += [curves.crossing(T, y, NONE, 0.2)]
    assert np.isnan(found).all()
    assert np.isnan(curves.area(T, y, 0, 1))


def test_a_curve_may_begin_late_and_end_early():
    y = T.copy()
    y[[0, 1, -1]] = np.nan
    assert curves.at(T, y, NONE, 0.5).value == pytest.approx(0.5)
    assert curves.mean_over(T, y, NONE, 0.2, 0.4).value == pytest.approx(0.3)


def test_a_seed_without_a_value_leaves_no_mean():
    assert np.isnan(curves.mean_of([1.0, np.nan, 3.0])).all()
    assert np.isnan(curves.ratio_of([1.0, 2.0, 3.0], [1.0, np.inf, 2.0])).all()


def test_a_curve_without_a_value_crosses_nothing():
    nothing = np.full(3, np.nan)
    found = curves.crossing([0, 0.5, 1], nothing, nothing, 0.5)
    assert all(np.isnan([found.value, found.low, found.high]))
