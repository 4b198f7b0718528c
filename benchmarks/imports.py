"""Processor time of `import twostage.oracle`, in times of `import torch`, which it needs anyway.

    python benchmarks/imports.py [--runs 5]

Each run is an interpreter of its own on one thread, which imports torch and then the rest: both times meet the same
machine. The files have been read before.
"""

import argparse
import os
import statistics
import subprocess
import sys

PROGRAM = """\
from time import process_time as now
start = now()
import torch
between = now()
import twostage.oracle
print(between - start, now() - start)
"""


def seconds():
    """Processor time of importing torch, and of importing torch and the oracle, in seconds."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    return tuple(map(float, done.stdout.split()))


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--runs", type=int, default=5)
runs = parser.parse_args().runs

seconds()  # reads the files
found = [seconds() for _ in range(runs)]
for name, times in zip(("torch", "twostage.oracle"), zip(*found)):
    print(f"import {name}: {statistics.median(times):.2f} s of processor time ({min(times):.2f} to {max(times):.2f})")
ratios = [whole / torch for torch, whole in found]
print(f"ratio: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")
