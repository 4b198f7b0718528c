"""Whom models follow: roles of curves, the figure, and the claims on files whose errors are known."""

import numpy as np
import pandas as pd
import pytest
from report_results import posterior, split_of, transition, write, write_references

from twostage.report.claims import references as claims
from twostage.report.claims.claim import FAILS, HOLDS, NOT_TESTED, UNDECIDED
from twostage.report.figures import fig_references
from twostage.report.results.references import References, reference_curves
from twostage.report.results.run import Results

CURVES = [("S", 100), ("S", 200), ("B", 100), ("B", 200), ("XL", 100), ("XL", 200), ("XL", 400)]


def run_of(folder, *, curves=CURVES, models=("S", "B", "XL"), **options):
    return Results(
        models=list(models),
        references={"pixel": write_references(folder / "references.h5", curves, **options)},
        posterior={"pixel": write(folder, "posterior.csv", posterior(0.45))},
        transition={"pixel": write(folder, "transition.json", transition("pixel", 0.45))},
        split={"pixel": write(folder, "split.json", split_of(0.45))},
    )


def test_curves_have_their_roles_and_the_errors_of_images(tmp_path):
    run = run_of(tmp_path)
    found = run.references["pixel"]
    assert found.sizes(run.models) == [("S", 200), ("B", 200), ("XL", 200)]  # XL trained on
    assert found.snapshots(run.models) == [("XL", 100), ("XL", 200), ("XL", 400)]
    assert found.sizes(["S"]) == [("S", 200)]
    assert found.sizes(["Elsewhere"]) == [("S", 200)]  # of models whose size is not known, one
    table = reference_curves(run.path("references"), run.path("split"), models=run.models)
    roles = table.drop_duplicates(["model", "step"]).set_index(["model", "step"])["role"]
    assert roles.tolist() == ["other", "size", "other", "size", "snapshot", "snapshot", "largest"]
    one = table[(table["role"] == "largest") & (table["kind"] == "own")].pivot(
        index="t", columns="target", values="error"
    )
    np.testing.assert_allclose(one["image"], (1 - one.index) ** 2 * one["oracle"])
    np.testing.assert_allclose(one["oracle"], found.errors(("XL", 400), "own", "oracle").mean(1))


@pytest.mark.parametrize(("gaussian", "verdict"), [(0.5, HOLDS), (2.0, FAILS), (1.0, UNDECIDED)])
def test_models_navigate_by_the_gaussian_or_not(tmp_path, gaussian, verdict):
    (finding,) = claims.NAVIGATES_BY_THE_GAUSSIAN.check(run_of(tmp_path, gaussian=gaussian))
    assert finding.verdict == verdict
    assert finding.estimate.value == pytest.approx(gaussian, rel=0.1)
    assert "on its own trajectories" in finding.note
    assert finding.note.startswith("XL, 400 steps, t from 0 to 0.450")


@pytest.mark.parametrize(("own", "verdict"), [(-1.0, HOLDS), (1.0, FAILS), (0.0, UNDECIDED)])
def test_underfitting_is_selective_where_own_trajectories_go_the_other_way(tmp_path, own, verdict):
    run = run_of(tmp_path, own=own)
    for claim, levels in ((claims.SELECTIVE_BY_SIZE, 4), (claims.SELECTIVE_BY_TRAINING, 2)):
        (finding,) = claim.check(run)
        assert finding.verdict == verdict
        # what decides: the training paths where all holds, else the own ones
        assert finding.estimate.value == pytest.approx(0.5 ** (levels * (own if verdict != HOLDS else 1)), rel=0.1)


def test_one_curve_alone_is_not_compared(tmp_path):
    run = run_of(tmp_path, curves=[("B", 5)], models=["B"], kinds=("train", "own"))
    for claim in (claims.SELECTIVE_BY_SIZE, claims.SELECTIVE_BY_TRAINING):
        assert [finding.verdict for finding in claim.check(run)] == [NOT_TESTED]
    (finding,) = claims.NAVIGATES_BY_THE_GAUSSIAN.check(run)
    assert "held-out" not in finding.note


@pytest.mark.parametrize("kinds", [("train", "held_out", "own"), ("train", "own")])
def test_the_csv_alone_gives_the_picture_back(tmp_path, kinds):
    run = run_of(tmp_path, kinds=kinds)
    table = reference_curves(run.path("references"), run.path("split"), models=run.models)
    first, again = map(fig_references.figure, (table, pd.read_csv(write(tmp_path, "figure.csv", table))))
    drawn = [[line.get_ydata() for axes in picture.axes for line in axes.lines] for picture in (first, again)]
    assert len(drawn[0]) == len(drawn[1]) == len(kinds) * (4 + 6)  # three references; three sizes and two snapshots
    for one, two in zip(*drawn):
        np.testing.assert_allclose(np.asarray(one, float), np.asarray(two, float), rtol=1e-6)
    shown = [axes for axes in first.axes if axes.axison]
    assert len(shown) == 2 * len(kinds)


def test_a_file_that_is_none_is_named(tmp_path):
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(ValueError, match=r"text.h5 cannot be read .*run its stage again"):
        References(tmp_path / "text.h5")
