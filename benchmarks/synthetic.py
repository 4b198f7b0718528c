"""Cost of the synthetic sweep, and a check of its distribution.

    OMP_NUM_THREADS=1 python benchmarks/synthetic.py [--workers 2] [--largest 10_000_000]

Flat in D: the same N at D = 64 and D = 10^6. Linear in N: seconds per sample and time from 10^5 up. Against brute
force:
Kolmogorov-Smirnov tests of the top-1 weight, 20,000 trials at each of five (D, N).
"""

import argparse
import time

import numpy as np
import torch
from scipy.stats import ks_2samp

from twostage.oracle.law import transition_time
from twostage.oracle.synthetic import top1_curve

SEEDS = 10


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--largest", type=lambda text: int(text.replace("_", "")), default=10_000_000)
    parser.add_argument("--trials", type=int, default=20_000)
    options = parser.parse_args()

    times = lambda dim, size: np.linspace(0, min(1, 3 * transition_time(np.ones(dim), size)), 25)  # noqa: E731
    print("25 times, to three times the transition; one thread; median of five")
    seconds = {}
    for _ in range(5):
        for dim in (64, 1024, 10**6):
            seconds.setdefault(dim, []).append(timed(dim, 10**6, times(dim, 10**6), 1))
    for dim, found in seconds.items():
        ratio = np.median(found) / np.median(seconds[64])
        print(f"  D = {dim:>9,}  N = 1,000,000  {np.median(found):6.2f} s   x {ratio:.2f}")
    print(f"N grows; D = 1024; {options.workers} workers")
    size = 10**5
    while size <= options.largest:
        found = timed(1024, size, times(1024, size), options.workers)
        print(f"  N = {size:>13,}  {found:8.2f} s   {1e9 * found / size:.0f} ns a sample")
        size *= 10
    print(
        f"top-1 weight against brute force, {options.trials} trials: D, N, t, median, p of the Kolmogorov-Smirnov test"
    )
    for dim, size in ((2, 1000), (16, 1000), (128, 300), (512, 1400), (1024, 100)):
        t = transition_time(np.ones(dim), size)
        share = options.trials // SEEDS  # one seed alone may be far from the mean by chance
        reduced = np.concatenate(
            [top1_curve(dim, size, [t], share, seed, workers=options.workers)[:, 0] for seed in range(SEEDS)]
        )
        full = brute_force(dim, size, t, options.trials)
        print(f"  {dim:5d} {size:5d}  {t:.3f}  {np.median(full):.3f}  {ks_2samp(reduced, full).pvalue:.3f}")


def timed(dim, size, times, workers):
    start = time.perf_counter()
    top1_curve(dim, size, times, 1, 0, workers=workers)
    return time.perf_counter() - start


def brute_force(dim, size, t, trials):
    """Top-1 weights on Gaussians drawn in full, by direct differences in float64."""
    generator = torch.Generator().manual_seed(1)
    found = []
    while sum(map(len, found)) < trials:
        data = torch.randn(50, size, dim, generator=generator, dtype=torch.float64)
        noise = torch.randn(50, 1, dim, generator=generator, dtype=torch.float64)
        distance = (t * data[:, :1] + (1 - t) * noise - t * data).square().sum(2)
        found.append((-distance / (2 * (1 - t) ** 2)).softmax(1).amax(1))
    return torch.cat(found)[:trials].numpy()


if __name__ == "__main__":
    main()
