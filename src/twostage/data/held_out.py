"""Held-out latents: another split of the latent space of the training latents."""

import numpy as np
import torch

from twostage.data.index import refuse_other_index
from twostage.data.latents import LatentStore

COMPARED = 16  # evenly spaced rows that are compared, to find a copy of the training store


def open_held_out(path, train):
    """The held-out LatentStore at ``path``. train: the training LatentStore.

    Raises ValueError, with its name, for a store of the training split, for a copy of the training store (whatever its
    split is called), for one of another encoder, of other images (their index)
    or of other class names, and for one that is not normalised by the training store's statistics.
    """
    store = LatentStore.open(path, split="held_out")
    if _same_latents(store, train):
        raise ValueError(
            f"{path} holds the same latents as {train.path}; expected those of the held-out images: encode them"
        )
    theirs, ours = (each.attributes.get("encoder_sha256", "unknown") for each in (store, train))
    if theirs != ours and "unknown" not in (theirs, ours):
        raise ValueError(f"{path} was made by another encoder ({theirs}) than {train.path} ({ours}); encode it again")
    refuse_other_index(path, store.index, train.path, train.index)
    named = store._header.class_names and train._header.class_names
    if named and store.class_names != train.class_names:
        label = next(k for k, pair in enumerate(zip(store.class_names, train.class_names)) if pair[0] != pair[1])
        raise ValueError(
            f"{path}: class {label} is {store.class_names[label]!r} there and {train.class_names[label]!r} in "
            f"{train.path}; expected the same classes: encode both again"
        )
    if not (torch.equal(store.mean, train.mean) and torch.equal(store.std, train.std)):
        raise ValueError(f"{path} is not normalised by the statistics of {train.path}; encode it again with them")
    return store


def _same_latents(store, other):
    if store.shape != other.shape or not np.array_equal(store.labels, other.labels):
        return False
    rows = np.unique(np.linspace(0, len(store) - 1, COMPARED).round().astype(np.int64))
    return torch.equal(store.read(rows, normalised=False), other.read(rows, normalised=False))
