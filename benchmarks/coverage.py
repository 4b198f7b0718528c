"""How often each kind of 95% interval that a run prints covers what it is an interval of: 90 to 99% is as it should be.

    OMP_NUM_THREADS=1 python benchmarks/coverage.py [--repeats 1000] [--only WORDS]

Each line simulates one kind, from the samples up, with the package's own functions. Width is the mean width of the
interval over that of the narrowest that could cover 95% (3.92 standard deviations of the number over the repeats);
"-" where the number is a choice among several.
"""

import argparse

import numpy as np
import pandas as pd
import torch

from twostage.evaluation.frechet import distance_of_roots, mean_and_root
from twostage.evaluation.jackknife import distances_without, parts_of
from twostage.oracle import sweep
from twostage.oracle.law import measured_transition, transition_interval
from twostage.oracle.study import _mean_by_student
from twostage.report.claims.memorization import share_of
from twostage.report.results import curves, paired, paper, shapes
from twostage.report.results.contrast import WITHOUT, Distances

DIM, SAMPLES, CLASSES = 32, 400, 10


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--only", default="", help="kinds whose name has these words")
    options = parser.parse_args()
    print(f"{'interval of':64s} covers   width")
    for name, simulate in KINDS.items():
        if options.only in name:
            share, width = coverage(simulate, options.repeats)
            print(
                f"{name:64s} {share:6.1%}   {width:5.2f}" if width else f"{name:64s} {share:6.1%}       -", flush=True
            )


def coverage(simulate, repeats, seed=0):
    """Share of the repeats whose interval holds the truth, and the mean width over the narrowest's (None: unknown).

    simulate: generator -> (Estimate, truth); a truth of None is the mean of the number over the repeats.
    """
    rng = np.random.default_rng(seed)
    found = [simulate(rng) for _ in range(repeats)]
    values, low, high = np.array([estimate for estimate, _ in found]).T
    truths = [truth for _, truth in found]
    unknown = truths[0] is None
    truth = np.full(repeats, values.mean()) if unknown else np.array(truths)
    assert np.isfinite([low, high]).all()
    covered = float(((low <= truth) & (truth <= high)).mean())
    return covered, float((high - low).mean() / (2 * curves.CONFIDENCE * values.std())) if unknown else None


# ----------------------------------------------------------------------------------------------------------- distances

CENTRES = np.random.default_rng(1).standard_normal((CLASSES, 256))
ROOT = np.eye(256)


def plans_table(rng, seeds, shifts, samples=SAMPLES, dim=DIM):
    """Distances of plans as an evaluation has them: all plans share their noise, and differ by a shift and a little.

    The features have classes that go round, as sampled labels do.
    """
    labels, rows = np.arange(samples) % CLASSES, []
    part = parts_of(labels)
    for seed in range(seeds):
        shared = CENTRES[labels, :dim] + rng.standard_normal((samples, dim))
        for plan, shift in enumerate(shifts):
            features = shared * (1 + shift) + 0.3 * rng.standard_normal((samples, dim))
            mean, root = np.zeros(dim), ROOT[:dim, :dim]
            without = distances_without(features, part, mean, root)
            distance = distance_of_roots(*mean_and_root(features), mean, root)
            row = {"plan": f"p{plan}", "seed": seed, "distance": distance}
            rows.append(row | {f"{WITHOUT}{p}": value for p, value in enumerate(without)})
    return pd.DataFrame(rows)


def contrast(seeds, weights, **options):
    def simulate(rng):
        table = plans_table(rng, seeds, (0.0, 0.02), **options)
        return Distances.of(table, table["plan"]).contrast(weights), None

    return simulate


def contrast_by_seeds(rng):
    table = plans_table(rng, 3, (0.0, 0.02))[["plan", "seed", "distance"]]
    return Distances.of(table, table["plan"]).contrast({"p1": 1, "p0": -1}), None


def lead(first, second, parts=10):
    """The best of some plans against the best of others, whose true distances are known, from one seed's ten parts."""
    truth = np.concatenate([first, second])
    plans, others = np.arange(len(first)), np.arange(len(first), len(truth))

    def simulate(rng):
        found = pd.DataFrame(truth + 0.7 * rng.standard_normal((parts, len(truth))))
        member = np.random.default_rng(0).permutation(parts) % paired.FOLDS  # as the package chooses, for the truth
        chosen = [found[member != fold].mean() for fold in range(paired.FOLDS)]
        reached = np.mean([truth[means[others].idxmin()] - truth[means[plans].idxmin()] for means in chosen])
        return Distances(found, found).lead(plans, others), reached

    return simulate


def highest(first, second):
    """The highest of some points of a curve over the highest of others, from independent standard errors."""

    def simulate(rng):
        (a, b) = (np.asarray(side) + 0.3 * rng.standard_normal(len(side)) for side in (first, second))
        return curves.lead(a[:, None] - b, np.full((len(a), len(b)), 0.3 * np.sqrt(2))), max(first) - max(second)

    return simulate


# ----------------------------------------------------------------------------------------------------- pairs and curves


def least(truths):
    def simulate(rng):
        falls = [curves.mean_of(truth + rng.standard_normal(256)) for truth in truths]
        return curves.least(falls, 255), min(truths)

    return simulate


def cross_fitted(depth):
    """Bump and dip of a curve of 51 times over 256 pairs, each chosen on the other half of the pairs."""
    t = np.linspace(0, 1, 51)
    curve = depth * np.cos(4 * np.pi * t)
    choose = lambda mean: (int(np.argmax(mean)), int(np.argmin(mean)))  # noqa: E731

    def simulate(rng):
        errors = curve[:, None] + rng.standard_normal((51, 256)) + rng.standard_normal(256)
        member = np.random.default_rng(0).permutation(256) % paired.FOLDS
        places = [choose(errors[:, member != fold].mean(1)) for fold in range(paired.FOLDS)]
        truth = np.mean([curve[first] - curve[second] for first, second in places])
        return paired.apart(errors, choose), truth

    return simulate


def ratio(rng):
    hard = rng.gamma(2, size=256)
    return curves.ratio_of(hard * (1 + 0.1 * rng.standard_normal(256)), hard * 0.8), None


def band(rng):
    """The mean over a curve's points, whose errors go together but for a half."""
    t = np.linspace(0, 1, 51)
    values = rng.standard_normal(128) + rng.standard_normal((51, 128))
    mean, sem = values.mean(1), values.std(1, ddof=1) / np.sqrt(128)
    return curves.mean_over(t, mean, sem, 0.2, 0.8), 0.0


def shape(measure, name, pairs=128):
    """A number of the shape of the paper's loss curve in a latent space, from pairs that are harder or easier as a
    whole, each with its own smooth deviation and its own noise."""
    t, curve = np.array(paper.FIG9[name]).T
    waves = np.cos(np.pi * np.arange(5)[:, None] * t) / np.arange(1, 6)[:, None]
    truth = measure(t, np.repeat(curve[:, None], 2, axis=1)).value

    def simulate(rng):
        own = 0.1 * waves.T @ rng.standard_normal((5, pairs)) + 0.02 * rng.standard_normal((len(t), pairs))
        return measure(t, curve[:, None] * (rng.gamma(8, 1 / 8, pairs) + own)), truth

    return simulate


# ------------------------------------------------------------------------------------------------------ oracle and law


def sizes(subsets):
    """The transition of N = 10 of 64 dimensions: what subsets differ by, and what pairs within a subset do."""

    def simulate(rng):
        values = [0.4 + 0.02 * rng.standard_normal() + 0.01 * rng.standard_normal() for _ in range(subsets)]
        mean, low, high = _mean_by_student(values)
        return curves.Estimate(mean, low, high), 0.4

    return simulate


def transition(rng):
    """The transition of one class of 144 in 64 dimensions from 128 pairs."""
    data = torch.from_numpy(np.random.default_rng(5).standard_normal((144, 64)))
    index = torch.from_numpy(rng.permutation(144)[:128])
    noise = torch.from_numpy(rng.standard_normal((128, 64)))
    found = sweep(data, index, noise, np.linspace(0.15, 0.5, 36))
    low, high = transition_interval(found, resamples=500, seed=0)
    return curves.Estimate(measured_transition(found), low, high), None


def median(pools, spaces):
    """The median error of the law over classes, each in several spaces, where a class's errors go together."""

    def simulate(rng):
        own = np.abs(rng.standard_normal(pools))
        errors = np.abs(np.repeat(own, spaces) + 0.1 * rng.standard_normal(pools * spaces))
        return curves.median_of(errors, np.repeat(np.arange(pools), spaces), resamples=1000), 0.6818

    return simulate


def wilson(share, count):
    return lambda rng: (share_of(rng.binomial(count, share) / count, count), share)


KINDS = {
    "distance, one seed of 400": contrast(1, {"p0": 1}),
    "difference of plans, one seed of 400": contrast(1, {"p1": 1, "p0": -1}),
    "difference of plans, three seeds of 400": contrast(3, {"p1": 1, "p0": -1}),
    "difference of plans, one seed of 100, 128 dimensions": contrast(1, {"p1": 1, "p0": -1}, samples=100, dim=128),
    "difference of plans, three seeds by their spread alone": contrast_by_seeds,
    "lead of the best of 3 over the best of 7, all alike": lead([0.0] * 3, [0.0] * 7),
    "lead of the best of 3 over the best of 7, spread": lead([0, 0.5, 1], [0.7, 1, 1.5, 2, 2, 2, 2]),
    "highest of 15 points over that of 30 others, all alike (at least)": highest([0.0] * 15, [0.0] * 30),
    "highest of 15 points over that of 30 others, a peak (at least)": highest([0.0] * 14 + [3.0], [0.0] * 30),
    "least of 4 falls, all alike": least([0.1] * 4),
    "least of 4 falls, one far below": least([0.0, 1.0, 1.0, 1.0]),
    "bump minus dip, flat curve": cross_fitted(0.0),
    "bump minus dip, clear": cross_fitted(0.5),
    "ratio of two models' losses": ratio,
    "mean of a curve over times (at least)": band,
    "distance from a parabola, VA-VAE's curve": shape(shapes.off_parabola, "VA-VAE"),
    "distance from a parabola, SD-VAE's curve": shape(shapes.off_parabola, "SD-VAE"),
    "spread of a curve over its mean, SD-VAE's": shape(shapes.spread, "SD-VAE"),
    "number of extremes, VA-VAE's curve (at least)": shape(shapes.extremes, "VA-VAE"),
    "number of extremes, SD-VAE's curve (at least)": shape(shapes.extremes, "SD-VAE"),
    "N sweep, 3 subsets": sizes(3),
    "N sweep, 5 subsets": sizes(5),
    "transition, 128 pairs of one class": transition,
    "median over 10 classes in 2 spaces": median(10, 2),
    "median over 10 classes in 3 spaces": median(10, 3),
    "median over 5 classes": median(5, 1),
    "share of 400 (Wilson), 2%": wilson(0.02, 400),
    "share of 66 (Wilson), 51%": wilson(0.51, 66),
}

if __name__ == "__main__":
    main()
