"""The shape of a loss curve: closed forms, the coverage of its intervals, and the claim of Fig. 9 that rests on it."""

import math
import re

import numpy as np
import pytest
from report_results import oracle_loss, posterior, split_of, transition, write, write_pairs

from twostage.report.claims import latent_spaces, verdicts
from twostage.report.claims.claim import FAILS, HOLDS, NOT_TESTED, UNDECIDED
from twostage.report.results import paper, shapes
from twostage.report.results.run import Results

T = np.linspace(0.1, 1, 28)
PAPER = {name: np.interp(T, *zip(*points)) for name, points in paper.FIG9.items()}
MODELS = {"S": 1.0}
SPLIT = 0.06


def without_noise(curve):
    """The same curve on each of four pairs."""
    return np.repeat(np.asarray(curve, dtype=float)[:, None], 4, axis=1)


def by_hand(t, curve):
    """1 - R² of the best parabola, and spread over mean, by NumPy's own fit, with the trapezoid rule's weights."""
    weights = np.gradient(t) * np.r_[0.5, np.ones(len(t) - 2), 0.5]
    fit = np.polyval(np.polyfit(t, curve, 2, w=np.sqrt(weights)), t)
    mean = np.average(curve, weights=weights)
    variance = np.average((curve - mean) ** 2, weights=weights)
    return np.average((curve - fit) ** 2, weights=weights) / variance, math.sqrt(variance) / mean


def test_a_parabola_is_its_own_best():
    curve = 0.3 + 1.5 * (T - 0.4) ** 2
    np.testing.assert_allclose(shapes.best_parabola(T, curve), curve, rtol=1e-12)
    assert shapes.off_parabola(T, without_noise(curve)).high == pytest.approx(0, abs=1e-12)
    assert shapes.opening(T, without_noise(curve)) == pytest.approx((3, 3, 3))
    assert tuple(shapes.extremes(T, without_noise(curve))) == (1, 1, 1)


@pytest.mark.parametrize("name", PAPER)
def test_distance_and_spread_are_those_of_another_fit(name):
    off, spread = by_hand(T, PAPER[name])
    assert shapes.off_parabola(T, without_noise(PAPER[name])) == pytest.approx((off, off, off))
    assert shapes.spread(T, without_noise(PAPER[name])) == pytest.approx((spread, spread, spread))


@pytest.mark.parametrize(
    ("curve", "count"),
    [
        (T, 0),
        (1 - T, 0),
        (np.ones_like(T), 0),
        (1 + 0.1 * np.cos(3 * np.pi * (T - 0.1) / 0.9), 2),
        (1 + 0.1 * np.cos(5 * np.pi * (T - 0.1) / 0.9), 4),
        (1 + 0.004 * np.cos(5 * np.pi * (T - 0.1) / 0.9), 0),  # ripples of 0.8% of the mean
        (1 + 0.1 * T + 0.004 * np.cos(9 * np.pi * (T - 0.1) / 0.9), 0),
    ],
)
def test_extremes_are_counted_where_the_curve_turns_by_more_than_a_ripple(curve, count):
    assert tuple(shapes.extremes(T, without_noise(curve))) == (count, count, count)


def test_the_claim_says_of_the_paper_what_its_curves_are():
    """The shares, spreads and numbers of extremes in the claim's text; its limits lie halfway in ratio between them."""
    told = []
    for name in ("VA-VAE", "SD-VAE"):
        off, spread = by_hand(T, PAPER[name])
        extremes = shapes.extremes(T, without_noise(PAPER[name])).value
        told.append((round(100 * off), extremes, round(100 * spread)))
    text = latent_spaces.ALIGNED_SPACE_IS_PARABOLIC.paper
    assert [int(number) for number in re.findall(r"\d+", text)] == [value for each in told for value in each]
    limits = latent_spaces.PARABOLA, latent_spaces.FLAT
    for limit, (one, other) in zip(limits, zip(*((off, spread) for off, _, spread in told))):
        assert limit == pytest.approx(math.sqrt(one * other) / 100, abs=0.005)


WAVY = 1 + 0.1 * T + 0.04 * np.sin(6 * np.pi * T)


@pytest.mark.parametrize(
    ("curve", "count"), [(PAPER["VA-VAE"], 1), (PAPER["SD-VAE"], 2), (0.3 + (T - 0.45) ** 2, 1), (WAVY, 5)]
)
def test_intervals_cover_the_shape_of_the_true_curve(curve, count):
    """Pairs are harder or easier as a whole, each with its own smooth deviation and noise; not normal."""
    rng, repeats, pairs = np.random.default_rng(2), 80, 96
    off, spread = by_hand(T, curve)
    waves = np.cos(np.pi * np.arange(5)[:, None] * T) / np.arange(1, 6)[:, None]
    covered = np.zeros(3)
    for _ in range(repeats):
        own = 0.1 * waves.T @ rng.standard_normal((5, pairs)) + 0.02 * rng.standard_normal((len(T), pairs))
        errors = curve[:, None] * (rng.gamma(8, 1 / 8, pairs) + own)
        found = [shapes.off_parabola(T, errors), shapes.spread(T, errors), shapes.extremes(T, errors)]
        covered += [
            estimate.low - 1e-9 <= truth <= estimate.high + 1e-9 for estimate, truth in zip(found, (off, spread, count))
        ]
    assert (covered >= 0.9 * repeats).all(), covered / repeats


@pytest.mark.parametrize("measure", [shapes.off_parabola, shapes.spread, shapes.extremes, shapes.opening])
def test_a_shape_needs_five_times_and_two_pairs(measure):
    errors = 1 + T[:6, None] ** 3 + 1e-3 * np.random.default_rng(0).random((6, 8))
    for t, found in ((T[:4], errors[:4]), (T[:6], errors[:, :1]), (T[:0], errors[:0])):
        assert np.isnan(measure(t, found)).all()
    assert not np.isnan(measure(T[:6], errors)).any()


def test_a_curve_within_its_noise_has_no_known_distance_from_a_parabola():
    errors = 1 + np.random.default_rng(0).standard_normal((20, 8))
    found = shapes.off_parabola(np.linspace(0, 1, 20), errors)
    assert math.isnan(found.value) or (found.low, found.high) == (0, 1)


def run_of(folder, aligned, curves, noise=1e-3, points=T):
    """A run with the given loss curves by latent space, {space: (T,)}, and a posterior that collapses by t = 0.1."""
    sources = {name: {} for name in ("oracle_loss", "pair_errors", "posterior", "transition", "split")}
    for space, curve in curves.items():
        losses = oracle_loss(SPLIT, sizes=MODELS, longer=None)
        loss = np.interp(losses["t"], [0, *points], [0, *curve])
        losses = losses.assign(oracle=loss, cfm=loss, oracle_sem=noise)
        sources["oracle_loss"][space] = write(folder, f"{space}/oracle_loss.csv", losses)
        sources["pair_errors"][space] = write_pairs(folder, f"{space}/oracle_loss.h5", losses)
        sources["posterior"][space] = write(folder, f"{space}/posterior.csv", posterior(SPLIT, width=0.01))
        sources["transition"][space] = write(folder, f"{space}/transition.json", transition(space, SPLIT))
        sources["split"][space] = write(folder, f"{space}/split.json", split_of(SPLIT))
    return Results(**sources, models=["S"], aligned=aligned)


def verdicts_of(run):
    [(_, findings)] = verdicts.evaluate(run, [latent_spaces.ALIGNED_SPACE_IS_PARABOLIC])
    return {finding.case: finding.verdict for finding in findings}


KINDS = {"plain_one": False, "semantic": True}
CURVES = {"pixel": T, "plain_one": PAPER["SD-VAE"], "semantic": PAPER["VA-VAE"]}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, {"plain_one, plain": HOLDS, "semantic, aligned": HOLDS}),
        ({"plain_one": PAPER["VA-VAE"]}, {"plain_one, plain": FAILS, "semantic, aligned": HOLDS}),
        ({"semantic": PAPER["SD-VAE"]}, {"plain_one, plain": HOLDS, "semantic, aligned": FAILS}),
        ({"semantic": 2 - PAPER["VA-VAE"]}, {"plain_one, plain": HOLDS, "semantic, aligned": FAILS}),
        ({"semantic": T**2}, {"plain_one, plain": HOLDS, "semantic, aligned": FAILS}),  # rises throughout: no valley
    ],
)
def test_an_aligned_space_has_a_valley_and_a_plain_one_is_flat_and_wavy(tmp_path, changed, expected):
    assert verdicts_of(run_of(tmp_path, KINDS, CURVES | changed)) == expected


def test_a_shape_that_its_noise_hides_is_undecided(tmp_path):
    run = run_of(tmp_path, KINDS, CURVES)
    noisy = run_of(tmp_path / "noisy", KINDS, CURVES, noise=np.linspace(0, 1, 51 * 4))
    run.given["pair_errors"]["semantic"] = noisy.path("pair_errors")["semantic"]
    assert verdicts_of(run) == {"plain_one, plain": HOLDS, "semantic, aligned": UNDECIDED}


@pytest.mark.parametrize(
    ("aligned", "kind"), [({}, "aligned"), ({"plain_one": False}, "aligned"), ({"semantic": True}, "plain")]
)
def test_one_kind_of_latent_space_alone_is_not_tested(tmp_path, aligned, kind):
    run = run_of(tmp_path, aligned, CURVES)
    [(_, [finding])] = verdicts.evaluate(run, [latent_spaces.ALIGNED_SPACE_IS_PARABOLIC])
    assert (finding.verdict, finding.note) == (NOT_TESTED, f"this run has no autoencoder with {kind} latents")


def test_a_posterior_that_never_saturates_leaves_the_shape_undecided(tmp_path):
    run = run_of(tmp_path, KINDS, CURVES)
    late = posterior(SPLIT, width=0.01)
    write(tmp_path, "semantic/posterior.csv", late.assign(top1=0.9 * late["top1"]))
    assert verdicts_of(run) == {"plain_one, plain": HOLDS, "semantic, aligned": UNDECIDED}
