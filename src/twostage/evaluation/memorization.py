"""Memorisation (App. F): how far samples are from the training image they followed, and from the nearest one.

Training images are taken as the autoencoder reconstructs them: what a perfect copy of a training latent looks like.
For pixels as they are (the identity encoder) these are the images themselves.
"""

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from twostage.data.encoders import load_encoder
from twostage.data.held_out import open_held_out
from twostage.data.index import refuse_other_index
from twostage.data.latents import LatentStore
from twostage.evaluation.classifier import index_of
from twostage.evaluation.features import batch_size_for, load_extractors
from twostage.evaluation.images import Samples
from twostage.evaluation.neighbours import NearestNeighbours
from twostage.provenance import atomic_write, write_provenance

PIXEL = "pixel"
NEAREST = 3  # an image and its mirrored twin may be the two nearest: the third is another image
COPY_RATIO = 1 / 3  # a sample is a copy when d1 / d2 is below (Gu et al. 2023, "On memorization in diffusion models")
CONTROL = "held-out images"
SUMMARY = ("followed_distance", "nearest_distance", "ratio", "copied", "retrieved", "within_one_grey_level")


def measure_memorization(
    samples,
    output_csv,
    samples_csv,
    *,
    store_path,
    encoder_spec,
    encoder_weights=None,
    held_out_path=None,
    features=("classifier",),
    classifier=None,
    inception=None,
    dinov2=None,
    within_class=False,
    control=10_000,
    batch_size=None,
    device="cpu",
):
    """Measure memorisation of each plan's samples; write a summary CSV and a CSV of every sample.

    samples: {plan name: paths of its shards}; store_path, encoder_spec, encoder_weights: latents of the training
    images (mirrored ones included where the store has them) and what decodes them. held_out_path: latents of held-out
    images: needed for plans that resume from them, and, when given, measured themselves as a control: at most
    ``control`` of them, the same choice always.
    features: spaces besides the pixels; classifier, inception, dinov2: their weights. within_class: look for the
    nearest among the training images of the sample's class only.

    samples_csv, one row a sample and space: plan, seed, index, label, t_switch, t_resume, space ("pixel" or the
    features), followed (row of its store), followed_mirrored, followed_distance, followed_grey (largest difference to
    it of any pixel and channel, grey levels), nearest (row of the training store), nearest_mirrored, nearest_distance,
    second_distance (to the nearest training image that is another one than ``nearest``: neither a copy of it nor its
    mirrored twin; inf where there is none), ratio (d1 / d2, NaN without a second), retrieved (the nearest is the
    followed image or a copy of it, equally mirrored; NaN unless a training image is followed), class (the label's
    name). Pixel distances are root mean squares in grey levels (0-255), feature distances Euclidean.
    output_csv, one row a plan, seed and space: means and standard errors (``_sem``) of the distances, the ratio and
    the shares copied (ratio below 1/3, of the samples that have one), retrieved and within_one_grey_level
    (followed_grey at most 1); how the samples were made (``Samples.facts``), features_sha256 of the weights, and
    reference_sha256, the fingerprint of the training images' store.
    Returns the summary table.
    """
    store = LatentStore.open(store_path, split="train")
    held_out = open_held_out(held_out_path, store) if held_out_path else None
    encoder = load_encoder(encoder_spec, encoder_weights, torch.device(device))
    extractors = load_extractors(
        features, classifier_path=classifier, inception_path=inception, dinov2_path=dinov2, device=device
    )
    opened = {plan: Samples.open(plan, paths) for plan, paths in samples.items()}
    for plan, item in opened.items():
        refuse_other_index(f"samples of plan {plan}", item.attributes.get("index"), store_path, store.index)
    if "classifier" in features:
        refuse_other_index(classifier, index_of(classifier), store_path, store.index)
    sets = [_sample_set(item, store, held_out, encoder) for item in opened.values()]
    if held_out is not None:
        sets.append(_control_set(held_out, encoder, control))
    size = batch_size or batch_size_for(sets[0]["images"].shape[1:])
    references = References(store, within_class)
    searches = _search(sets, store, references, encoder, extractors, size, device, within_class)
    table = pd.concat(_table(sets, references, searches, extractors, size), ignore_index=True)
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
    config = {"features": list(features), "within_class": within_class, "encoder": encoder_spec, "control": control}
    inputs = [path for paths in samples.values() for path in paths]
    write_provenance(samples_csv, config=config, inputs=inputs, store_fingerprint=store.fingerprint)
    write_provenance(output_csv, config=config, inputs=[samples_csv], store_fingerprint=store.fingerprint)
    return summary


def decoded(store, encoder, rows, mirrored=None):
    """Images uint8 (n, H, W, C) that the encoder makes of a store's latents."""
    latents = store.read(rows, normalised=False, flipped=False if mirrored is None else mirrored)
    return encoder.decode(latents).cpu().numpy()


def _sample_set(item, store, held_out, encoder):
    """A plan's samples in memory, with the images they followed."""
    followed_images = None
    if item.followed is not None:
        source = store if item.attributes["followed_split"] == "train" else held_out
        if source is None:
            raise ValueError(f"plan {item.name} resumes from held-out images; expected held_out_path, their latents")
        followed_images = decoded(source, encoder, item.followed, item.mirrored if source is store else None)
    return {
        "plan": item.name,
        "images": item.images(np.arange(len(item))),
        "followed_images": followed_images,
        "in_training": item.attributes["followed_split"] == "train",
        "columns": {
            "seed": item.seed,
            "index": item.index,
            "label": item.labels,
            "t_switch": item.attributes["t_switch"],
            "t_resume": item.attributes["t_resume"],
            "followed": item.followed if item.followed is not None else -1,
            "followed_mirrored": item.mirrored if item.mirrored is not None else False,
        },
    }


def _control_set(held_out, encoder, count):
    """Held-out images as if they were samples, at most ``count``: how near real images come to the training images."""
    rows = np.sort(np.random.default_rng(0).permutation(len(held_out))[:count])
    columns = {"seed": -1, "index": rows, "label": held_out.labels[rows], "t_switch": np.nan, "t_resume": np.nan}
    return {
        "plan": CONTROL,
        "images": decoded(held_out, encoder, rows),
        "followed_images": None,
        "in_training": False,
        "columns": columns | {"followed": -1, "followed_mirrored": False},
    }


class References:
    """The different ones among a store's images and their mirrored twins: each is looked at once, whatever its copies.

    by_class: copies in another class are kept. An image and its mirrored twin are both references, of one ``identity``.
    """

    def __init__(self, store, by_class=False):
        contents = [store.content] + ([store.content_flip] if store.has_flips else [])
        self.store, self.content = store, np.concatenate(contents)
        keys = [self.content, np.tile(store.labels, len(contents))] if by_class else [self.content]
        self.places = np.sort(np.unique(np.stack(keys), axis=1, return_index=True)[1])
        self.identity = np.tile(np.minimum.reduce(contents), len(contents))[self.places]

    def __len__(self):
        return len(self.places)

    def of(self, positions):
        """Rows of the store and whether they are mirrored, for positions among the references."""
        mirrored, rows = np.divmod(self.places[positions], len(self.store))
        return rows, mirrored.astype(bool)

    def content_of(self, rows, mirrored):
        """Content ids of rows of the store, mirrored or not."""
        return self.content[rows + np.asarray(mirrored, dtype=bool) * len(self.store)]


def _search(sets, store, references, encoder, extractors, size, device, within_class):
    """{space: NearestNeighbours} of all sets' samples among the training images, read once."""
    images = np.concatenate([group["images"] for group in sets])
    labels = torch.from_numpy(np.concatenate([group["columns"]["label"] for group in sets])).to(device)
    groups = labels if within_class else None
    searches = {PIXEL: NearestNeighbours(torch.from_numpy(images).flatten(1).to(device), NEAREST, groups)}
    for extractor in extractors:
        queries = torch.from_numpy(extractor.of_batches(_split(images, size))).to(device)
        searches[extractor.name] = NearestNeighbours(queries, NEAREST, groups)
    for start in tqdm(range(0, len(references), size), desc="memorisation", unit="batch", disable=None):
        rows, mirrored = references.of(slice(start, start + size))
        batch = decoded(store, encoder, rows, mirrored)
        own = torch.from_numpy(store.labels[rows])
        searches[PIXEL].add(torch.from_numpy(batch).flatten(1), own)
        for extractor in extractors:
            searches[extractor.name].add(torch.from_numpy(extractor(batch)), own)
    return searches


def _table(sets, references, searches, extractors, size):
    """One table a set and space, a row a sample."""
    start = 0
    for group in sets:
        rows = slice(start, start + len(group["images"]))
        start = rows.stop
        images, followed = group["images"], group["followed_images"]
        grey = np.nan if followed is None else _largest_difference(images, followed)
        pairs = {PIXEL: None if followed is None else (_flat(images), _flat(followed))}
        for extractor in extractors:
            pairs[extractor.name] = followed is not None and tuple(
                extractor.of_batches(_split(part, size)).astype(np.float64) for part in (images, followed)
            )
        for space, search in searches.items():
            scale = np.sqrt(search.queries.shape[1]) if space == PIXEL else 1.0
            distances = search.distances[rows].cpu().numpy() / scale
            positions = search.positions[rows].cpu().numpy()
            first, second = distances[:, 0], _nearest_other(distances, references.identity[positions])
            nearest, nearest_mirrored = references.of(positions[:, 0])
            yield pd.DataFrame(
                {
                    "plan": group["plan"],
                    "space": space,
                    **group["columns"],
                    "followed_in_training": group["in_training"],
                    "followed_distance": _distance(pairs[space], grey) / scale,
                    "followed_grey": grey,
                    "nearest": nearest,
                    "nearest_mirrored": nearest_mirrored,
                    "nearest_distance": first,
                    "second_distance": second,
                    "ratio": _ratio(first, second),
                    "retrieved": _retrieved(group, references, nearest, nearest_mirrored),
                }
            )


def _nearest_other(distances, identity):
    """Distance to the nearest of another identity than the first, (n,); distances, identity: (n, k), increasing."""
    other = np.where(identity == identity[:, :1], np.inf, distances)
    return other.min(axis=1)


def _retrieved(group, references, nearest, nearest_mirrored):
    """Whether the nearest image is, by content, the training image that was followed: float (n,), or NaN."""
    columns = group["columns"]
    if group["followed_images"] is None or not group["in_training"]:
        return np.nan
    followed = references.content_of(columns["followed"], columns["followed_mirrored"])
    return (references.content_of(nearest, nearest_mirrored) == followed).astype(float)


def _summary(table):
    """Means and standard errors a plan, seed and space."""
    follows = table["followed"] >= 0
    table = table.assign(
        copied=(table["ratio"] < COPY_RATIO).astype(float).where(table["ratio"].notna()),
        within_one_grey_level=(table["followed_grey"] <= 1).astype(float).where(follows),
    )
    keys = ["plan", "seed", "space"]
    groups = table.groupby(keys, sort=False)
    summary = groups[["t_switch", "t_resume"]].first()
    summary["samples"] = groups.size()
    for column in SUMMARY:
        summary[column], summary[f"{column}_sem"] = groups[column].mean(), groups[column].sem()
    return summary.reset_index()


def _ratio(first, second):
    """d1 / d2; 0 for two copies of one image in the training set, NaN where there is no second image."""
    ratio = np.divide(first, second, out=np.zeros_like(first), where=first != 0)
    return np.where(np.isfinite(second), ratio, np.nan)


def _split(images, size):
    return (images[start : start + size] for start in range(0, len(images), size))


def _flat(images):
    return images.reshape(len(images), -1).astype(np.float64)


def _distance(pair, grey):
    """Euclidean distance of rows; 0 for the same image, whose features differ by the rounding of batches alone."""
    return np.where(grey == 0, 0.0, np.linalg.norm(np.subtract(*pair), axis=1)) if pair else np.nan


def _largest_difference(a, b):
    return np.abs(a.astype(np.int16) - b.astype(np.int16)).reshape(len(a), -1).max(1)
