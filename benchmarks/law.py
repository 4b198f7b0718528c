"""The transition law, and its corrections, against measurement: iid Gaussians, digits, classes of an image folder.

    OMP_NUM_THREADS=1 python benchmarks/law.py [--images FOLDER] [--image-size 32] [--pairs 256] [--surrogates]

A row: measured transition and its 95% bootstrap interval, then for each prediction the relative error of the transition
and the largest error of the whole curve. law: ``predicted_self_weight``. finite: ``corrected_self_weight`` for Gaussian
data. scale: the same with the measured ``scale_variance``. --surrogates: measured transitions, over the law's, of the
data and of three surrogates of equal covariance: Gaussian, Gaussian with random scale, and components permuted.
"""

import argparse

import numpy as np
import torch
from sklearn.datasets import load_digits

from twostage.data.datasets import load_dataset
from twostage.oracle import sweep
from twostage.oracle.law import (
    corrected_self_weight,
    crossing_time,
    predicted_self_weight,
    scale_variance,
    spectrum,
    transition_grid,
    transition_interval,
    transition_time,
)
from twostage.oracle.samples import Samples
from twostage.oracle.synthetic import gaussian_curves


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--pairs", type=int, default=256)
    parser.add_argument("--surrogates", action="store_true")
    options = parser.parse_args()
    print("                       n   measured  interval            law            finite         scale")
    summarise("iid Gaussians", [gaussians(dim, size) for dim in (16, 64, 512, 4096) for size in (10, 100, 1000, 10000)])
    for name, classes in real(options):
        summarise(name, [compare(f"{name} {label}", Samples(data), options) for label, data in classes])


def gaussians(dim, size):
    values = np.ones(dim)
    times = transition_grid(values, size, points=61)
    weights = gaussian_curves(dim, size, times, 1000, 0)[1]
    return row(f"iid, D = {dim}", values, size, times, weights, 0.0)


def real(options):
    images, labels = load_digits(return_X_y=True)
    images = torch.from_numpy((images - images.mean()) / images.std()).float()
    yield "digits", ((label, images[torch.from_numpy(labels == label)]) for label in range(10))
    if options.images is not None:
        dataset = load_dataset("image_folder", "train", path=options.images, image_size=options.image_size)
        mean, std = channel_statistics(dataset)
        pixels = lambda label: dataset.images(np.flatnonzero(dataset.labels == label))  # noqa: E731
        normalised = lambda label: torch.from_numpy((pixels(label) - mean) / std).float()  # noqa: E731
        yield "images", ((label, normalised(label).flatten(1)) for label in range(len(dataset.classes)))


def channel_statistics(dataset):
    chosen = np.random.default_rng(0).permutation(len(dataset))[:10_000]
    pixels = dataset.images(chosen).reshape(-1, dataset.image_shape[-1]).astype(float)
    return pixels.mean(0), pixels.std(0)


def compare(name, samples, options):
    values = spectrum(samples)
    times = transition_grid(values, samples.count)
    found = row(name, values, samples.count, times, measure(samples, times, options.pairs), scale_variance(samples))
    if options.surrogates:
        law = transition_time(values, samples.count)
        shown = []
        for kind, data in surrogates(samples).items():
            shown.append(f"{kind} {crossing_time(measure(data, times, options.pairs).mean(0), times) / law:.3f}")
        print(" " * 23 + "measured / law: " + ", ".join(shown), flush=True)
    return found


def measure(data, times, pairs):
    samples = data if isinstance(data, Samples) else Samples(data)
    generator = torch.Generator().manual_seed(0)
    index = torch.cat([torch.randperm(samples.count, generator=generator) for _ in range(-(-pairs // samples.count))])
    noise = torch.randn(pairs, samples.dim, generator=generator)
    return sweep(samples, index[:pairs], noise, times).self_weight


def surrogates(samples):
    """Samples of the same covariance, in its eigenbasis."""
    generator = torch.Generator().manual_seed(1)
    rows = samples.take(torch.arange(samples.count)).double() - samples.mean
    left, singular, _ = torch.linalg.svd(rows, full_matrices=False)
    deviation = singular / samples.count**0.5
    gaussian = torch.randn(left.shape, generator=generator, dtype=torch.float64) * deviation
    spread = scale_variance(samples)
    scale = torch.ones(samples.count, 1, dtype=torch.float64)
    if spread > 0:
        draw = np.random.default_rng(1).gamma(1 / spread, spread, (samples.count, 1))
        scale = torch.from_numpy(draw).sqrt()
    columns = [torch.randperm(samples.count, generator=generator) for _ in singular]
    permuted = torch.stack([(left * singular)[order, k] for k, order in enumerate(columns)], 1)
    return {
        "data": (left * singular).float(),
        "Gaussian": gaussian.float(),
        "scaled": (gaussian * scale).float(),
        "permuted": permuted.float(),
    }


def row(name, values, size, times, weights, spread):
    mean = weights.mean(0)
    measured = crossing_time(mean, times)
    curves = [
        predicted_self_weight(values, size, times),
        corrected_self_weight(values, size, times),
        corrected_self_weight(values, size, times, spread),
    ]
    errors = [(transition_time(values, size) / measured - 1, np.abs(curves[0] - mean).max())]
    errors += [(crossing_time(curve, times) / measured - 1, np.abs(curve - mean).max()) for curve in curves[1:]]
    low, high = transition_interval(weights, times, resamples=300)
    shown = "  ".join(f"{100 * at:+5.1f}% {curve:.3f}" for at, curve in errors)
    print(f"{name:18s} {size:6d}   {measured:.4f}  ({low:.4f}, {high:.4f})  {shown}  a {spread:.2f}", flush=True)
    return errors


def summarise(name, errors):
    errors = np.abs(errors)
    for kind, reduce in (("median", np.median), ("worst", np.max)):
        shown = "  ".join(f"{100 * at:5.1f}% {curve:.3f}" for at, curve in reduce(errors, 0))
        print(f"{name + ', ' + kind:55s}  {shown}")


if __name__ == "__main__":
    main()
