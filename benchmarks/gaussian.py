"""What a class's Gaussian costs beside one velocity of the oracle for a batch, as ratios of one run's processor time.

    OMP_NUM_THREADS=1 python benchmarks/gaussian.py [--samples 400] [--dim 3072] [--batch 64]

The fit of the class, its exact flow from the prior, its velocity, and the oracle's velocity, on random data. All take
turns; a number is the least of --rounds.
"""

import argparse
import time

import torch

from twostage.oracle import Oracle
from twostage.oracle.gaussian import Gaussian


def main():
    options = parse()
    torch.manual_seed(0)
    data, x = torch.randn(options.samples, options.dim), torch.randn(options.batch, options.dim)
    oracle, gaussian = Oracle(data), Gaussian(data)
    calls = {
        "oracle's velocity": lambda: oracle.velocity(x, 0.1),
        "Gaussian's velocity": lambda: gaussian.velocity(x, 0.1),
        "Gaussian's flow": lambda: gaussian.flow(x, 0.0, 0.1),
        "Gaussian's fit": lambda: Gaussian(data),
    }
    spent = {name: [] for name in calls}
    for _ in range(options.rounds + 1):
        for name, call in calls.items():
            start = time.process_time()
            call()
            spent[name].append(time.process_time() - start)
    spent = {name: min(values) for name, values in spent.items()}
    oracles = spent["oracle's velocity"]
    print(f"N = {options.samples}, D = {options.dim}, a batch of {options.batch}")
    for name, seconds in spent.items():
        print(f"{name:20} {seconds:8.4f} s  {seconds / oracles:6.2f} of the oracle's velocity")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in {"samples": 400, "dim": 3072, "batch": 64, "rounds": 5}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    return parser.parse_args()


if __name__ == "__main__":
    main()
