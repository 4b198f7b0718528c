"""Distances between samples and training images, one row per plan, seed and kind of features."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from twostage.data.index import refuse_other_index
from twostage.evaluation.classifier import index_of
from twostage.evaluation.features import batch_size_for, load_extractors
from twostage.evaluation.frechet import distance_of_roots, mean_and_root
from twostage.evaluation.images import SampledImages, load_split
from twostage.evaluation.inception_score import inception_scores
from twostage.evaluation.jackknife import PARTS, at_infinity, distances_without, parts_of, standard_error
from twostage.evaluation.kid import kernel_distances
from twostage.evaluation.prdc import precision_recall_density_coverage
from twostage.evaluation.reference import index_of_reference, reference_from_data, reference_from_file
from twostage.provenance import atomic_write, write_json, write_provenance


def evaluate_samples(
    dataset,
    samples,
    output_csv,
    *,
    features=("classifier",),
    classifier=None,
    inception=None,
    dinov2=None,
    references=None,
    pairs=10_000,
    neighbours=5,
    batch_size=None,
    device="cpu",
):
    """Evaluate samples against the training images. Write a CSV and, beside it, a JSON with all settings.

    dataset: dict, name and options of ``twostage.data.datasets.load_dataset``; its train split is the reference.
    samples: {plan name: paths of its shards}. features: extractors to use; classifier, inception, dinov2: weights.
    references: {features: npz path}, used in place of the training images: a file of ``compute_references``, of ADM or
    of clean-fid, or an npz of images, whose features are computed.
    pairs: largest number of images per side for KID and PRDC, chosen by a seed. neighbours: k of PRDC.
    batch_size: images at a time; None: a number that follows from their size.

    Columns: plan, seed, features, metric (the distance's name: gFID for Inception alone), distance, distance_sem,
    distance_infinite, kid, kid_sem, distance_without_0 to _9 (see ``measure``), precision, recall, density,
    coverage, and what these four depend on: prdc_neighbours (k), prdc_samples and prdc_reference (features per side,
    NaN where there are none), samples, reference_samples, reference_sha256 and features_sha256 (of the
    weights), in Inception's rows sfid, sfid_sem, inception_score and inception_score_sem (see ``peer_measures``), the
    facts in the samples' files (solver, steps, nfe, ...), fields, weights (EMA decay, training step and
    digest of each), guidance, interval and shift of the plan. Returns the table.
    """
    train, opened, extractors = opened_for_evaluation(
        dataset, samples, features, device, classifier=classifier, inception=inception, dinov2=dinov2
    )
    rows, used = [], {}
    total = sum(len(item.attributes["seeds"]) for item in opened.values()) * len(extractors)
    with tqdm(total=total, desc="evaluation", unit="set", disable=None) as progress:
        for extractor in extractors:
            size = batch_size or batch_size_for(train.image_shape)
            path = (references or {}).get(extractor.name)
            reference = (
                reference_from_file(path, extractor, batch_size, pairs)
                if path
                else reference_from_data(train, extractor, size, pairs)
            )
            if path:
                refuse_other_index(path, index_of_reference(path), "the data set", train.index)
            used[extractor.name] = _settings_of(extractor, reference)
            for plan, item in opened.items():
                for seed in np.unique(item.seed):
                    positions = np.flatnonzero(item.seed == seed)
                    both = extractor.with_spatial(item.batches(size, positions))
                    found, spatial = reference.checked(*both)
                    labels = item.labels[positions]
                    rows.append(
                        {"plan": plan, "seed": int(seed), "features": extractor.name, "metric": extractor.distance_name}
                        | measure(found, reference, labels, pairs=pairs, neighbours=neighbours)
                        | {"reference_sha256": reference.sha256, "features_sha256": extractor.sha256}
                        | peer_measures(found, spatial, reference, extractor.class_weights, labels)
                        | item.facts()
                    )
                    progress.update()
    table = pd.DataFrame(rows)
    with atomic_write(output_csv) as temporary:
        table.to_csv(temporary, index=False)
    inputs = [path for paths in samples.values() for path in paths]
    config = {"dataset": dataset, "parts": PARTS, "pairs": pairs, "neighbours": neighbours}
    write_provenance(output_csv, config=config, inputs=inputs)
    output_json = Path(output_csv).with_suffix(".json")
    plans = {plan: _record_of(item) for plan, item in opened.items()}
    write_json(output_json, {**config, "features": used, "plans": plans, "samples": _counts(table)})
    write_provenance(output_json, config=config, inputs=[output_csv])
    return table


def opened_for_evaluation(dataset, samples, features, device, **weights):
    """The training images, {plan: its samples}, and the extractors; arguments as of ``evaluate_samples``.

    Raises ValueError where they were not all made from the same images.
    """
    opened = {plan: SampledImages.open(plan, paths) for plan, paths in samples.items()}
    extractors = load_extractors(features, **{f"{name}_path": path for name, path in weights.items()}, device=device)
    train = load_split(dataset, "train")
    for plan, item in opened.items():
        refuse_other_index(f"samples of plan {plan}", item.attributes.get("index"), "the data set", train.index)
    if "classifier" in features:
        refuse_other_index(weights["classifier"], index_of(weights["classifier"]), "the data set", train.index)
    return train, opened, extractors


def measure(features, reference, labels=None, *, pairs=10_000, neighbours=5):
    """Distance, KID and PRDC of features (N, D) against a ``Reference``, with standard errors by the jackknife.

    labels: int (N,): each part that the jackknife leaves out has its share of every label. None: one label for all.
    ``distance_infinite`` is the distance extrapolated to infinitely many samples; it can be compared between different
    numbers of samples. ``distance_without_0`` ... are the distances without each part. KID and PRDC need the
    reference's features and are NaN without them. Warns when there are no more samples than dimensions (the distance is
    then exact for the singular covariance, but biased upwards).
    """
    if len(features) <= features.shape[1]:
        warnings.warn(
            f"{len(features)} samples for {features.shape[1]} dimensions: the Frechet distance is biased upwards",
            stacklevel=2,
        )
    part = parts_of(np.zeros(len(features)) if labels is None else labels)
    distance = distance_of_roots(*mean_and_root(features), reference.mean, reference.root)
    without = distances_without(features, part, reference.mean, reference.root)
    result = {
        "distance": distance,
        "distance_sem": float(standard_error(without)),
        "distance_infinite": at_infinity(distance, without),
        "kid": np.nan,
        "kid_sem": np.nan,
    }
    shape = dict.fromkeys(("precision", "recall", "density", "coverage"), np.nan)
    of = dict.fromkeys(("prdc_neighbours", "prdc_samples", "prdc_reference"), np.nan)
    if reference.features is not None:
        chosen = _at_most(len(features), pairs)
        real, fake = reference.features, features[chosen]
        kid, kid_without = kernel_distances(fake, real, part[chosen], reference.within)
        result |= {"kid": kid, "kid_sem": float(standard_error(kid_without)) if len(fake) >= 2 * PARTS else np.nan}
        if min(len(real), len(fake)) > neighbours:
            shape = precision_recall_density_coverage(real, fake, neighbours, reference.radii(neighbours))
            of = {"prdc_neighbours": neighbours, "prdc_samples": len(fake), "prdc_reference": len(real)}
    size = {"samples": len(features), "reference_samples": reference.samples}
    return result | {f"distance_without_{p}": value for p, value in enumerate(without)} | shape | of | size


def peer_measures(features, spatial, reference, class_weights, labels=None):
    """sFID and the Inception score, with standard errors by the jackknife of ``measure``; {} without spatial features.

    features: (N, D); spatial: (N, S) or None, of the same images; class_weights: of ``FeatureExtractor``. sFID is the
    Frechet distance in the spatial features (Nash et al. 2021), NaN where the reference has none. For the score see
    ``twostage.evaluation.inception_score``.
    """
    if spatial is None:
        return {}
    part = parts_of(np.zeros(len(features)) if labels is None else labels)
    sfid, sfid_without = np.nan, [np.nan]
    if reference.spatial is not None:
        sfid = distance_of_roots(*mean_and_root(spatial), *reference.spatial)
        sfid_without = distances_without(spatial, part, *reference.spatial)
    score, score_without = inception_scores(features, class_weights, part)
    return {
        "sfid": sfid,
        "sfid_sem": float(standard_error(sfid_without)),
        "inception_score": score,
        "inception_score_sem": float(standard_error(score_without)),
    }


def _at_most(count, most, seed=0):
    """Positions of at most ``most`` of ``count`` samples, chosen by a seed, in increasing order."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:most])


def _record_of(item):
    plain = {
        key: value.item()
        if isinstance(value, np.generic)
        else value.tolist()
        if isinstance(value, np.ndarray)
        else value
        for key, value in item.attributes.items()
    }
    # NaN (a split that a plan does not use) is not JSON.
    return {key: None if isinstance(value, float) and np.isnan(value) else value for key, value in plain.items()}


def _settings_of(extractor, reference):
    return {
        "metric": extractor.distance_name,
        "weights_sha256": extractor.sha256,
        "reference": reference.source,
        "reference_sha256": reference.sha256,
        "reference_samples": reference.samples,
    }


def _counts(table):
    return int(table["samples"].iloc[0]) if table["samples"].nunique() == 1 else table["samples"].tolist()
