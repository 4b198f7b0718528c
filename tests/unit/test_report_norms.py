"""Norms of velocities: ratios and the identity on squares whose values are known, and the claims made of them."""

import h5py
import numpy as np
import pytest
from report_results import split_of, write, write_run
from test_report_sampling import gain_results

from twostage.report.claims import norms as claims
from twostage.report.claims.claim import FAILS, HOLDS, NOT_TESTED, UNDECIDED
from twostage.report.results.norms import Norms, norm_curves
from twostage.report.results.run import Results


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path, {"pixel": 0.45})


def changed(run, **change):
    """The run with datasets of its oracle_loss.h5 replaced by functions of their values, or left out."""
    with h5py.File(run["pair_errors"]["pixel"], "r+") as file:
        for name, function in change.items():
            if function is None:
                del file[name]
            else:
                file[name][...] = function(file[name][()])
    return run


def found(run, claim):
    names = ("pair_errors", "oracle_loss", "posterior", "transition", "split")
    (finding,) = claim.check(Results(**{name: run[name] for name in names}))
    return finding


def test_norms_over_those_of_the_oracle_and_of_the_target(run):
    table = norm_curves(run["pair_errors"], run["split"], models=["S", "B", "XL"])
    one = table[table["model"] == "S"]
    np.testing.assert_allclose(one["over_oracle"], 0.98**0.5)
    assert (one["over_oracle_high"] - one["over_oracle_low"]).max() < 1e-7  # one factor for all pairs
    oracle = table[table["model"] == "oracle"].reset_index(drop=True)
    np.testing.assert_allclose(oracle["over_conditional"], (1 - oracle["mse"] / 2) ** 0.5, rtol=1e-6)
    np.testing.assert_allclose(oracle["lacks"], oracle["mse"], atol=1e-12)
    norms = Norms(run["pair_errors"]["pixel"])
    assert norms.last("XL")[0] == 1200
    lacks = 2 - 0.98 * norms.oracle.mean(1)[0]
    np.testing.assert_allclose(norms.own_deficit("XL", 0, 1e-9).value, 0.02 * norms.oracle.mean(1)[0] / lacks)


def test_the_oracle_is_shorter_by_the_gap_or_the_claim_fails(run):
    identity = found(run, claims.ORACLE_IS_SHORTER)
    assert identity.verdict == HOLDS
    assert identity.estimate.value == pytest.approx(1)
    assert found(changed(run, gap=lambda gap: 2 * gap), claims.ORACLE_IS_SHORTER).verdict == FAILS
    noise = np.random.default_rng(0).standard_normal(256)
    loud = changed(run, gap=lambda gap: gap / 2, oracle_square=lambda square: square + 9 * noise)
    assert found(loud, claims.ORACLE_IS_SHORTER).verdict == UNDECIDED


def test_a_deficit_is_the_oracles_unless_the_model_adds_to_it(run):
    assert found(run, claims.DEFICIT_IS_THE_ORACLES).verdict == HOLDS
    shorter = changed(run, square=lambda square: square / 4)
    finding = found(shorter, claims.DEFICIT_IS_THE_ORACLES)
    assert finding.verdict == FAILS
    assert finding.note.startswith("XL, 1,200 steps: norm 0.4")
    noise = np.random.default_rng(0).standard_normal(256)
    loud = changed(run, square=lambda square: square + 20 * noise)
    assert found(loud, claims.DEFICIT_IS_THE_ORACLES).verdict == UNDECIDED
    longer = changed(run, square=lambda square: 9 * abs(square) + 9)
    finding = found(longer, claims.DEFICIT_IS_THE_ORACLES)
    assert (finding.verdict, finding.estimate) == (NOT_TESTED, None)  # there is no deficit to have a share of
    assert finding.note.endswith("it is not too short")


def test_pairs_of_an_earlier_version_are_not_tested(run):
    old = changed(run, square=None)
    assert found(old, claims.ORACLE_IS_SHORTER).verdict == NOT_TESTED
    with pytest.raises(ValueError, match=r"oracle_loss.h5 lacks square: run its stage again"):
        norm_curves(old["pair_errors"], old["split"])


def of_gains(folder, claim, **options):
    sources = {
        "tab_gain": {"pixel": write(folder, "tab_gain.csv", gain_results(**options))},
        "split": {"pixel": write(folder, "split.json", split_of(0.45))},
    }
    (finding,) = claim.check(Results(**sources))
    return finding


@pytest.mark.parametrize(("of_longer", "verdict"), [(10.0, HOLDS), (-10.0, FAILS), (0.0, UNDECIDED)])
def test_a_gain_helps_where_its_best_row_is_lower_on_the_other_half(tmp_path, of_longer, verdict):
    finding = of_gains(tmp_path, claims.GAIN_HELPS, of_longer=of_longer)
    assert finding.verdict == verdict
    assert "the best of 3" in finding.note  # the gain below 1 is none of them


@pytest.mark.parametrize(("late", "verdict"), [(-1.0, HOLDS), (1.0, FAILS), (0.0, UNDECIDED)])
def test_late_shortness_helps_where_the_gain_at_all_times_is_worse(tmp_path, late, verdict):
    finding = of_gains(tmp_path, claims.LATE_SHORTNESS_HELPS, late=late)
    assert finding.verdict == verdict
    assert finding.note == "α = 0.2"  # 0.1 has no twin
