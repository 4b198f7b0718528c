"""Exact nearest neighbours by matrix products in blocks, re-ranked by the differences themselves."""

import torch

BLOCK = 1024
SPARE = 8  # candidates beyond k that the products keep: near-ties are settled by the differences


def nearest_neighbours(queries, blocks, k=2):
    """The k nearest of a stream of vectors to each query, by Euclidean distance.

    queries: (n, D) tensor; blocks: iterable of (m, D) tensors, the references in order. Products in float64, then the
    distances of the best k + 8 candidates of each block anew from differences, so that a copy has distance 0 exactly.
    Returns (distances (n, k) float64 increasing, positions (n, k) int64 in the stream), on the queries' device.
    Raises ValueError when there are fewer than k references.
    """
    queries = queries.double()
    distances = queries.new_full((len(queries), k), torch.inf)
    positions = torch.full((len(queries), k), -1, dtype=torch.int64, device=queries.device)
    offset = 0
    for block in blocks:
        block = block.to(queries.device).double()
        for start in range(0, len(queries), BLOCK):
            rows = slice(start, start + BLOCK)
            found, where = _nearest_in_block(queries[rows], block, k)
            merged = torch.cat([distances[rows], found], dim=1)
            order = merged.argsort(dim=1, stable=True)[:, :k]
            distances[rows] = merged.gather(1, order)
            positions[rows] = torch.cat([positions[rows], where + offset], dim=1).gather(1, order)
        offset += len(block)
    if offset < k:
        raise ValueError(f"there are {offset} references; expected at least {k}")
    return distances, positions


def _nearest_in_block(queries, block, k):
    # |q|^2 orders nothing: the same for every candidate of a query.
    scores = block.square().sum(1) - 2 * queries @ block.T
    candidates = scores.topk(min(k + SPARE, len(block)), dim=1, largest=False).indices
    distances = torch.stack([(queries - block[column]).norm(dim=1) for column in candidates.T], dim=1)
    order = distances.argsort(dim=1, stable=True)[:, :k]
    return distances.gather(1, order), candidates.gather(1, order)


def squared_distances(a, b):
    """Squared Euclidean distances (n, m) float64 between the rows of two tensors, by one matrix product."""
    a, b = a.double(), b.double()
    return (a.square().sum(1)[:, None] + b.square().sum(1) - 2 * a @ b.T).clamp_(min=0)
