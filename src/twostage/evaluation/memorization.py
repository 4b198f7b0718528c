"""Memorization (App. F): the distances of samples to the training image that they followed, and to the nearest one.

Training images are compared as the autoencoder reconstructs them: a perfect copy of a training latent looks like this.
With the identity encoder these are the images themselves.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch

from twostage.data.encoders import load_encoder
from twostage.data.held_out import open_held_out
from twostage.data.index import refuse_other_index
from twostage.data.latents import LatentStore
from twostage.evaluation.classifier import index_of
from twostage.evaluation.defaults import CONTROL_IMAGES
from twostage.evaluation.features import batch_size_for, load_extractors
from twostage.evaluation.images import SampledImages
from twostage.evaluation.nearest_images import PIXEL, Queries, References, decoded, nearest_images
from twostage.provenance import PathLike, atomic_write, write_provenance

NEAREST = 3  # an image and its mirrored twin may be the two nearest; the third is then another image
COPY_RATIO = 1 / 3  # a sample is a copy when d1 / d2 is below (Gu et al. 2023, "On memorization in diffusion models")
CONTROL = "held-out images"
SUMMARY = ("followed_distance", "nearest_distance", "ratio", "copied", "retrieved", "within_one_grey_level")


def measure_memorization(
    samples: Mapping[str, Sequence[PathLike]],
    output_csv: PathLike,
    samples_csv: PathLike,
    *,
    store_path: PathLike,
    encoder_spec: Mapping[str, Any],
    encoder_weights: PathLike | Sequence[PathLike] | None = None,
    held_out_path: PathLike | None = None,
    features: Sequence[str] = ("classifier",),
    classifier: PathLike | None = None,
    inception: PathLike | None = None,
    dinov2: PathLike | None = None,
    within_class: bool = False,
    beside: str | None = None,
    control_images: int = CONTROL_IMAGES,
    batch_size: int | None = None,
    device: str | torch.device = "cpu",
) -> pd.DataFrame:
    """Measure memorization of each plan's samples; write a summary CSV and a CSV of every sample.

    samples: {plan name: paths of its shards}; store_path, encoder_spec, encoder_weights: latents of the training
    images (mirrored ones included where the store has them) and the encoder that decodes them. held_out_path: latents
    of held-out images, needed for plans that resume from them. When it is given, at most control_images of them are
    also measured as a control; they are evenly spaced in the store and so balanced over the classes.
    features: spaces besides the pixels; classifier, inception, dinov2: their weights. within_class: look for the
    nearest only among the training images of the sample's class.

    samples_csv, one row per sample and space: plan, seed, index, label, t_switch, t_resume, space ("pixel" or the
    features), followed (row of its store), followed_mirrored, followed_distance, followed_grey (largest difference
    from it over pixels and channels, in grey levels), nearest (row of the training store), nearest_mirrored,
    nearest_distance, second_distance (to the nearest training image that is neither a copy of ``nearest`` nor its
    mirrored twin; inf where there is none), ratio (d1 / d2, NaN without a second), retrieved (the nearest is the
    followed image or a copy of it, equally mirrored; NaN unless a training image is followed), class (the label's
    name). Pixel distances are root mean squares in grey levels (0-255); feature distances are Euclidean.
    beside: a plan in ``samples``; all others' samples are then compared with its samples, image by image. samples_csv
    then has same_noise_distance, to that plan's sample of the same seed and index, and other_noise_distance, to its
    next sample of the same label (of any label, if it has only one), which has other noise; output_csv has their means.
    output_csv, one row per plan, seed and space: means and standard errors (``_sem``) of the distances, of the ratio
    and of three shares: copied (ratio below 1/3, among the samples that have a ratio), retrieved, and
    within_one_grey_level (followed_grey at most 1); how the samples were made (``SampledImages.facts``);
    features_sha256 of the weights; and reference_sha256, the fingerprint of the training images' store.
    Returns the summary table.
    """
    store = LatentStore.open(store_path, split="train")
    held_out = open_held_out(held_out_path, store) if held_out_path else None
    encoder = load_encoder(encoder_spec, encoder_weights, torch.device(device))
    extractors = load_extractors(
        features, classifier_path=classifier, inception_path=inception, dinov2_path=dinov2, device=device
    )
    opened = {plan: SampledImages.open(plan, paths) for plan, paths in samples.items()}
    for plan, item in opened.items():
        refuse_other_index(f"samples of plan {plan}", item.attributes.get("index"), store_path, store.index)
    if "classifier" in features:
        refuse_other_index(classifier, index_of(classifier), store_path, store.index)
    image_shape = next(iter(opened.values())).image_shape
    size = batch_size or batch_size_for(image_shape)
    if beside is not None and beside not in opened:
        raise ValueError(f"beside is {beside!r}; expected one of the plans: {', '.join(opened)}")
    base = None if beside is None else opened[beside]
    sets = [_sample_set(item, store, held_out, encoder, base) for item in opened.values()]
    if held_out is not None:
        sets.append(_control_set(held_out, encoder, control_images, size))
    references = References(store, within_class)
    queries, compared = _looked_at(sets, image_shape, extractors, size)
    nearest = nearest_images(
        queries, references, encoder, extractors, k=NEAREST, size=size, device=device, within_class=within_class
    )
    table = pd.concat(_table(sets, references, queries, nearest, compared), ignore_index=True)
    table["class"] = [store.class_names[label] for label in table["label"].astype(int)]
    with atomic_write(samples_csv) as temporary:
        table.to_csv(temporary, index=False)
    facts = pd.DataFrame([{"plan": plan, **item.facts()} for plan, item in opened.items()])
    digests = {extractor.name: extractor.sha256 for extractor in extractors}
    summary = _summary(table).merge(facts.drop(columns=["t_switch", "t_resume"]), on="plan", how="left")
    summary["features_sha256"] = summary["space"].map(digests)
    summary["reference_sha256"] = store.fingerprint
    with atomic_write(output_csv) as temporary:
        summary.to_csv(temporary, index=False)
    config = {"features": list(features), "within_class": within_class, "encoder": encoder_spec}
    config |= {} if beside is None else {"beside": beside}
    inputs = [path for paths in samples.values() for path in paths]
    write_provenance(samples_csv, config=config, inputs=inputs, store_fingerprint=store.fingerprint)
    write_provenance(output_csv, config=config, inputs=[samples_csv], store_fingerprint=store.fingerprint)
    return summary


@dataclass(frozen=True, eq=False)
class _Set:
    """A set of samples to measure, a plan's or the control: their number, columns of the table, and the images.

    images: function of rows (an int64 array) that gives the samples, uint8 (n, H, W, C); compared: {name: such a
    function for the images with which they are compared}, with the name "followed" for images that they followed;
    in_training: whether they followed training images.
    """

    count: int
    columns: dict[str, Any]
    images: Callable[..., Any]
    compared: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    in_training: bool = False

    def batches(self, size):
        return np.array_split(np.arange(self.count), range(size, self.count, size))


def _sample_set(item, store, held_out, encoder, base=None):
    """A plan's samples; the images that they followed; and, with ``base`` (another plan's samples), the samples there
    of the same noise and of other noise."""
    in_training, compared = item.attributes["followed_split"] == "train", {}
    if item.followed is not None:
        source = store if in_training else held_out
        if source is None:
            raise ValueError(f"plan {item.name} resumes from held-out images; expected held_out_path, their latents")
        mirrored = item.mirrored if in_training else np.zeros(len(item), dtype=bool)
        compared["followed"] = lambda rows: decoded(source, encoder, item.followed[rows], mirrored[rows])
    if base is not None:
        same, other = _beside(item, base)
        compared |= {
            "same_noise": lambda rows: base.images(same[rows]),
            "other_noise": lambda rows: base.images(other[rows]),
        }
    columns = {
        "plan": item.name,
        "seed": item.seed,
        "index": item.index,
        "label": item.labels,
        "t_switch": item.attributes["t_switch"],
        "t_resume": item.attributes["t_resume"],
        "followed": item.followed if item.followed is not None else -1,
        "followed_mirrored": item.mirrored if item.mirrored is not None else False,
    }
    return _Set(len(item), columns, item.images, compared, in_training)


def _beside(item, base):
    """For each sample two rows of ``base``, (n,) each: that of its seed and index, and that of the next sample of the
    same label."""
    rows = {key: row for row, key in enumerate(zip(base.seed.tolist(), base.index.tolist()))}
    wanted = list(zip(item.seed.tolist(), item.index.tolist()))
    if missing := [key for key in wanted if key not in rows]:
        raise ValueError(
            f"plan {base.name} has no sample {missing[0][1]} of seed {missing[0][0]}, which plan {item.name} has; "
            "expected the same samples of both"
        )
    same, following = np.array([rows[key] for key in wanted]), np.empty(len(base), dtype=np.int64)
    for label in np.unique(base.labels):
        members = np.flatnonzero(base.labels == label)
        following[members] = np.roll(members, -1) if len(members) > 1 else (members + 1) % len(base)
    return same, following[same]


def _control_set(held_out, encoder, most, size):
    """Held-out images in place of samples: they show how near real images are to training images. Decoded once."""
    rows = np.unique(np.linspace(0, len(held_out) - 1, min(most, len(held_out))).round().astype(np.int64))
    columns = {"plan": CONTROL, "seed": -1, "index": rows, "label": held_out.labels[rows]}
    columns |= {"t_switch": np.nan, "t_resume": np.nan, "followed": -1, "followed_mirrored": False}
    images = np.concatenate([decoded(held_out, encoder, part) for part in np.split(rows, range(size, len(rows), size))])
    return _Set(len(rows), columns, images.__getitem__)


def _looked_at(sets, image_shape, extractors, size):
    """(``Queries`` of all sets' samples, [{name: {space: distances, "grey": ...}} per set, by the name in
    ``compared``]).

    Distances and grey levels are (n,). Those to the followed images are NaN where none was followed.
    """
    count, start = sum(group.count for group in sets), 0
    features, found = dict.fromkeys(extractor.name for extractor in extractors), []
    for group in sets:
        batches = {name: [] for name in ("followed", *group.compared)}
        for rows in group.batches(size):
            images = group.images(rows)
            taken = {extractor.name: extractor(images) for extractor in extractors}
            for name, values in taken.items():
                if features[name] is None:
                    features[name] = np.empty((count, values.shape[1]), dtype=values.dtype)
                features[name][start : start + len(rows)] = values
            start += len(rows)
            for name, others in group.compared.items():
                batches[name].append(_distances(images, taken, others(rows), extractors))
        spaces = [PIXEL, *features, "grey"]
        found.append(
            {
                name: {key: np.concatenate([each[key] for each in parts]) if parts else np.nan for key in spaces}
                for name, parts in batches.items()
            }
        )
    labels = np.concatenate([group.columns["label"] for group in sets])
    return Queries(partial(_images, sets), features, labels, math.prod(image_shape)), found


def _images(sets, rows):
    """Images uint8 (n, H, W, C) of a slice of the samples, all sets in a row."""
    found, start = [], 0
    for group in sets:
        low, high = max(rows.start - start, 0), min(rows.stop - start, group.count)
        if low < high:
            found.append(group.images(np.arange(low, high)))
        start += group.count
    return np.concatenate(found)


def _distances(images, features, followed, extractors):
    """{space: Euclidean distance of each image to the one it followed, "grey": largest difference of a pixel}."""
    grey = np.abs(images.astype(np.int16) - followed.astype(np.int16)).reshape(len(images), -1).max(1)
    pairs = {PIXEL: (images, followed)}
    pairs |= {extractor.name: (features[extractor.name], extractor(followed)) for extractor in extractors}
    distances = {
        # 0 for the same image, whose features may differ by rounding alone
        space: np.where(grey == 0, 0.0, np.linalg.norm(np.subtract(*map(_flat, pair)), axis=1))
        for space, pair in pairs.items()
    }
    return distances | {"grey": grey}


def _table(sets, references, queries, found, compared):
    """One table per set and space, a row per sample; found: of ``nearest_images``."""
    start = 0
    for group, distances_to in zip(sets, compared):
        to_followed = distances_to.pop("followed")
        rows = slice(start, start + group.count)
        start = rows.stop
        for space, (distances, positions) in found.items():
            scale = np.sqrt(queries.numbers) if space == PIXEL else 1.0
            distances, positions = distances[rows] / scale, positions[rows]
            first, second = distances[:, 0], _nearest_other(distances, references.identity[positions])
            nearest, nearest_mirrored = references.of(positions[:, 0])
            yield pd.DataFrame(
                {
                    "plan": group.columns["plan"],
                    "space": space,
                    **group.columns,
                    "followed_in_training": group.in_training,
                    "followed_distance": to_followed[space] / scale,
                    "followed_grey": to_followed["grey"],
                    "nearest": nearest,
                    "nearest_mirrored": nearest_mirrored,
                    "nearest_distance": first,
                    "second_distance": second,
                    "ratio": _ratio(first, second),
                    "retrieved": _retrieved(group, references, nearest, nearest_mirrored),
                    **{f"{name}_distance": each[space] / scale for name, each in distances_to.items()},
                }
            )


def _nearest_other(distances, identity):
    """Distance to the nearest with another identity than the first, (n,); distances (increasing), identity: (n, k)."""
    other = np.where(identity == identity[:, :1], np.inf, distances)
    return other.min(axis=1)


def _retrieved(group, references, nearest, nearest_mirrored):
    """Whether the nearest image is, by content, the training image that was followed: float (n,), or NaN."""
    columns = group.columns
    if not ("followed" in group.compared and group.in_training):
        return np.nan
    followed = references.content_of(columns["followed"], columns["followed_mirrored"])
    return (references.content_of(nearest, nearest_mirrored) == followed).astype(float)


def _summary(table):
    """Means and standard errors per plan, seed and space."""
    follows = table["followed"] >= 0
    table = table.assign(
        copied=(table["ratio"] < COPY_RATIO).astype(float).where(table["ratio"].notna()),
        within_one_grey_level=(table["followed_grey"] <= 1).astype(float).where(follows),
    )
    keys = ["plan", "seed", "space"]
    groups = table.groupby(keys, sort=False)
    summary = groups[["t_switch", "t_resume"]].first()
    summary["samples"] = groups.size()
    for column in (*SUMMARY, *(name for name in table.columns if name.endswith("_noise_distance"))):
        summary[column], summary[f"{column}_sem"] = groups[column].mean(), groups[column].sem()
    return summary.reset_index()


def _ratio(first, second):
    """d1 / d2; 0 where d1 is 0, NaN where there is no second image."""
    ratio = np.divide(first, second, out=np.zeros_like(first), where=first != 0)
    return np.where(np.isfinite(second), ratio, np.nan)


def _flat(images):
    return images.reshape(len(images), -1).astype(np.float64)
