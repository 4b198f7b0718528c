"""Time and agreement of the Frechet distance against clean-fid's, on the same features.

    OMP_NUM_THREADS=1 python benchmarks/frechet.py [--samples 5000] [--dim 2048] [--repeats 3]

Features are random with the spectrum of a correlated network layer (power law) and non-negative, as Inception's are.
Both sides start from the features; clean-fid's is numpy's covariance, then its ``frechet_distance`` (SciPy's sqrtm).
"""

import argparse
import statistics
import time
import warnings

import numpy as np
import scipy.linalg
from cleanfid.fid import frechet_distance as clean_fid_distance

from twostage.evaluation.frechet import frechet_distance


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--dim", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    a, b = features(options.samples, options.dim)
    ours, seconds = timed(lambda: frechet_distance(a, b), options.repeats)
    theirs, their_seconds = timed(lambda: from_clean_fid(a, b), 1)
    print(f"N = {options.samples}, D = {options.dim}, SciPy {scipy.__version__}")
    print(f"ours       {seconds:8.2f} s   distance {ours:.6f}")
    print(f"clean-fid  {their_seconds:8.2f} s   distance {theirs:.6f}")
    print(f"ratio of times {their_seconds / seconds:.1f}, relative difference {abs(ours - theirs) / theirs:.1e}")


def features(samples, dim):
    """Two sets of float32 features (samples, dim) that differ in mean and scale."""
    generator = np.random.default_rng(0)
    mixing = generator.standard_normal((dim, dim)) * np.arange(1, dim + 1) ** -0.5 / 8
    draw = lambda scale: np.abs(generator.standard_normal((samples, dim)) @ mixing.T * scale).astype(np.float32)  # noqa: E731
    return draw(1.0), draw(1.15)


def from_clean_fid(a, b):
    moments = [(x.astype(np.float64).mean(0), np.cov(x.astype(np.float64), rowvar=False)) for x in (a, b)]
    return clean_fid_distance(*moments[0], *moments[1])


def timed(call, repeats):
    """The call's value, and the median of its times."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        value = call()
        times.append(time.perf_counter() - start)
    return value, statistics.median(times)


if __name__ == "__main__":
    main()
