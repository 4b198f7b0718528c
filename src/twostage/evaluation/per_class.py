"""Distances between the samples of a class and its training images, one row per plan, class and kind of features."""

import warnings

import numpy as np
import pandas as pd
from tqdm import tqdm

from twostage.evaluation.evaluate import opened_for_evaluation
from twostage.evaluation.features import batch_size_for
from twostage.evaluation.frechet import covariance_root, distance_of_roots, mean_and_root
from twostage.evaluation.images import dataset_batches
from twostage.evaluation.jackknife import PARTS, at_infinity, distances_without, parts_of, standard_error
from twostage.evaluation.reference import FeatureMoments
from twostage.provenance import atomic_write, write_provenance

LEAST = 2 * PARTS  # samples, and training images, of a class: two per part that the jackknife leaves out
MEASURED = ("distance", "distance_sem", "distance_infinite")


def class_distances(
    dataset,
    samples,
    output_csv,
    *,
    features=("classifier",),
    classifier=None,
    inception=None,
    dinov2=None,
    batch_size=None,
    device="cpu",
):
    """Write the Frechet distance of each plan's samples of each class to the training images of that class, as CSV.

    Arguments as of ``twostage.evaluation.evaluate.evaluate_samples``. The samples of all seeds count together. A class
    is measured where it has at least ``LEAST`` samples and as many training images; elsewhere the numbers are blank and
    ``reason`` says why. Where there are no more samples or training images than ``dimensions``, the distance is biased
    upwards: compare it only between plans with the same number of samples.

    Columns: plan, features, metric, label, class_name, distance, distance_sem, distance_infinite (as in
    ``evaluate_samples``), samples, reference_samples, dimensions, reason, features_sha256, and the facts in the
    samples' files. One plan's samples of one class are in memory at a time. Returns the table.
    """
    train, opened, extractors = opened_for_evaluation(
        dataset, samples, features, device, classifier=classifier, inception=inception, dinov2=dinov2
    )
    size = batch_size or batch_size_for(train.image_shape)
    images = np.bincount(train.labels, minlength=len(train.classes))
    rows = []
    with tqdm(total=len(extractors) * len(images), desc="classes", unit="class", disable=None) as progress:
        for extractor in extractors:
            for label, name in enumerate(train.classes):
                positions = {plan: np.flatnonzero(item.labels == label) for plan, item in opened.items()}
                real = None
                if images[label] >= LEAST and max(map(len, positions.values()), default=0) >= LEAST:
                    own = np.flatnonzero(train.labels == label)
                    images[label], *real = _moments(extractor, dataset_batches(train, size, own))
                for plan, item in opened.items():
                    found = {"samples": len(positions[plan]), "reference_samples": images[label]}
                    if real is not None and not _reason(found):
                        found |= _measured(extractor.of_batches(item.batches(size, positions[plan])), real)
                    rows.append(
                        {"plan": plan, "features": extractor.name, "metric": extractor.distance_name}
                        | {"label": label, "class_name": name}
                        | dict.fromkeys(MEASURED, np.nan)
                        | {"samples": 0, "reference_samples": 0, "dimensions": np.nan, "reason": _reason(found)}
                        | found
                        | {"features_sha256": extractor.sha256}
                        | item.facts()
                    )
                progress.update()
    table = pd.DataFrame(rows)
    few = table["dimensions"] >= table[["samples", "reference_samples"]].min(axis=1)
    if few.any():
        warnings.warn(
            f"{few.sum()} of {len(table)} distances have no more samples or training images than dimensions: they are "
            "biased upwards",
            stacklevel=2,
        )
    with atomic_write(output_csv) as temporary:
        table.to_csv(temporary, index=False)
    inputs = [path for paths in samples.values() for path in paths]
    write_provenance(output_csv, config={"dataset": dataset, "parts": PARTS, "least": LEAST}, inputs=inputs)
    return table


def _moments(extractor, batches):
    """Number of usable images, mean and root of their features; a class may hold all images, so features are kept only
    while there are no more of them than dimensions, where the root is exact through them."""
    moments, kept = FeatureMoments(), []
    for images in batches:
        features = extractor(images)
        moments.add(features)
        kept = [*kept, features] if moments.count <= features.shape[1] else []
    if kept or moments.count < LEAST:  # too few are not measured
        return moments.count, *(mean_and_root(np.concatenate(kept)) if moments.count >= LEAST else (None, None))
    return moments.count, moments.mean, covariance_root(moments.covariance, moments.mean)


def _measured(fake, reference):
    """The distance of features (N, D) to a mean and root, with its error; and D."""
    distance = distance_of_roots(*mean_and_root(fake), *reference)
    without = distances_without(fake, parts_of(np.zeros(len(fake))), *reference)
    numbers = (distance, float(standard_error(without)), at_infinity(distance, without))
    return dict(zip(MEASURED, numbers)) | {"dimensions": fake.shape[1]}


def _reason(found):
    """Why there is no distance; empty where there is one."""
    for what, key in (("samples", "samples"), ("training images", "reference_samples")):
        if found[key] < LEAST:
            return f"{found[key]} {what} of this class; expected {LEAST} or more"
    return ""
