"""Velocities of many classes' oracles at once: ``ClassOracle`` needs one call per class, this needs one for all.

A call of the oracle consists of about a hundred small operations, even for few points. Here points of several classes
share them. Only the two matrix products are made class by class, so that no sample is copied or multiplied with a point
of another class. Everything else is computed once, on a matrix (points, samples of the largest class) that is padded
with logits of -inf. There are two other ways, both slower: one masked product of all points with all their classes
computes as many times the numbers as there are classes; a batched product (``torch.bmm``) needs the classes copied into
one padded tensor, which moves twice the bytes that both products read.
"""

import numpy as np
import torch

from twostage.arithmetic import full_products
from twostage.oracle.posterior import Oracle
from twostage.oracle.products import weighted_sum
from twostage.oracle.samples import MEGABYTE, WIDE, Samples
from twostage.paths import RECTIFIED


class GroupedOracle:
    """The class-conditional oracle over samples that lie in memory class by class.

    rows: (N, D) floating tensor; parts: the slice of each class's rows, none of them empty; budget_mb: working memory
    in megabytes, beyond the rows.
    """

    def __init__(self, rows, parts, budget_mb=1024):
        self.rows, self.budget = rows, int(budget_mb * MEGABYTE)
        self.parts = [rows[part] for part in parts]
        # Rows minus their centres, where classes have one, are held if all of them fit; with a smaller budget, none is.
        held = rows.nbytes <= self.budget // 2
        budgets = [budget_mb if held else min(budget_mb, (2 * part.nbytes - 1) / MEGABYTE) for part in self.parts]
        self.each = [Samples(part, budget_mb=budget) for part, budget in zip(self.parts, budgets)]
        self.sizes = np.array([len(part) for part in self.parts], dtype=np.int64)
        self.firsts = torch.tensor([part.start for part in parts]).to(rows.device)
        self.counts = torch.from_numpy(self.sizes).to(rows.device)
        self.half_norms = torch.zeros(len(rows), dtype=WIDE, device=rows.device)
        for part, samples in zip(parts, self.each):
            self.half_norms[part] = samples.half_norms
        self.longest = torch.tensor([samples.longest for samples in self.each], dtype=WIDE).to(rows.device)
        self.centred = any(samples.centre is not None for samples in self.each)

    def velocity(self, x_t, t, which):
        """The oracle velocity of each point's class, like x_t (B, D).

        t: (B,) in [0, 1), on the rows' device; which: (B,) int64 on the CPU, the number of the class among ``parts``.
        On a GPU the host waits once per group of points; if the budget allows, there is only one group.
        """
        found, which = torch.empty_like(x_t), which.numpy()
        for some in self._groups(which):
            index = to_device(torch.from_numpy(np.stack([some, which[some]])), x_t.device)
            oracle = _Together(_Several(self, which[some], index[1]))
            found.index_copy_(0, index[0], oracle.velocity(x_t[index[0]], t[index[0]]))
        return found

    def _groups(self, which):
        """Positions of the points that the budget allows at a time, grouped by class, small classes first."""
        order = np.lexsort((which, self.sizes[which]))
        each = 100 * self.rows.shape[1] + 48 * self.sizes[which[order]]  # bytes, as ``Oracle`` counts them
        start = 0
        while start < len(order):
            taken = np.arange(1, len(order) - start + 1) * each[start:] <= self.budget
            stop = start + max(1, int(np.argmin(taken)) if not taken.all() else len(taken))
            yield order[start:stop]
            start = stop


class _Several(Samples):
    """The samples of ``_Together``: as ``Samples``, but each point has its own, those of its class.

    of: the GroupedOracle; which: (B,) the points' classes, equal ones side by side; index: the same on the device.
    centre, mean: (B, D); longest: (B, 1); half_norms: (B, n), n samples in the largest class; absent: (B, n), whether a
    smaller class lacks the sample; first: (B,) where the points' classes begin; segments: [(slice of points, Samples)].
    """

    def __init__(self, of, which, index):
        self.rows = of.rows
        self.budget, self.device, self.dtype = of.budget, of.rows.device, of.rows.dtype
        self.dim, self.count = of.rows.shape[1], int(of.sizes[which].max())
        self.shape = (self.dim,)
        bounds = [0, *(np.flatnonzero(np.diff(which)) + 1).tolist(), len(which)]
        classes = which[bounds[:-1]].tolist()
        self.segments = list(zip(map(slice, bounds, bounds[1:]), [of.each[label] for label in classes]))
        self._parts = [of.parts[label] for label in classes]
        self.first, self.longest = of.firsts[index], of.longest[index, None]
        columns = torch.arange(self.count, device=self.device)
        self.absent = columns >= of.counts[index, None]
        self.half_norms = of.half_norms[(self.first[:, None] + columns).clamp_(max=len(of.rows) - 1)]
        self.centre = None
        if of.centred:
            none = torch.zeros(self.dim, dtype=self.dtype, device=self.device)
            self.centre = self._each(
                [none if samples.centre is None else samples.centre for _, samples in self.segments]
            )

    @property
    def mean(self):
        return self._each([samples.mean for _, samples in self.segments])

    def chunks(self, size):
        """Yield all rows as one chunk, whatever the size."""
        yield 0, self.rows

    @property
    def in_memory(self):
        return True

    def centred_classes(self):
        """Yield (slice of points, rows (m, D) about their centre) of each class."""
        for (part, samples), rows in zip(self.segments, self._parts):
            yield part, samples.centred(0, rows)

    def _each(self, values):
        """Values per segment, repeated for each point, (B, D)."""
        return torch.cat([value.expand(part.stop - part.start, -1) for (part, _), value in zip(self.segments, values)])


class _Together(Oracle):
    """The oracle of points of which each has samples of its own (``_Several``)."""

    def __init__(self, several):
        self.samples, self.path = several, RECTIFIED

    def _logits(self, points, start, rows):
        several = self.samples
        products = points.narrow.new_zeros(len(points.t), several.count)
        with full_products():
            for part, own in several.centred_classes():
                torch.mm(points.narrow[part], own.T, out=products[part, : len(own)])
        norms, square = points.own.split(1, 1)
        logits = products.to(WIDE).mul_(points.kappa).addcmul_(several.half_norms, norms, value=-1)
        return products, logits.sub_(square, alpha=0.5).masked_fill_(several.absent, -torch.inf)

    def _sum(self, weights, start, rows):
        classes = self.samples.centred_classes()
        return torch.cat([weighted_sum(weights[part, : len(own)], own) for part, own in classes])

    def _paired(self, rows, row, column):
        return rows.index_select(0, self.samples.first[row] + column)


def to_device(tensor, device):
    """A tensor of the CPU on a device; a GPU is not waited for."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor
