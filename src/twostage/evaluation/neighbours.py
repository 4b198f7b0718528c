"""Exact nearest neighbours by matrix products in blocks, re-ranked by the differences themselves."""

import torch

BLOCK = 1024
BLOCK_NUMBERS = 1 << 25  # float64 numbers of a block of queries: wide vectors go in smaller blocks
SPARE = 8  # candidates beyond k that the products keep: near-ties are settled by the differences


class NearestNeighbours:
    """The k nearest of a stream of references to each query, by Euclidean distance.

    queries: (n, D) tensor, kept as it is (uint8 pixels too); groups: (n,) int64 or None: a query looks among the
    references of its own group only. Products in float64, then the distances of the best k + 8 candidates of each
    block anew from differences, so that a copy has distance 0 exactly.

    ``distances`` (n, k) float64 increasing and ``positions`` (n, k) int64, places in the stream, are on the queries'
    device; inf and -1 where there were fewer than k references.
    """

    def __init__(self, queries, k=2, groups=None):
        self.queries, self.groups, self.k, self.seen = queries, groups, k, 0
        self.distances = torch.full((len(queries), k), torch.inf, dtype=torch.float64, device=queries.device)
        self.positions = torch.full((len(queries), k), -1, dtype=torch.int64, device=queries.device)

    def add(self, references, groups=None):
        """Take in the next references (m, D), with their groups (m,) where the queries have some."""
        references = references.to(self.queries.device).double()
        step = max(1, min(BLOCK, BLOCK_NUMBERS // self.queries.shape[1]))
        for start in range(0, len(self.queries), step):
            rows = slice(start, start + step)
            other = None if self.groups is None else self.groups[rows, None] != groups.to(self.queries.device)
            found, where = _nearest(self.queries[rows].double(), references, self.k, other)
            merged = torch.cat([self.distances[rows], found], dim=1)
            places = torch.cat([self.positions[rows], where + self.seen], dim=1)
            order = merged.argsort(dim=1, stable=True)[:, : self.k]
            self.distances[rows] = merged.gather(1, order)
            self.positions[rows] = places.gather(1, order).masked_fill(merged.gather(1, order) == torch.inf, -1)
        self.seen += len(references)


def _nearest(queries, references, k, other):
    """Distances and positions of the k nearest in one block, increasing; ``other`` marks pairs to leave out."""
    # |q|^2 orders nothing: it is the same for every candidate of a query.
    scores = references.square().sum(1) - 2 * queries @ references.T
    if other is not None:
        scores.masked_fill_(other, torch.inf)
    best = scores.topk(min(k + SPARE, len(references)), dim=1, largest=False)
    distances = torch.stack([(queries - references[column]).norm(dim=1) for column in best.indices.T], dim=1)
    distances.masked_fill_(best.values == torch.inf, torch.inf)
    order = distances.argsort(dim=1, stable=True)[:, :k]
    return distances.gather(1, order), best.indices.gather(1, order)


def squared_distances(a, b):
    """Squared Euclidean distances (n, m) float64 between the rows of two tensors, by one matrix product."""
    a, b = a.double(), b.double()
    return (a.square().sum(1)[:, None] + b.square().sum(1) - 2 * a @ b.T).clamp_(min=0)
