"""What the information costs beside the sweep it is made from, as shares of one run's processor time.

    OMP_NUM_THREADS=1 python benchmarks/information.py [--samples 1300] [--dim 4096] [--pairs 128] [--times 100]

The sweep's part: one pass over the posterior weights of each time that gives the posterior's variance, timed alone at
the sweep's own sizes. ``information``'s part: the call. All take turns; a number is the least of --rounds.
"""

import argparse
import time

import numpy as np
import torch

from twostage.oracle import sweep
from twostage.oracle.information import information
from twostage.oracle.law import resolved_times, spectrum, transition_time


def main():
    options = parse()
    torch.manual_seed(0)
    data = torch.randn(options.samples, options.dim)
    index, noise = torch.arange(options.pairs) % options.samples, torch.randn(options.pairs, options.dim)
    settled = transition_time(spectrum(data), options.samples)
    times = resolved_times(np.linspace(0, 1, options.times + 1), [settled])
    found = sweep(data, index, noise, times)
    # times at which a pair's weights are still looked at: its log-weights all fall below -400 soon after
    alive = (found.mse > 0).sum() - len(found)
    weights = torch.rand(options.pairs, options.samples, dtype=torch.float64)
    scratch, passes = torch.empty_like(weights), round(alive / len(found))

    def variances():
        for _ in range(passes):
            torch.mul(weights, weights, out=scratch).sum(1)

    calls = {
        "sweep": lambda: sweep(data, index, noise, times),
        "  the posterior's variance in it": variances,
        "information": lambda: information(found),
    }
    spent = {name: [] for name in calls}
    for _ in range(options.rounds + 1):
        for name, call in calls.items():
            start = time.process_time()
            call()
            spent[name].append(time.process_time() - start)
    spent = {name: min(values) for name, values in spent.items()}
    print(f"N = {options.samples}, D = {options.dim}, {options.pairs} pairs, {len(times)} times, {passes} with weights")
    for name, seconds in spent.items():
        print(f"{name:34} {seconds:8.4f} s  {seconds / spent['sweep']:7.2%} of the sweep")
    told = information(found)
    print(f"{told.by_gap[-1]:.3f} ± {told.by_gap_sem[-1]:.3f} nats by the gap, {told.total:.3f} to know")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in {"samples": 1300, "dim": 4096, "pairs": 128, "times": 100, "rounds": 5}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    return parser.parse_args()


if __name__ == "__main__":
    main()
