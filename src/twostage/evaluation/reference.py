"""What samples are compared with: mean and covariance of features, and some of the features themselves.

References are computed from the data, or read from npz files of the ADM evaluator or of clean-fid.
"""

import zipfile
from dataclasses import dataclass, field

import numpy as np

from twostage.evaluation.frechet import covariance_root, mean_and_root
from twostage.evaluation.images import dataset_batches
from twostage.provenance import atomic_write, sha256


@dataclass(frozen=True)
class Reference:
    """Mean (D,), a root (R, D) of the covariance (``S = root^T root``), and features (n, D) or None.

    source: what it was made of, for the record; sha256: of the file, or the fingerprint of the data.
    """

    mean: np.ndarray
    root: np.ndarray
    features: np.ndarray | None
    samples: int | None
    source: str
    sha256: str
    kind: str = field(default="features")


def reference_from_data(dataset, extractor, batch_size=256):
    """The reference of a data set's images (``twostage.data``), all of them: features kept in memory."""
    features = extractor.of_batches(dataset_batches(dataset, batch_size))
    mean, root = mean_and_root(features)
    source = f"{dataset.name}, {dataset.split} split, {len(features)} images"
    return Reference(mean, root, features, len(features), source, dataset.fingerprint)


def read_reference(path):
    """The reference in an npz file: ``mu`` and ``sigma`` (ADM's reference batches, clean-fid's statistics, ours).

    ``features`` and ``samples`` are read where the file has them. Raises ValueError, with the file's name, for others.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            missing = [key for key in ("mu", "sigma") if key not in content]
            if missing:
                raise ValueError(f"it lacks {', '.join(missing)} and holds {', '.join(content)}")
            mean = np.asarray(content["mu"], dtype=np.float64)
            root = covariance_root(content["sigma"], mean)
            features = content["features"] if len(content.get("features", ())) else None
            samples = int(content["samples"]) if "samples" in content else None  # ADM and clean-fid leave it out
    except (ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise ValueError(
            f"{path} is not a reference ({error}); expected an npz with mu (D,) and sigma (D, D)"
        ) from None
    return Reference(mean, root, features, samples, str(path), sha256(path), kind="npz")


def write_reference(path, features, keep=10_000, seed=0):
    """Write mu, sigma, samples and at most ``keep`` of the features (N, D) (a seeded choice) as npz, atomically."""
    features = np.asarray(features)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(features))[:keep])
    wide = features.astype(np.float64)
    with atomic_write(path) as temporary, open(temporary, "wb") as stream:
        np.savez(
            stream,
            mu=wide.mean(0),
            sigma=np.cov(wide, rowvar=False),
            samples=len(features),
            features=features[chosen],
        )
