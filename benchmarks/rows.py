"""A network on a CPU, some rows at a time: time of one call over that of all rows at once, and the largest difference.

    OMP_NUM_THREADS=1 python benchmarks/rows.py [--rows 1000] [--configuration config/cifar10_cpu.yaml]

The networks are those of a configuration, with random weights, in the first latent space. ``ModelVelocity`` takes as
many rows at a time as keep an activation in a core's cache. Each number is the least of --repeats calls that take
turns, in processor time.
"""

import argparse
import time

import torch
import yaml

from twostage.model.lightningdit import LightningDiT
from twostage.sampling.velocity import ModelVelocity

AT_A_TIME = (500, 250, 125, 64, 32, 16)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--configuration", default="config/cifar10_cpu.yaml")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    with open(options.configuration, encoding="utf-8") as file:
        config = yaml.safe_load(file)
    side, patch = config["data"]["image_size"], next(iter(config["spaces"].values()))["patch_size"]
    torch.manual_seed(0)
    x, t, y = torch.randn(options.rows, 3, side, side), torch.rand(options.rows), torch.arange(options.rows) % 10
    for name, sizes in config["models"].items():
        sizes = {key: sizes[key] for key in ("hidden_size", "depth", "num_heads")}
        model = LightningDiT(side, patch, 3, **sizes, num_classes=10).eval()
        torch.nn.init.normal_(model.final_layer.linear.weight, std=0.02)  # zeros before training, as its velocities
        calls = {f"{rows} rows": lambda rows=rows, model=model: split(model, rows, x, t, y) for rows in AT_A_TIME}
        calls["ModelVelocity"] = lambda model=model: ModelVelocity(model)(x, t, y)
        with torch.inference_mode():
            table(name, lambda model=model: model(x, t, y), calls, options.repeats)


def split(model, rows, *items):
    return torch.cat([model(*some) for some in zip(*(item.split(rows) for item in items))])


def table(name, whole, calls, repeats):
    expected, seconds = whole(), {}
    for _ in range(repeats):
        for call, run in {"whole": whole, **calls}.items():
            start = time.process_time()
            run()
            seconds[call] = min(seconds.get(call, float("inf")), time.process_time() - start)
    print(f"{name}: {1e3 * seconds['whole']:.0f} ms at once")
    for call, run in calls.items():
        apart = (run() - expected).abs().max().item()
        print(f"  {call:14s} x {seconds[call] / seconds['whole']:.2f}   largest difference {apart:.1e}")


if __name__ == "__main__":
    main()
