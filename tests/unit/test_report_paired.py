"""Models compared pair by pair: tells apart what their own spread hides; refuses what it cannot read."""

import h5py
import numpy as np
import pandas as pd
import pytest
from report_results import oracle_loss, write_pairs

from twostage.report.results import curves
from twostage.report.results.paired import PairErrors

CURVE = pd.DataFrame({"model": ["B"], "step": [600]})


def test_means_of_the_pairs_have_the_mean_of_the_curve(tmp_path):
    losses = oracle_loss(0.4)
    pairs = PairErrors(write_pairs(tmp_path, "oracle_loss.h5", losses))
    rows = losses[(losses["model"] == "B") & (losses["step"] == 600)]
    for window in ((0.0, 0.413), (0.5, 1.0), (0.0, 1.0)):
        mean = curves.mean_over(rows["t"], rows["oracle"], rows["oracle_sem"], *window)
        own = curves.mean_of(pairs.means(rows, *window))
        assert own.value == pytest.approx(mean.value, rel=1e-9)
        assert own.high - own.low == pytest.approx(mean.high - mean.low, rel=0.01)
    assert np.isnan(pairs.means(rows, 0.6, 0.6)).all()


def test_a_small_difference_shows_through_a_large_common_spread():
    random = np.random.default_rng(0)
    common = 1 + random.standard_normal(200) ** 2
    first, second = common * 1.02 + 0.01 * random.standard_normal(200), common
    apart = curves.difference(curves.mean_of(first), curves.mean_of(second))
    assert apart.low < 0 < apart.high
    assert curves.mean_of(first - second).low > 0
    share = curves.ratio_of(first, second)
    assert share.value == pytest.approx(first.mean() / second.mean())
    assert 1.0 < share.low < share.value < share.high < 1.04


def test_interval_of_a_ratio_covers_the_truth_as_often_as_it_says():
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        second = 2 + random.standard_normal(100)
        first = 0.5 * second + random.standard_normal(100)
        share = curves.ratio_of(first, second)
        covered += share.low < 0.5 < share.high
    assert 0.91 < covered / 400 < 0.98


def test_what_cannot_be_read_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.h5 is not there"):
        PairErrors(tmp_path / "nowhere.h5")
    (tmp_path / "text.h5").write_text("text")
    with pytest.raises(ValueError, match=r"text\.h5 cannot be read as HDF5"):
        PairErrors(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["t"] = [0.0]
    with pytest.raises(ValueError, match=r"other\.h5 lacks model, step, oracle"):
        PairErrors(tmp_path / "other.h5")
    pairs = PairErrors(write_pairs(tmp_path, "oracle_loss.h5", oracle_loss(0.4)))
    with pytest.raises(ValueError, match="no errors of L at step 600"):
        pairs.means(CURVE.assign(model="L"), 0.0, 1.0)
