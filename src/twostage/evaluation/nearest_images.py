"""The nearest training images to any number of other images (the queries), by pixels and by features.

Training images are read and decoded once, in blocks; each block is compared with all queries before the next block is
decoded. Neither side has to fit on the device. Where the queries' pixels do not fit, they are read again, part by part,
for every block; this is far cheaper than decoding the training images again.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from twostage.evaluation.neighbours import NearestNeighbours

PIXEL = "pixel"
MANY, FEW = 12 << 30, 1 << 30  # bytes of pixels on the device: of the queries and of a block, or the other way round
READ_BYTES = 1 << 28  # of the queries' pixels, read at a time


class References:
    """A store's images and their mirrored twins, without repeated copies: each content is searched once.

    by_class: copies in another class are kept. An image and its mirrored twin are two references with one ``identity``.
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


def rows_at_a_time(queries, references, numbers):
    """How many queries and references are on the device at a time; numbers: pixels times channels of an image."""
    of_queries, of_references = (MANY, FEW) if queries * numbers <= MANY else (FEW, MANY)
    return min(queries, max(1, of_queries // numbers)), min(references, max(1, of_references // numbers))


@dataclass(frozen=True, eq=False)
class Queries:
    """The n images whose nearest training images are wanted.

    images: function of a slice that gives its pixels uint8 (m, H, W, C) and may be called often; features:
    {name of an extractor: float32 (n, D)}; labels: int64 (n,); numbers: pixels times channels of one image.
    """

    images: Callable
    features: dict
    labels: np.ndarray
    numbers: int

    def __len__(self):
        return len(self.labels)

    def points(self, rows, device):
        """{space: tensor (m, D) on the device} of a slice: pixels as bytes, features in float32."""
        pixels = torch.empty(rows.stop - rows.start, self.numbers, dtype=torch.uint8, device=device)
        step = max(1, READ_BYTES // self.numbers)
        for start in range(rows.start, rows.stop, step):
            read = torch.from_numpy(self.images(slice(start, min(start + step, rows.stop)))).flatten(1)
            pixels[start - rows.start :][: len(read)] = read.to(device)
        return {PIXEL: pixels} | {
            name: torch.from_numpy(found[rows]).to(device) for name, found in self.features.items()
        }


def nearest_images(queries, references, encoder, extractors, *, k, size, device, within_class=False):
    """The k nearest references to each query: {space: (distances, positions)}, spaces PIXEL and the extractors' names.

    queries: ``Queries``; references: ``References``, which the encoder decodes, ``size`` at a time. within_class: only
    references of the query's own class count. Distances (n, k) float64 are Euclidean and increase; positions (n, k)
    int64 are places among the references; inf and -1 where there are fewer than k.
    """
    part, block = rows_at_a_time(len(queries), len(references), queries.numbers)
    parts = _slices(len(queries), part)
    found = [dict.fromkeys([PIXEL, *queries.features]) for _ in parts]
    points = queries.points(parts[0], device) if len(parts) == 1 else None
    with tqdm(total=len(references), desc="memorization", unit="image", disable=None) as progress:
        for rows in _slices(len(references), block):
            looked_at, labels = _looked_at(references, rows, encoder, extractors, size, device, progress)
            for state, each in zip(found, parts):
                own = points or queries.points(each, device)
                groups = torch.from_numpy(queries.labels[each]).to(device) if within_class else None
                for space, values in looked_at.items():
                    search = NearestNeighbours(own[space], k, groups, state[space])
                    search.add(values, labels)
                    state[space] = search.state
                del own, search  # its memory is that of the next part
    joined = {space: [torch.cat([state[space][n] for state in found]) for n in (0, 1)] for space in found[0]}
    return {space: tuple(values.cpu().numpy() for values in pair) for space, pair in joined.items()}


def _looked_at(references, rows, encoder, extractors, size, device, progress):
    """({space: values (m, D) on the device} of a slice of the references, their labels (m,) there)."""
    batches = [range(rows.start, rows.stop)[start : start + size] for start in range(0, rows.stop - rows.start, size)]
    pixels, features, labels = None, {extractor.name: [] for extractor in extractors}, []
    for batch in batches:
        stored, mirrored = references.of(np.asarray(batch))
        images = decoded(references.store, encoder, stored, mirrored)
        if pixels is None:
            pixels = torch.empty(rows.stop - rows.start, images[0].size, dtype=torch.uint8, device=device)
        pixels[batch.start - rows.start :][: len(batch)] = torch.from_numpy(images).flatten(1).to(device)
        for extractor in extractors:
            features[extractor.name].append(extractor(images))
        labels.append(references.store.labels[stored])
        progress.update(len(batch))
    found = {name: torch.from_numpy(np.concatenate(parts)).to(device) for name, parts in features.items()}
    return {PIXEL: pixels, **found}, torch.from_numpy(np.concatenate(labels)).to(device)


def decoded(store, encoder, rows, mirrored=None):
    """Images uint8 (n, H, W, C) that the encoder decodes from a store's latents."""
    return encoder.decode(store.read(rows, normalised=False, flipped=False if mirrored is None else mirrored)).numpy()


def _slices(count, most):
    return [slice(start, min(start + most, count)) for start in range(0, count, most)]
