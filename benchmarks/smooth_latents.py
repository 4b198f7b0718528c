"""Latents (N, C, 16, 16) for benchmarks: smooth means of classes, and smooth noise about them, as real latents have."""

import numpy as np

from twostage.data.latents import write_store


def write_latents(path, classes, each, shape, attributes, num_classes=None):
    """Write a store of ``classes`` classes of ``each`` latents (C, 16, 16); num_classes: if it says more."""
    rng = np.random.default_rng(0)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(16, 1 / 16), np.fft.fftfreq(16, 1 / 16)))
    decay = 1 / (1 + frequency)
    smooth = lambda noise: np.fft.ifft2(np.fft.fft2(noise) * decay).real  # noqa: E731
    with write_store(path, classes * each, shape) as writer:
        for label in range(classes):
            mean = smooth(rng.standard_normal(shape))
            writer.write(label * each, (mean + smooth(rng.standard_normal((each, *shape)))).astype(np.float32))
        labels = np.repeat(np.arange(classes), each)
        writer.finish(labels, np.arange(len(labels)), num_classes or classes, attributes)
