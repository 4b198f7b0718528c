"""Processor time of `import twostage.oracle`, in times of `import torch`, which it needs anyway.

    python benchmarks/imports.py [--runs 10]

Each import runs in an interpreter of its own, the two in turn, on one thread; the files have been read before.
"""

import argparse
import os
import statistics
import subprocess
import sys

PROGRAM = "import time; start = time.process_time(); import {}; print(time.process_time() - start)"
MODULES = ("torch", "twostage.oracle")


def seconds(module):
    """Processor time of one import, in seconds."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROGRAM.format(module)]
    return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--runs", type=int, default=10, help="imports of each")
runs = parser.parse_args().runs

for module in MODULES:
    seconds(module)  # reads the files
found = {module: [] for module in MODULES}
for _ in range(runs):
    for module in MODULES:
        found[module].append(seconds(module))

for module in MODULES:
    low, high = min(found[module]), max(found[module])
    print(f"import {module}: {statistics.median(found[module]):.2f} s of processor time ({low:.2f} to {high:.2f})")
ratios = [ours / theirs for theirs, ours in zip(*found.values())]
print(
    f"ratio: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}), pairs of runs one after another"
)
