"""Errors of the oracle and of the sweep against direct float64 differences, the worst of each data set and time.

    OMP_NUM_THREADS=1 python benchmarks/accuracy.py [--images FOLDER [--image-size 32]] [--points 16]

Velocity: largest relative error of a vector. Weights: largest absolute error. Both are the worst of three: all samples
at once, in chunks, as where memory is short, and one point alone. mse: largest relative error, wherever it
is above 1e-300; smallest: the least such mse met. References work with differences x^(i) - x_1 and log-weights, so that
they hold where the plain formula underflows; the tests check them in 340 digits. --images: folder of class folders.
"""

import argparse

import numpy as np
import torch
from sklearn.datasets import load_digits

from twostage.data.datasets import load_dataset
from twostage.oracle import Oracle, sweep

TIMES = (0.0, 1e-4, 0.01, 0.05, 0.1, 0.3, 0.5, 0.89, 0.9, 0.99, 0.999, 1 - 1e-6)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--points", type=int, default=16)
    options = parser.parse_args()
    print("data                          t        weights   velocity  mse       smallest mse")
    worst = np.zeros(3)
    for name, data in data_sets(options.images, options.image_size):
        index = torch.arange(options.points)
        noise = torch.randn(len(index), data.shape[1], generator=torch.Generator().manual_seed(1))
        thirds = (40 * data.shape[1] + 16 * len(data)) * len(index) / 2**20
        oracles, found = (Oracle(data), Oracle(data, budget_mb=thirds)), sweep(data, index, noise, TIMES)
        for k, t in enumerate(TIMES):
            # x_t in the precision of the data, taken as it is by both sides
            x_t = (t * data[index].double() + (1 - t) * noise.double()).to(data.dtype)
            weights, velocity = reference(data, x_t, t)
            asked = [*((oracle, slice(None)) for oracle in oracles), (oracles[0], slice(1))]
            errors = [
                max(float((each.log_weights(x_t[p], t).exp() - weights[p]).abs().max()) for each, p in asked),
                max(float(relative(each.velocity(x_t[p], t), velocity[p]).max()) for each, p in asked),
            ]
            mse = np.array([reference_mse(data, int(p), noise[p], t) for p in index])
            seen = mse > 1e-300
            errors.append(float(np.abs(found.mse[seen, k] / mse[seen] - 1).max()) if seen.any() else 0.0)
            assert (found.mse[~seen, k] <= 2e-300).all()
            worst = np.maximum(worst, errors)
            smallest = f"{mse[seen].min():.0e}" if seen.any() else "0"
            print(f"{name:28s} {t:<9g} " + "  ".join(f"{error:.1e}" for error in errors) + f"  {smallest}", flush=True)
    print(f"{'worst':38s} " + "  ".join(f"{error:.1e}" for error in worst))


def data_sets(images, size):
    torch.manual_seed(0)
    count, dim = 1300, 4096
    base = torch.randn(count, dim)
    yield "iid", base
    for distance in (1e-3, 1e-6):
        half = base[: count // 2]
        yield f"near-duplicates, {distance:g}", torch.cat([half, half + distance * torch.randn(count // 2, dim)])
    yield "mean 10", 10 + base
    yield "mean 10, near-duplicates", torch.cat([10 + half, 10 + half + 1e-5 * torch.randn(count // 2, dim)])
    yield "mean 0.7, many samples", 0.7 + torch.randn(200_000, 16)
    digits, labels = load_digits(return_X_y=True)
    yield "digits, one class", normalise(digits[labels == 0])
    yield "digits", normalise(digits)
    if images is not None:
        dataset = load_dataset("image_folder", "train", path=images, image_size=size)
        pixels = dataset.images(np.flatnonzero(dataset.labels == 0)[:1300])
        yield "images, one class", normalise(pixels.reshape(len(pixels), -1))


def normalise(values):
    return torch.from_numpy((values - values.mean()) / values.std()).float()


def relative(found, expected):
    return (found - expected).norm(dim=1) / expected.norm(dim=1)


def reference(data, x_t, t):
    """Weights and velocity by direct differences."""
    wide, weights, velocity = data.double(), [], []
    for x in x_t.double():
        distance = (x - t * wide).square().sum(1)
        weight = (-distance / (2 * (1 - t) ** 2)).softmax(0)
        weights.append(weight)
        velocity.append(weight @ (wide - x) / (1 - t))
    return torch.stack(weights), torch.stack(velocity)


def reference_mse(data, k, noise, t):
    """mean_D (u* - u)^2 of one pair by differences from the true sample, the sum scaled by its largest term."""
    difference = data.double() - data[k].double()
    square, s = difference.square().sum(1), t / (1 - t)
    log = s * (difference @ noise.double()) - s**2 / 2 * square
    log -= log.logsumexp(0)
    size = log + square.log() / 2
    scale = size.max()
    moved = (log - scale).exp().masked_fill(square == 0, 0) @ difference
    return float((2 * scale - 2 * np.log1p(-t)).exp() * moved.square().mean())


if __name__ == "__main__":
    main()
