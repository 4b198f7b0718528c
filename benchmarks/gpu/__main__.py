"""Every number that only a GPU can give, in one run of less than 20 minutes: ``make gpu``.

    python benchmarks/gpu                             # all; without a GPU small, on the pretended one
    python benchmarks/gpu --only train neighbours     # some of them
    make gpu LIGHTNINGDIT=path/to/LightningDiT        # the original's code beside the training

On a GPU it writes docs/results/gpu/{device}.json and a page beside it, to be committed; without one results/gpu/, which
is not. Exit code 1 where a measurement failed; a goal that is not met is no failure.
"""

import argparse
import sys
import time
import traceback
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(1, str(ROOT / "benchmarks"))  # the other benchmarks, of which some are run

import agreement  # noqa: E402
import memory  # noqa: E402
import pipelines  # noqa: E402
import speed  # noqa: E402
from machine import Machine  # noqa: E402
from rows import Row, write  # noqa: E402

from twostage.arithmetic import stated, use_full_precision  # noqa: E402
from twostage.provenance import git_commit  # noqa: E402

MEASUREMENTS = {  # in the order of what is missed most, should the time not suffice
    "train": ("Training", pipelines.train),
    "oracle": ("CPU against GPU: the oracle", agreement.oracle),
    "sampler": ("CPU against GPU: the sampler", agreement.sampler),
    "features": ("CPU against GPU: features", agreement.features),
    "speed": ("The oracle against its matrix products", speed.oracle),
    "neighbours": ("Nearest neighbours", speed.neighbours),
    "encode": ("Encoding", pipelines.encode),
    "memory": ("Peak memory", memory.passes),
    "digits": ("CPU against GPU: a training to its end", agreement.training),
    "ranks": ("Two processes", pipelines.two_ranks),
}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    parser.add_argument("--output", metavar="FOLDER", help="where to write (docs/results/gpu, or results/gpu)")
    options = parser.parse_args(arguments)
    use_full_precision()
    machine, groups, failed = Machine(), {}, False
    if machine.pretended:
        print("torch sees no GPU: everything runs small on the pretended one; no number below means a GPU's")
    for name in options.only:
        title, measure = MEASUREMENTS[name]
        start, found = time.perf_counter(), []
        try:
            found.extend(measure(machine))
        except Exception as error:  # the others are still wanted: a GPU was paid for
            failed = True
            traceback.print_exc()
            found.append(Row("failed", None, "", note=f"{type(error).__name__}: {str(error).splitlines()[0]}"))
        groups[title] = (time.perf_counter() - start, found)
        for row in found:
            print(f"{title}: {row.name}: {row.value} {row.unit} ({row.goal or 'no goal'}) {row.note}", flush=True)
    said = {"device": machine.device, "pretended": machine.pretended, "torch": torch.__version__}
    said |= {"GPUs": machine.count, "commit": git_commit(), **stated()}
    folder = options.output or ROOT / ("results/gpu" if machine.pretended else "docs/results/gpu")
    print("written:", *write(folder, said, groups))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
