"""Exact nearest neighbours for little more than one matrix product.

With a = c - q and b = r - c about a centre c, |q - r|^2 / 2 = a . b + |b|^2 / 2 + |a|^2 / 2. This is one product of
rows (a, 1, |a|^2 / 2) and (b, |b|^2 / 2, 1), without another pass over the result. The rounding error of a sum of n
products is at most n u / (1 - n u) times the sum of their absolute values, where u is the unit roundoff, whatever the
order of the terms (Higham 2002, "Accuracy and Stability of Numerical Algorithms", Sec. 3.1). Here it is at most that
share of (|a| + |b|)^2 / 2; the same amount once more bounds the errors of |a|^2 / 2 and |b|^2 / 2. The bound is taken
with n = D + 8 in place of D + 2, which covers the rounding of a and b. Only the pairs that this bound leaves undecided
are computed again, by differences in float64.
"""

import torch

from twostage.arithmetic import exact_product

QUERIES = 1024  # rows of a block of queries
REFERENCES = 16384  # rows of a block of references
BLOCK_NUMBERS = 1 << 25  # largest number of elements in a block: wide vectors go in smaller blocks,
LEAST = 512  # but never below this many rows, or reading them would cost more than the product
ALIGNED = 4  # a product's rows are padded to a multiple of this many numbers: 16 bytes in float32
GROUP = 32  # references in a group; the smallest score of each group is looked at first
PAIR_NUMBERS = 1 << 16  # float64 differences taken at a time on a CPU: they stay in a core's cache
PAIR_NUMBERS_GPU = 1 << 24  # differences taken at a time on a GPU
WIDE = torch.float64


class NearestNeighbours:
    """The k nearest of a stream of references to each query, by Euclidean distance; of equal ones the first counts.

    queries: (n, D) tensor, kept as it is (uint8 pixels too); groups: (n,) int64 or None: a query is compared only with
    the references of its own group. Products are in float32, or in float64 where a float64 tensor is given; the
    distances come from float64 differences, so a copy has distance exactly 0.

    ``distances`` (n, k) float64 increasing and ``positions`` (n, k) int64, places in the stream, are on the queries'
    device; inf and -1 where there were fewer than k references. earlier: ``state`` of a finished search of the same
    queries, which this one continues.
    """

    def __init__(self, queries, k=2, groups=None, earlier=None):
        self.queries, self.groups, self.k = queries, groups, k
        self._distances, self._positions, self.seen = earlier or (
            torch.full((len(queries), k), torch.inf, dtype=WIDE, device=queries.device),
            torch.full((len(queries), k), -1, dtype=torch.int64, device=queries.device),
            0,
        )
        self._centre, self._waiting = None, []
        self._size = block_rows(REFERENCES, queries.shape[1])

    def add(self, references, groups=None):
        """Add the next references (m, D), with their groups (m,) where the queries have groups."""
        device = self.queries.device
        groups = None if self.groups is None else groups.to(device)
        for start in range(0, len(references), self._size):
            rows = slice(start, start + self._size)
            part = references[rows].to(device)
            if sum(len(each) for each, _ in self._waiting) + len(part) > self._size:
                self._search()
            self._waiting.append((part, None if groups is None else groups[rows]))

    @property
    def distances(self):
        self._search()
        return self._distances

    @property
    def positions(self):
        self._search()
        return self._positions

    @property
    def state(self):
        """The state from which a later search of the same queries continues: distances, positions, references seen."""
        self._search()
        return self._distances, self._positions, self.seen

    def _search(self):
        """Search the references that were collected: for few at a time, reading the queries would cost too much."""
        if not self._waiting:
            return
        parts, groups = zip(*self._waiting)
        references = torch.cat(parts) if len(parts) > 1 else parts[0]
        places = torch.arange(self.seen, self.seen + len(references), device=references.device)
        self._waiting, self.seen = [], self.seen + len(references)
        if self._centre is None:
            self._centre = centre_of(references, self.queries)
        everyone = torch.arange(len(self.queries), device=references.device)
        if self.groups is None:
            return self._search_among(everyone, references, places)
        groups = torch.cat(groups)
        for group in groups.unique().tolist():
            own = groups == group
            self._search_among(everyone[self.groups == group], references[own], places[own])

    def _search_among(self, members, references, places):
        if len(members) == 0:
            return
        products = Products(references, self._centre, group_width(len(references), self.k))
        for rows in members.split(block_rows(QUERIES, self.queries.shape[1])):
            queries = self.queries[rows]
            halves, error = products(queries)
            # all that may be as near as the k-th found so far, or as the k-th smallest of these groups' minima
            limit = self._distances[rows, -1:].square() / 2 + error
            lowest = products.lowest(halves)
            if lowest.shape[1] >= self.k:
                kth = lowest.topk(self.k, dim=1, largest=False).values[:, -1:]
                limit = torch.minimum(limit, kth + 2 * error)
            row, column = products.not_above(halves, limit, lowest)
            self._merge(rows, row, pair_distances(queries, references, row, column), places[column])

    def _merge(self, rows, row, distances, places):
        """Keep the k nearest among those found so far and the new ones: distances (p,) and places (p,), a row each."""
        count = torch.arange(len(rows), device=rows.device)
        row = torch.cat([count.repeat_interleave(self.k, output_size=self.k * len(rows)), row])
        distances = torch.cat([self._distances[rows].flatten(), distances])
        places = torch.cat([self._positions[rows].flatten(), places])
        order = places.argsort()
        for key in (distances, row):
            order = order[key[order].argsort(stable=True)]
        first = torch.searchsorted(row[order], count)[:, None]
        kept = order[first + torch.arange(self.k, device=rows.device)]
        self._distances[rows], self._positions[rows] = distances[kept], places[kept]


class Products:
    """|q - r|^2 / 2 of queries and references (m, D), by one matrix product.

    centre: (D,) c; the product has its dtype. width: references per group, whose smallest score is looked at first;
    columns of inf fill up the last group. less: (m,) numbers >= 0, a length of each reference; half of its square is
    subtracted from the reference's column.
    """

    def __init__(self, references, centre, width=1, less=None):
        self.centre, self.width, (self.count, dim) = centre, width, references.shape
        rows = -(-self.count // width) * width
        self.rows = centre.new_zeros(rows, -(-(dim + 2) // ALIGNED) * ALIGNED)
        torch.sub(references, centre, out=self.rows[: self.count, :dim])
        lengths = torch.linalg.vector_norm(self.rows, dim=1)
        self.rows[:, dim] = lengths.square() / 2
        self.rows[self.count :, dim] = torch.inf
        self.rows[:, dim + 1] = 1
        self.reach, self.most = lengths.max().to(WIDE), 0
        if less is not None:
            self.rows[: self.count, dim] -= less
            self.most = 2 * less.max().to(WIDE)
        share = (dim + 8) * torch.finfo(centre.dtype).eps / 2
        self.rounding = share / (1 - 2 * share)  # the second share is for lengths that were rounded down
        self._result = centre.new_empty(0, rows)

    def __call__(self, queries):
        """For queries (n, D): the product (n, m) in the centre's dtype, which the next call overwrites, and a bound on
        its rounding errors, (n, 1) float64.
        """
        dim = queries.shape[1]
        rows = self.rows.new_empty(len(queries), self.rows.shape[1])
        differences = torch.sub(self.centre, queries, out=rows[:, :dim])
        length = torch.linalg.vector_norm(differences, dim=1, keepdim=True)
        rows[:, dim], rows[:, dim + 1 : dim + 2], rows[:, dim + 2 :] = 1, length.square() / 2, 0
        if len(self._result) < len(queries):
            self._result = self.rows.new_empty(len(queries), len(self.rows))
        halves = exact_product(rows, self.rows.T, out=self._result[: len(queries)])
        return halves, self.rounding * ((length.to(WIDE) + self.reach) ** 2 + self.most)

    def lowest(self, halves):
        """The smallest number of each group of columns, every ``m / width``-th: (n, m / width)."""
        return halves.view(len(halves), self.width, -1).amin(1) if self.width > 1 else halves

    def not_above(self, halves, limit, lowest):
        """Rows and columns, (p,) each, of the numbers that are not above their row's limit (n, 1); NaN, from an
        overflow, counts as not above."""
        limit, groups = limit.to(halves.dtype), halves.view(len(halves), self.width, -1)
        row, group = (~(lowest > limit)).nonzero().T
        chosen, member = (~(groups[row, :, group] > limit[row])).nonzero().T
        row, column = row[chosen], member * lowest.shape[1] + group[chosen]
        there = column < self.count
        return row[there], column[there]


def group_width(count, k):
    """References per group: few enough that there are many more groups than k."""
    return max(1, min(GROUP, count // (8 * k)))


def block_rows(most, width):
    """Rows per block of vectors of this width: ``most``, or fewer for wide vectors."""
    return min(most, max(LEAST, BLOCK_NUMBERS // width))


def centre_of(references, queries):
    """The centre (D,) of the products, in their dtype: the mean of some references."""
    dtype = torch.promote_types(torch.promote_types(references.dtype, queries.dtype), torch.float32)
    return references[:LEAST].to(WIDE).mean(0).to(dtype)


def pair_distances(queries, references, row, column):
    """|q - r| for pairs (row, column), (p,) float64, by differences."""
    size = max(1, (PAIR_NUMBERS if queries.device.type == "cpu" else PAIR_NUMBERS_GPU) // queries.shape[1])
    found = [row.new_empty(0, dtype=WIDE)]
    for q, r in zip(row.split(size), column.split(size)):
        differences = references.index_select(0, r).to(WIDE).sub_(queries.index_select(0, q).to(WIDE))
        found.append(torch.linalg.vector_norm(differences, dim=1))
    return torch.cat(found)
