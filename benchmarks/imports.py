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

medians = {module: statistics.median(times) for module, times in found.items()}
for module, times in found.items():
    print(f"import {module}: {medians[module]:.2f} s of processor time ({min(times):.2f} to {max(times):.2f})")
print(f"ratio of the medians: {medians[MODULES[1]] / medians[MODULES[0]]:.3f}")
