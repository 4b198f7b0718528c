"""The starts of trajectories: the list of samples, their labels, their noise, and the images from which they resume.

All of this depends on (seed, index) alone, so the samples are the same whatever the batches, shards and devices.
"""

import numpy as np
import torch

from twostage.flow import interpolate, sample_noise


def shard_items(samples, seeds, shard, classes):
    """The (seed, index, label) triples of one shard, (n, 3) int64, in the order in which the shard's file holds them.

    A shard k of n holds the indices [k samples / n, (k + 1) samples / n) of every seed. Labels are balanced: sample i
    has the class ``classes[i % len(classes)]`` (classes: labels that occur in the training set and,
    where a plan resumes from images, among these images).
    Raises ValueError for a shard that is not one of n, or that would be empty.
    """
    number, count = shard
    if not 0 <= number < count:
        raise ValueError(f"shard is {number} of {count}; expected 0 <= shard < {count}")
    start, stop = number * samples // count, (number + 1) * samples // count
    if start == stop:
        raise ValueError(f"shard {number} of {count} has none of {samples} samples; expected at most {samples} shards")
    index = np.arange(start, stop)
    labels = np.asarray(classes)[index % len(classes)]
    return np.concatenate([np.stack([np.full_like(index, seed), index, labels], axis=1) for seed in seeds])


def noise_of(items, shape):
    """Prior noise of the items, (n, *shape) float32 (``twostage.flow.sample_noise`` of each seed and index)."""
    noise = torch.empty(len(items), *shape)
    for seed in np.unique(items[:, 0]):
        rows = np.nonzero(items[:, 0] == seed)[0]
        noise[torch.from_numpy(rows)] = sample_noise(int(seed), items[rows, 1].tolist(), shape)
    return noise


def resumed_rows(items, store, count):
    """Rows of ``store`` from which the items resume, (n,) int64: for each item an image of its label.

    Sample i takes the (i // count)-th image of its class, and starts again with the first when the class is used up;
    count: number of classes among the labels. Raises ValueError when the store lacks a class.
    """
    rows = np.empty(len(items), dtype=np.int64)
    for label in np.unique(items[:, 2]):
        members = store.class_slice(int(label))
        mine = np.nonzero(items[:, 2] == label)[0]
        rows[mine] = members.start + items[mine, 1] // count % (members.stop - members.start)
    return rows


def resumed_states(items, store, time, count):
    """x_t of the images from which the items resume, with the items' noise: float32 (n, C, H, W), and their rows."""
    rows = resumed_rows(items, store, count)
    return interpolate(noise_of(items, store.shape[1:]), store.read(rows), time), rows


def present_classes(store):
    """Labels that occur in the store, increasing."""
    return np.nonzero(np.diff(store.class_offsets))[0]
