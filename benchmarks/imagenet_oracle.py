"""What the class-wise oracle figures of a whole ImageNet store cost, from a measured part of it.

    OMP_NUM_THREADS=1 python benchmarks/imagenet_oracle.py [--classes 20]

Generated latents of VA-VAE's shape (32 x 16 x 16, D = 8192), 1,281 a class, correlated as latents are (a decaying
spectrum over space, a mean a class); Fig. 2's and the law's measurement with the settings of config/imagenet256.yaml.
Prints one line of JSON: core-seconds of the measured classes, of 1,000 by proportion, and what `estimate` says.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import yaml
from smooth_latents import write_latents

from twostage.config import load
from twostage.estimate.oracle import spectrum_flops, sweep_flops
from twostage.oracle.study import measure_posterior

SHAPE, EACH, ALL = (32, 16, 16), 1281, 1000
ATTRIBUTES = {
    "encoder": "none", "encoder_sha256": "none", "posterior": "mean", "split": "train", "image_size": 256,
    "dataset": "generated", "dataset_fingerprint": "none", "may_be_left_out": 0,
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classes", type=int, default=20)
    options = parser.parse_args()
    config = load(yaml.safe_load((Path(__file__).parents[1] / "config/imagenet256.yaml").read_text()))
    settings = config.oracle
    with tempfile.TemporaryDirectory() as folder:
        write_latents(Path(folder) / "latents.h5", options.classes, EACH, SHAPE, ATTRIBUTES, ALL)
        began = time.process_time(), time.perf_counter()
        measure_posterior(
            Path(folder) / "latents.h5",
            folder,
            times=np.linspace(0, 1, settings.time_steps + 1),
            pairs_per_class=settings.pairs_per_class,
            pairs_unconditional=0,
            bootstrap=settings.bootstrap,
            budget_mb=1024,
            seed=0,
        )
        core, wall = time.process_time() - began[0], time.perf_counter() - began[1]
    dim = int(np.prod(SHAPE))
    flops = ALL * (sweep_flops(settings.pairs_per_class, EACH, dim) + spectrum_flops(EACH, dim))
    rate = 1e9 * config.estimate.cpu_gflops * config.estimate.cpu_utilisation
    measured = {
        "measurement": "class-wise oracle figures of ImageNet",
        "threads": torch.get_num_threads(),
        "classes": options.classes,
        "samples": options.classes * EACH,
        "dim": dim,
        "core_seconds": round(core, 1),
        "wall_seconds": round(wall, 1),
        "core_hours_of_1000_classes": round(core / options.classes * ALL / 3600, 2),
        "core_hours_estimated": round(flops / rate / 3600, 2),
    }
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
