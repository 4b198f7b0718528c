"""References, with which samples are compared: mean and covariance of features, and some of the features themselves.

A reference is computed from the data (once, and shared by all experiments, if wished) or from an npz of images, or read
from an npz of the ADM evaluator or of clean-fid.
"""

import zipfile
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from tqdm import tqdm

from twostage.evaluation.features import batch_size_for, load_extractors
from twostage.evaluation.frechet import covariance_root, mean_and_root
from twostage.evaluation.given import STATISTICS, held, image_batches, refuse_unfit_reference
from twostage.evaluation.images import dataset_batches, load_split
from twostage.evaluation.kid import mean_within
from twostage.evaluation.prdc import radii
from twostage.finite import finite
from twostage.provenance import atomic_write, sha256, write_provenance
from twostage.storage import name_of

KEEP = 10_000


@dataclass(frozen=True, eq=False)
class Reference:
    """Mean (D,), a root (R, D) of the covariance (``S = root^T root``), and features (n, D) or None.

    samples: number of images behind the mean and covariance, or None where the file does not say; source: origin, for
    the record; sha256: of the file, or the fingerprint of the data; spatial: mean and root of the spatial features, or
    None where the network or the file has none.
    """

    mean: np.ndarray
    root: np.ndarray
    features: np.ndarray | None
    samples: int | None
    source: str
    sha256: str
    spatial: tuple | None = None

    def checked(self, features, spatial=None):
        """Features (N, D) as they are, with spatial features (N, S) or None. Raises ValueError, with the source, where
        the reference has another width."""
        for what, found, mean in (
            ("features", features, self.mean),
            ("spatial features", spatial, self.spatial and self.spatial[0]),
        ):
            if found is not None and mean is not None and found.shape[1:] != mean.shape:
                raise ValueError(
                    f"{self.source}: a reference of {len(mean)} {what} per image; the samples have "
                    f"{found.shape[1]}: give a reference of the same feature extractor"
                )
        return features, spatial

    @cached_property
    def within(self):
        """Mean kernel value within the features; every KID against them uses it."""
        return mean_within(self.features)

    @cache  # noqa: B019 (a reference lives as long as its run)
    def radii(self, k):
        """The features' distances to their k-th neighbours; every PRDC against them uses these."""
        return radii(self.features, k)


class FeatureMoments:
    """Mean and covariance of a stream of features, in float64; batches merged exactly (Chan, Golub & LeVeque 1983)."""

    def __init__(self):
        self.count, self.mean, self.scatter = 0, 0.0, 0.0

    def add(self, features):
        """Add features (n, D)."""
        features = np.asarray(features, dtype=np.float64)
        total, mean = self.count + len(features), features.mean(0)
        centred, shift = features - mean, mean - self.mean
        self.scatter = self.scatter + centred.T @ centred
        if self.count:
            self.scatter += np.outer(shift, shift) * (self.count * len(features) / total)
        self.mean = self.mean + shift * (len(features) / total)
        self.count = total

    @property
    def covariance(self):
        """Sample covariance (D, D), division by N - 1."""
        return self.scatter / (self.count - 1)


def reference_from_data(dataset, extractor, batch_size=256, keep=KEEP, seed=0):
    """The reference of all images of a data set (``twostage.data``), streamed; at most ``keep`` features are kept.

    Raises ValueError, with its name, for an unusable image beyond the share that the data set allows.
    """
    moments, kept, spatial = _stream(dataset_batches(dataset, batch_size), len(dataset), extractor, keep, seed)
    return _reference_of(moments, kept, spatial, _source(dataset, moments.count), dataset.fingerprint)


def _reference_of(moments, kept, spatial, source, digest):
    # Where all features are kept, the root is exact, however few they are.
    whole = len(kept) == moments.count
    mean, root = mean_and_root(kept) if whole else (moments.mean, covariance_root(moments.covariance, moments.mean))
    places = None if spatial is None else (spatial.mean, covariance_root(spatial.covariance, spatial.mean))
    return Reference(mean, root, kept, moments.count, source, digest, places)


def compute_references(
    dataset, outputs, *, split="train", classifier=None, inception=None, dinov2=None, keep=KEEP, seed=0,
    batch_size=None, device="cpu",
):  # fmt: skip
    """Write the references of one split of a data set, to be shared by every evaluation of a run.

    dataset: dict, name and options of ``twostage.data.datasets.load_dataset``; outputs: {features: npz path}; split:
    "train" or "held_out"; classifier, inception, dinov2: weights. Each npz holds mu, sigma, samples, and at most
    ``keep`` features; Inception's also mu_s and sigma_s, of the spatial features.
    """
    extractors = load_extractors(
        outputs, classifier_path=classifier, inception_path=inception, dinov2_path=dinov2, device=device
    )
    images = load_split(dataset, split)
    for extractor in extractors:
        size = batch_size or batch_size_for(images.image_shape)
        moments, kept, spatial = _stream(dataset_batches(images, size), len(images), extractor, keep, seed)
        path = Path(outputs[extractor.name])
        source = _source(images, moments.count)
        # The training images' reference is its own source; a reference of other images names them.
        said = {} if split == "train" else {"source": source, "source_sha256": images.fingerprint}
        said |= {} if spatial is None else {"mu_s": spatial.mean, "sigma_s": spatial.covariance}
        write_reference(path, moments.mean, moments.covariance, moments.count, kept, images.index, **said)
        write_provenance(
            path,
            config={"dataset": dataset, "features": extractor.name, "keep": keep},
            seed=seed,
            source=source,
            data=images.fingerprint,
            weights_sha256=extractor.sha256,
        )


def import_reference(given, features, output, *, keep=KEEP, seed=0, batch_size=None, device="cpu", **weights):
    """Write the reference in a file from elsewhere (``twostage.evaluation.given``) to ``output``.

    features: "classifier", "inception" or "dinov2", whose weights are given by that name. Features of images are
    computed; statistics are taken as they are. Raises ValueError for a file that is no reference in these features.
    """
    (extractor,) = load_extractors(
        [features], **{f"{name}_path": path for name, path in weights.items()}, device=device
    )
    reference = reference_from_file(given, extractor, batch_size, keep, seed)
    covariance = reference.root.T @ reference.root
    kept = np.empty((0, len(reference.mean))) if reference.features is None else reference.features
    said = {"source": reference.source, "source_sha256": reference.sha256}
    if reference.spatial is not None:
        mean, root = reference.spatial
        said |= {"mu_s": mean, "sigma_s": root.T @ root}
    write_reference(output, reference.mean, covariance, reference.samples, kept, **said)
    config = {"features": features, "keep": keep}
    write_provenance(output, config=config, seed=seed, inputs=[given], weights_sha256=extractor.sha256)


def reference_from_file(path, extractor, batch_size=None, keep=KEEP, seed=0):
    """The reference in a file: its statistics, or those of its images' features, which the extractor computes.

    Raises ValueError, with the file's name, for one that is no reference in these features.
    """
    kind = refuse_unfit_reference(path, extractor.name, weights_sha256=extractor.sha256)
    if kind == STATISTICS:
        return read_reference(path, keep)
    shape = held(path)[1]
    batches = image_batches(path, batch_size or batch_size_for(shape[1:]))
    moments, kept, spatial = _stream(batches, shape[0], extractor, keep, seed)
    return _reference_of(moments, kept, spatial, f"{path}, {shape[0]} images", sha256(path))


def write_reference(path, mu, sigma, samples, features, index=None, **said):
    """Write a reference as npz, atomically: mu (D,), sigma (D, D), samples, features (n, D), index of the images.

    said: ``source`` and ``source_sha256``, name and digest of the origin, where that is not the file itself; ``mu_s``
    (S,) and ``sigma_s`` (S, S) of the spatial features, where there are any. samples, index: None where they are not
    known.
    """
    content = {"mu": mu, "sigma": sigma, "features": features, "index": index or "unknown", **said}
    if samples is not None:
        content["samples"] = samples
    with atomic_write(path) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, **content)


def read_reference(path, keep=KEEP):
    """The reference in an npz file: ``mu`` and ``sigma`` (ADM's reference batches, clean-fid's statistics, ours).

    ``features`` (the first ``keep``), ``samples``, ``mu_s`` and ``sigma_s`` are read where the file has them. Raises
    ValueError, with the file's name, for other files, and for one whose numbers are not finite or whose sigma is no
    covariance.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            missing = [key for key in ("mu", "sigma") if key not in content]
            if missing:
                raise ValueError(f"it lacks {', '.join(missing)} and holds {', '.join(content)}")
            mean = np.asarray(content["mu"], dtype=np.float64)
            sigma = np.asarray(content["sigma"], dtype=np.float64)
            features = content["features"] if len(content.get("features", ())) else None
            if features is not None:
                finite(features, "features", "compute the reference again")
                if features.shape[1:] != mean.shape:
                    raise ValueError(f"features {features.shape} beside a mean {mean.shape}; expected the same width")
            samples = int(content["samples"]) if "samples" in content else None  # ADM and clean-fid leave it out
            source, digest = (str(content[key]) if key in content else None for key in ("source", "source_sha256"))
            root = covariance_root(sigma, mean)
            if features is not None and len(features) == samples:
                root = mean_and_root(features)[1]  # exact, however few they are
            spatial = None
            if {"mu_s", "sigma_s"} <= set(content):
                centre = np.asarray(content["mu_s"], dtype=np.float64)
                spatial = (centre, covariance_root(content["sigma_s"], centre))
    except (ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise ValueError(
            f"{path} is not a reference ({error}); expected an npz with mu (D,) and sigma (D, D)"
        ) from None
    kept = None if features is None else features[:keep]
    return Reference(mean, root, kept, samples, source or name_of(path), digest or sha256(path), spatial)


def index_of_reference(path):
    """Identity of the index of the images from which a reference in an npz was made; None where it does not say."""
    with np.load(path, allow_pickle=False) as content:
        return str(content["index"]) if "index" in content else None


def _stream(batches, count, extractor, keep, seed):
    """Moments of the features of ``count`` images in batches; at most ``keep`` of the features, chosen by a seed, in
    order; moments of the spatial features, or None."""
    chosen = np.random.default_rng(seed).permutation(count) < keep
    moments, kept, of_places = FeatureMoments(), [], None
    for images in tqdm(batches, desc=f"{extractor.name} reference", unit="batch", disable=None):
        features, spatial = extractor.with_spatial([images])
        kept.append(features[chosen[moments.count : moments.count + len(features)]])
        moments.add(features)
        if spatial is not None:
            of_places = of_places or FeatureMoments()
            of_places.add(spatial)
    return moments, np.concatenate(kept), of_places


def _source(dataset, count):
    return f"{dataset.name}, {dataset.split} split, {count} images"
