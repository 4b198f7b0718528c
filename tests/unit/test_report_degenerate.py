"""Models that do nothing: constant ones, ones that are the same, one model, one seed. Nothing about them is decided,
and what is not known is said in words."""

import math
import re

import h5py
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from report_jump import jumped, memorized
from report_results import capacity, halves, oracle_loss, split_of, tab1, with_parts, write, write_pairs, write_run
from test_report_jump import sources
from test_report_layout import MODULES, run_in
from test_report_sampling import tab2_results, tab3_results, trajectories

from twostage.report.claims import capacity as capacity_claims
from twostage.report.claims import halves as halves_claims
from twostage.report.claims import jump as jump_claims
from twostage.report.claims import learning, project, supervision, verdicts
from twostage.report.claims import swap as swap_claims
from twostage.report.claims import trajectories as trajectory_claims
from twostage.report.claims.claim import FAILS, HOLDS, NOT_TESTED, UNDECIDED
from twostage.report.figures import fig_jump, tab2, tab3, tab_capacity
from twostage.report.pages.claims import written
from twostage.report.results import curves
from twostage.report.results.contrast import Distances
from twostage.report.results.run import Results
from twostage.report.results.words import plain

DECIDED = {HOLDS, FAILS}


def found(claims, **given):
    """{id: (verdicts, notes)} of claims on results."""
    evaluated = verdicts.evaluate(Results(**given), claims)
    return {claim.id: ({f.verdict for f in own}, " ".join(f.note for f in own)) for claim, own in evaluated}


# ---------------------------------------------------------------------------------------------------------- claims


def test_plans_of_a_constant_model_are_alike_whatever_their_weights():
    table = with_parts(pd.DataFrame([("a", 0, 3.0), ("b", 0, 3.0)], columns=["plan", "seed", "distance"]), 0.2)
    table.iloc[1, 2:] = table.iloc[0, 2:]
    distances = Distances.of(table, table["plan"])
    assert distances.contrast({"a": 1, "b": -1.02}) == distances.lead(["a"], ["b"]) == (0, 0, 0)
    assert distances.contrast({"a": 1}).value == pytest.approx(3.0)  # one plan is not compared with anything
    table.iloc[1, 2:] += 1e-6
    assert Distances.of(table, table["plan"]).contrast({"a": 1, "b": -1.02}).value == pytest.approx(-0.06, rel=1e-3)


def test_what_a_jump_costs_a_constant_model_is_not_tested(tmp_path):
    table = jumped(sem=0.2)
    values = [name for name in table.columns if name.startswith("distance")]
    table[values] = table[values].iloc[0].to_numpy()
    table[["recall", "coverage"]] = 0.0
    beside = memorized(table)
    beside[["same_noise_distance", "other_noise_distance"]] = 0.0
    claims = [claim for claim in verdicts.claims_of(jump_claims) if claim is not jump_claims.KEEPS_NOVELTY]
    made = found(claims, **sources(tmp_path, table, beside))
    assert {name: said for name, (said, _) in made.items() if said != {NOT_TESTED}} == {}
    assert made["jump-to-the-split-costs-nothing"][1].startswith("what is compared is exactly alike: jump to t = ")
    assert made["jump-keeps-diversity"][1] == "the model alone has a recall of 0: nothing to lose"


def test_one_seed_gives_diversity_a_number_and_no_interval(tmp_path):
    results = Results(**sources(tmp_path, jumped(recall=0.9)))
    [(_, [finding])] = verdicts.evaluate(results, [jump_claims.KEEPS_DIVERSITY])
    assert finding.verdict == UNDECIDED
    assert finding.estimate.value == pytest.approx(0.1)
    assert np.isnan(finding.estimate[1:]).all()


def test_assignments_swaps_and_halves_of_one_model_by_two_names_are_not_tested(tmp_path):
    made = {
        "capacity": with_parts(capacity(costs=(0, 0, 0)), 0.2), "tab1": tab1(distances=dict.fromkeys(PAIRS, 3.0)),
        "halves": with_parts(halves(lambda before, after: 2.0), 0.2),
    }  # fmt: skip
    for table in made.values():
        values = [name for name in table.columns if name.startswith("distance")]
        table[values] = table.groupby("seed")[values].transform("first")
    given = {name: {"x": write(tmp_path, f"{name}.csv", table)} for name, table in made.items()}
    given["split"] = {"x": write(tmp_path, "split.json", split_of(0.45))}
    parts = (capacity_claims, swap_claims, halves_claims)
    claims = [claim for part in parts for claim in verdicts.claims_of(part)]
    said = {name: verdict for name, (verdict, _) in found(claims, **given).items()}
    assert set().union(*said.values()) == {NOT_TESTED}


PAIRS = (("XL", "XL"), ("B", "XL"), ("XL", "B"), ("B", "B"))
COMPARED = [
    learning.SIZES_ALIKE_IN_NAVIGATION, learning.LARGER_IS_LOWER_IN_REFINEMENT, project.NAVIGATION_NORMALISED,
    supervision.ORACLE_SUPERVISION_WORKS, supervision.ORACLE_SUPERVISION_KEEPS_PACE,
]  # fmt: skip


@pytest.mark.parametrize("models", [["B"], ["B", "B_oracle"]], ids=["one", "the same"])
def test_losses_of_one_model_or_of_two_that_are_one_compare_nothing(tmp_path, models):
    run = write_run(tmp_path, {"x": 0.45})
    losses = oracle_loss(0.45, sizes=dict.fromkeys(models, 1.0), longer=None)
    run["oracle_loss"] = {"x": write(tmp_path, "loss.csv", losses)}
    run["pair_errors"] = {"x": write_pairs(tmp_path, "loss.h5", losses)}
    with h5py.File(run["pair_errors"]["x"], "r+") as file:
        half = len(file["oracle"]) // len(models)
        file["oracle"][...] = np.concatenate([file["oracle"][:half]] * len(models))
    names = ("oracle_loss", "pair_errors", "posterior", "transition", "split")
    given = {name: run[name] for name in names} | {"models": models}
    if len(models) > 1:
        given |= {"oracle_supervised": {"x": "not read"}, "pairs": {"B_oracle": "B"}}
    for name, (verdict, note) in found(COMPARED, **given).items():
        assert verdict == {NOT_TESTED}, (name, note)


def test_nothing_settles_along_the_trajectory_of_a_model_that_knows_one_image(tmp_path):
    table = trajectories(("B", "oracle"))
    still = table["field"] == "B"
    places = table.columns[table.columns.str.contains("to_end|class_mean")]
    table.loc[still, places] = 1e-8 * np.random.default_rng(0).random((still.sum(), len(places)))
    run = write_run(tmp_path, {"x": 0.45})
    given = {"trajectories": {"x": write(tmp_path, "fig8.csv", table)}}
    given |= {name: run[name] for name in ("posterior", "transition", "split")}
    for name, (verdict, note) in found(verdicts.claims_of(trajectory_claims), **given).items():
        assert (verdict, "nothing settles" in note) == ({NOT_TESTED}, True), name


def test_a_loss_that_is_lowest_at_its_end_does_not_rise_to_it(tmp_path):
    run = write_run(tmp_path, {"x": 0.45})
    losses = oracle_loss(0.45, sizes={"XL": 1.0}).assign(oracle_sem=1e-4)
    losses["oracle"] = losses["cfm"] = 2 - losses["t"]
    given = {name: run[name] for name in ("posterior", "transition", "split")}
    given["oracle_loss"] = {"x": write(tmp_path, "loss.csv", losses)}
    given["pair_errors"] = {"x": write_pairs(tmp_path, "loss.h5", losses)}
    assert found([learning.RISES_TO_THE_DATA], **given)["rises-to-the-data"][0] == {FAILS}


def test_no_plan_of_a_constant_model_is_the_lowest(tmp_path):
    for module, table in ((tab2, tab2_results()), (tab3, tab3_results())):
        drawn = module.drawn({"x": write(tmp_path, "plans.csv", table.assign(distance=3.0))})
        assert not drawn["best"].any()
        words = [" ".join(text.get_text().split()) for text in module.figure(drawn).findobj(Text)]
        assert any(re.search("No distance is the lowest|none is the lowest", text) for text in words)
        assert not any("▸ 3" in text for text in words)


def test_a_small_model_that_is_the_large_one_costs_nothing_in_any_part(tmp_path):
    paths = {"x": write(tmp_path, "plans.csv", capacity(costs=(0, 0, 0)))}
    drawn = tab_capacity.drawn(paths, {"x": write(tmp_path, "split.json", split_of(0.45))})
    words = [" ".join(text.get_text().split()) for text in tab_capacity.figure(drawn).findobj(Text)]
    assert any("most in: no part" in text for text in words)


# ----------------------------------------------------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1.00 apart, -0.5 to -0.05", "1.00 apart, -0.5 to -0.05"),
        ("nan% and +nan, −inf", "not known and not known, not known"),
        ("-0%, -0.00, −0.0%.", "0%, 0.00, 0.0%."),
        ("12% ± nan% (nan to nan)", "12% (not known)"),
        ("1e+02% of 1.23e+03, 1e+07", "100% of 1230, 1e+07"),
        ("XL-0, nano, inf_2, a-nan, v2.-0, e+02", "XL-0, nano, inf_2, a-nan, v2.-0, e+02"),
    ],
)
def test_numbers_in_plain_words(text, said):
    assert plain(text) == said


def test_a_ratio_to_what_is_zero_up_to_rounding_is_no_number():
    assert math.isnan(curves.ratio(curves.Estimate(3, 2, 4), curves.Estimate(3e-7, 2e-7, 4e-7)).value)
    assert math.isnan(curves.ratio_of([3.0, 4.0], [1e-7, 2e-7]).value)
    assert curves.ratio_of([3.0, 3.0], [1e-3, 1e-3]).value == pytest.approx(3000)
    assert written(math.inf, "number") == "–"
    assert written(-0.0, "share") == "0%"


def test_the_picture_of_jumps_of_a_constant_model_speaks_of_no_distance(tmp_path):
    table = jumped()
    beside = memorized(table)
    beside["other_noise_distance"], beside["same_noise_distance"] = 3e-7, 0.0
    paths = sources(tmp_path, table, beside)
    drawn = fig_jump.drawn(*(paths[name] for name in ("jump", "memorization_jump", "split", "transition")))
    words = [" ".join(text.get_text().split()) for text in fig_jump.figure(drawn).findobj(Text)]
    assert any("samples of two noises are the same image" in text for text in words)
    assert not any("e+0" in text for text in words)


SILLY = re.compile(r"\b(nan|inf)\b|[-−]0(\.0+)?%|e\+0")
PLACES = re.compile(r"t|t_.*|split.*|low|high|.*paper.*|law|decided|shift|guidance|alpha|beta|late|x|n|dim|size|seed")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_in(tmp_path_factory.mktemp("one"), ["x"], ["m"])


CHANGES = {
    "zero": lambda values: 0.0 * values.fillna(0),
    "minus zero": lambda values: (0.0 if values.name.endswith("sem") else -0.0) * values.fillna(0).abs(),
    "no interval": lambda values: math.nan * values if re.search("_(low|high|sem)$|^split", values.name) else values,
}


# A logarithmic axis of zeros warns.
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.split(".")[-1])
@pytest.mark.parametrize("change", CHANGES)
def test_a_figure_of_numbers_that_are_zero_or_have_no_interval_says_nothing_silly(run, module, change):
    table = module.drawn(**run[module])
    for name in table.columns:
        if pd.api.types.is_float_dtype(table[name]) and (change == "no interval" or not PLACES.fullmatch(name)):
            table[name] = CHANGES[change](table[name])
    picture = module.figure(table)
    picture.draw_without_rendering()
    texts = [text.get_text() for text in picture.findobj(Text)]
    assert [text for text in texts if SILLY.search(text)] == []
