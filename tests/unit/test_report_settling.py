"""Single images in the report: rank correlations within groups, the images' share of the variance, the copies."""

import numpy as np
import pandas as pd
import pytest
from report_results import followed_images, settling, write, write_settling
from scipy.stats import spearmanr

from twostage.report.figures import fig_settling
from twostage.report.figures.pictures import from_text, read_settling
from twostage.report.results.settling import (
    by_halves,
    last_switch,
    rank_correlation,
    settled_copies,
    settling_images,
    share_of_images,
)


def test_of_one_group_it_is_spearmans():
    one, two = np.random.default_rng(0).standard_normal((2, 50))
    found = rank_correlation(one, one + two)
    assert found.value == pytest.approx(spearmanr(one, one + two).statistic)
    assert found.low < found.value < found.high
    assert rank_correlation(one, np.exp(one)) == pytest.approx((1, 1, 1))


def test_differences_between_groups_do_not_count():
    groups = np.repeat(np.arange(20), 10)
    one, two = np.random.default_rng(0).standard_normal((2, 200))
    within = rank_correlation(one, two, groups)
    assert rank_correlation(one + 100 * groups, two + 100 * groups, groups) == within
    assert rank_correlation(one + 100 * groups, two + 100 * groups).value > 0.9


@pytest.mark.parametrize("classes", [1, 20])
def test_its_interval_covers_the_number_in_95_of_100_trials(classes):
    rng, groups = np.random.default_rng(0), np.repeat(np.arange(classes), 100 // classes)
    trials = rng.standard_normal((200, 2, 100))
    found = [rank_correlation(one, one + two, groups) for one, two in trials]
    value = np.mean([each.value for each in found])
    assert np.mean([each.low <= value <= each.high for each in found]) == pytest.approx(0.95, abs=0.04)


def test_what_cannot_be_correlated_is_not_known():
    for first, second, groups in (
        ([1.0, 2.0], [2.0, 3.0], None),
        ([1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0], None),
        ([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0], [0, 1, 2, 3]),
        ([np.inf, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, np.nan], None),
    ):
        assert np.isnan(rank_correlation(first, second, groups)).all()


def test_the_share_of_the_images_is_that_of_a_simulation():
    """Images of standard deviation 1 about their classes, pairs of 2 about their image: a fifth."""
    rng, noises = np.random.default_rng(0), 8
    labels = np.repeat(np.arange(10), 200)
    pairs = (labels + rng.standard_normal(2000))[:, None] + 2 * rng.standard_normal((2000, noises))
    table = pd.DataFrame({"label": labels, "noises": noises, "time": pairs.mean(1), "time_sd": pairs.std(1, ddof=1)})
    assert share_of_images(table.assign(drawn=True)) == pytest.approx(1 / 5, abs=0.02)
    assert np.isnan(share_of_images(table.assign(drawn=labels < 0)))


def test_copies_are_those_of_pixels_at_switches_before_the_end(tmp_path):
    table = settling_images({"pixel": write(tmp_path, "settling.csv", settling())})
    samples = followed_images()
    samples = pd.concat([samples, samples])  # two samples follow each image
    found = settled_copies(table, {"pixel": write(tmp_path, "followed.csv", samples)})
    assert sorted(set(found["t_switch"])) == [0.4, 0.8]
    late = last_switch(found, "pixel")
    assert len(late) == 60
    expected = samples.query("space == 'pixel' and t_switch == 0.8").drop_duplicates("followed").set_index("followed")
    np.testing.assert_allclose(late.set_index("row")["ratio"], expected["ratio"].loc[late["row"]])
    earlier, later = by_halves(late)
    assert earlier > later
    assert (earlier + later) / 2 == pytest.approx(float((expected["ratio"] < 1 / 3).mean()))
    assert settled_copies(table, None).empty


def test_the_sheet_shows_the_images_of_the_file(tmp_path):
    path = write_settling(tmp_path / "settling.h5")
    table = fig_settling.drawn({"pixel": write(tmp_path, "settling.csv", settling())}, {"pixel": path})
    shown = table.dropna(subset="end")
    assert shown["end"].value_counts().to_dict() == {"first": 6, "last": 6}
    assert shown.loc[shown["end"] == "first", "time"].max() == table["time"].nsmallest(6).max()
    for row, pair in read_settling(path).items():
        mine = shown[shown["row"] == row].iloc[0]
        for name, image in zip(("image", "nearest_image"), pair):
            np.testing.assert_array_equal(from_text(mine[name]), image)


def test_without_pictures_and_copies_two_panels_are_left(tmp_path):
    table = fig_settling.drawn({"pixel": write(tmp_path, "settling.csv", settling())})
    assert len(fig_settling.figure(table).axes) == 2
