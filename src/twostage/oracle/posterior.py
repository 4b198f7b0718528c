"""The oracle velocity of a finite data set (Theorem 2.1 of the paper), exact at every t.

    u*(x_t, t) = (m(x_t, t) - x_t) / (1 - t),        m = sum_i gamma_i x^(i)   (the posterior mean)
    gamma = softmax_i( -||x_t - t x^(i)||^2 / (2 (1 - t)^2) )

The squared distances come from one matrix product in the precision of the data; where its rounding could move a
posterior weight, the few samples concerned are taken again by direct differences in float64. Sums over the samples
are of differences ``x^(i) - x_t`` and run over chunks with a running log-sum-exp, so that memory does not grow with N.
"""

import math

import torch

from twostage.arguments import as_floating, as_labels, as_tensor
from twostage.oracle.samples import WIDE, Samples, check_finite, check_times, exact_product, one_each

TOLERANCE = 1e-6  # error of a posterior weight, absolute, beyond which its squared distance is taken again
NEAR_DATA = 0.1  # below this 1 - t, sums are of float64 differences: float32 products lose u / (1 - t)


class Oracle:
    """The exact posterior over a data set, and the velocity that it implies.

    data: (N, D) or (N, C, H, W) floating tensor or array, or a LatentStore, streamed when it is larger than half the
    budget; label: of a store, the class to look at (None: all samples); device: where to compute (None: where the data
    are); budget_mb: working memory in megabytes beyond the data that are already in memory.

    Everywhere x_t is (B, D) or (B, C, H, W), B >= 1, and t a float or (B,) in [0, 1]; float64 x_t are used in full.
    NumPy arrays are taken as tensors are; answers are tensors. Raises ValueError for empty, integer, NaN or infinite
    data and states, for times outside [0, 1], for shapes that differ, and for a device that is not there.
    """

    def __init__(self, data, label=None, device=None, budget_mb=1024):
        self.samples = Samples(data, label, device, budget_mb)

    def log_weights(self, x_t, t):
        """Logarithm of the posterior weights gamma, (B, N) float64; rows sum to one after exp.

        t = 0: uniform. t = 1: the limit, shared equally by the samples nearest to x_t (-inf elsewhere).
        """
        _, point, t = self._check(x_t, t)
        logits = torch.empty(len(point), self.samples.count, dtype=WIDE, device=point.device)
        level = torch.full((len(point), 1), -math.inf, dtype=WIDE, device=point.device)
        for start, rows in self.samples.chunks(self._chunk(len(point))):
            part, _ = self._logits(point, t, start, rows, level)
            logits[:, start : start + len(rows)] = part
            level = torch.maximum(level, part.amax(1, keepdim=True))
        logits = _gaps(logits, level, t)
        return logits - logits.logsumexp(1, keepdim=True)

    def posterior_mean(self, x_t, t):
        """The posterior mean m = sum_i gamma_i x^(i), like x_t.

        t = 0: the mean of the data. t = 1: the nearest sample, or the mean of those that are equally near.
        """
        x_t, point, t = self._check(x_t, t)
        mean = point + self._displacements(point, t, torch.ones_like(t))[0]
        return mean.reshape(x_t.shape).to(x_t)

    def velocity(self, x_t, t):
        """The oracle velocity u* = (m - x_t) / (1 - t), like x_t.

        Raises ValueError at t = 1, where u* depends on the path by which x_t came there: ask at t < 1.
        """
        x_t, point, t = self._check(x_t, t)
        self._refuse_end(t)
        return self._displacements(point, t, 1 - t)[0].reshape(x_t.shape).to(x_t)

    def part_of_velocity(self, x_t, t):
        """What these samples are to the oracle velocity of a larger data set: (velocity like x_t, log-evidence).

        The log-evidence, (B,) float64, is log sum_i exp(-|x_t - t x^(i)|^2 / (2 (1 - t)^2)). The velocity over several
        data sets together is the mean of their velocities, weighted by the softmax of their log-evidences. Raises
        ValueError as ``velocity`` does.
        """
        x_t, point, t = self._check(x_t, t)
        self._refuse_end(t)
        found, evidence = self._displacements(point, t, 1 - t, whole=False)
        return found.reshape(x_t.shape).to(x_t), evidence

    @staticmethod
    def _refuse_end(t):
        if (t == 1).any():
            raise ValueError("t is 1, where the velocity has no value of its own; expected t < 1, such as 1 - 1e-6")

    def _check(self, x_t, t):
        samples = self.samples
        x_t = as_floating("x_t", x_t)
        if x_t.ndim < 2 or tuple(x_t.shape[1:]) not in (samples.shape, (samples.dim,)) or len(x_t) == 0:
            raise ValueError(
                f"x_t has shape {tuple(x_t.shape)}; expected (B, {', '.join(map(str, samples.shape))}), B >= 1"
            )
        t = one_each("t", check_times(t), len(x_t)).to(samples.device)
        point = x_t.detach().to(samples.device, WIDE).reshape(len(x_t), -1)
        check_finite("x_t", torch.linalg.vecdot(point, point))
        return x_t, point, t

    def _chunk(self, batch):
        """Samples a chunk, by what one of them costs: its logits and, when it is streamed, itself read ahead."""
        samples = self.samples
        each = 48 * batch + (0 if samples.in_memory else 20 * samples.dim)
        return max(1, min(samples.count, (samples.budget - 40 * batch * samples.dim) // each))

    def _displacements(self, point, t, divisor, whole=True):
        """``_displacement`` of as many points at a time as the budget allows."""
        size = max(1, self.samples.budget // (96 * self.samples.dim))
        parts = [slice(start, start + size) for start in range(0, len(point), size)]
        found = [self._displacement(point[part], t[part], divisor[part], whole) for part in parts]
        return found[0] if len(found) == 1 else tuple(torch.cat(each) for each in zip(*found))

    def _displacement(self, point, t, divisor, whole):
        """(m - x_t) / divisor, (B, D), and the log-evidence, (B,), float64, by a running log-sum-exp over the chunks.

        divisor: (B,); whole: whether the samples are the whole data set, so that the evidence need not be exact.
        """
        base = self.samples.shifted(point)
        peak = torch.full((len(point), 1), -math.inf, dtype=WIDE, device=point.device)
        total, moved = torch.zeros_like(peak), None
        for start, rows in self.samples.chunks(self._chunk(len(point))):
            logits, pairs = self._logits(point, t, start, rows, peak + total.log(), whole)
            before, peak = peak, torch.maximum(peak, logits.amax(1, keepdim=True))
            weights = _gaps(logits, peak, t).exp_()
            added = weights.sum(1, keepdim=True)
            here = self._near_sum(point, t, rows, weights, pairs)
            rest = weights.sum(1, keepdim=True)
            if rest.any():
                here += exact_product(weights.to(rows.dtype), self.samples.centred(start, rows))
                here.addcmul_(rest, base, value=-1)
            if moved is None:
                total, moved = added, here
            else:
                keep = _gaps(before, peak, t).exp_()
                total, moved = total * keep + added, here.addcmul_(moved, keep)
        moved /= total * divisor[:, None]
        prior = t == 0
        if prior.any():
            moved[prior] = (self.samples.mean - point[prior]) / divisor[prior, None]
        return moved, (peak + total.log())[:, 0]

    def _near_sum(self, point, t, rows, weights, pairs):
        """Near the data, the sum of weights times ``x^(i) - x_t`` over ``pairs``, (B, D); zero elsewhere.

        Their ``weights`` are set to zero: a float32 product would lose the differences.
        """
        row, column = pairs
        chosen = (1 - t[row] < NEAR_DATA) & (weights[row, column] > 0)
        row, column = row[chosen], column[chosen]
        weight = weights[row, column]
        weights[row, column] = 0
        moved = torch.zeros_like(point)
        for part in self._groups(len(row)):
            difference = rows[column[part]].to(WIDE) - point[row[part]]
            moved.index_add_(0, row[part], weight[part, None] * difference)
        return moved

    def _logits(self, point, t, start, rows, level, whole=True):
        """Logits -|x_t - t x^(i)|^2 / (2 (1 - t)^2) of a chunk, (B, n) float64, and the (row, column) taken again.

        level: (B, 1) log of the sum of exp of the logits so far; whole: see ``_displacement``. At t = 1 the squared
        distance is not divided, which orders the samples as the limit does.
        """
        samples, near = self.samples, 1 - t[:, None] < NEAR_DATA
        scale = torch.where(t < 1, (1 - t) ** -2.0, 1.0)[:, None]
        t = t[:, None]
        query = samples.shifted(point, t)
        square = torch.linalg.vecdot(query, query)[:, None]
        half_norms = samples.half_norms[start : start + len(rows)]
        products = exact_product(query.to(rows.dtype), samples.centred(start, rows).T)
        error = t * scale * self._product_error(products, square.sqrt(), half_norms)
        logits = products.to(WIDE).mul_(t * scale).addr_((-t * t * scale)[:, 0], half_norms).sub_(square * scale / 2)

        # a weight is in doubt when the error of its logit could change it by more than the tolerance
        peak = logits.amax(1, keepdim=True)
        before, level = level, torch.logaddexp(level, (logits - peak).exp_().sum(1, keepdim=True).log_() + peak)
        window = torch.where(error > TOLERANCE, 2 * error + (error / TOLERANCE).log(), -math.inf)
        # near the data, and at t = 1, all that counts is taken by differences
        window = torch.where(near, 2 * error + 20 - (1 - t).clamp(min=1e-16).log(), window)
        doubtful = logits > level - window
        if whole:
            # but one sample that outweighs all others has weight 1, whatever its logit
            settled = (peak - level > -(TOLERANCE / error).clamp(1e-9, 0.5)) & (before < peak - window)
            doubtful &= near | ~settled | (doubtful.sum(1, keepdim=True) > 1)
        pairs = doubtful.nonzero(as_tuple=True)
        for part in self._groups(len(pairs[0])):
            row, column = pairs[0][part], pairs[1][part]
            distance = (point[row] - t[row] * rows[column].to(WIDE)).square_().sum(1)
            logits[row, column] = -distance / 2 * scale[row, 0]
        return logits, pairs

    def _product_error(self, products, length, half_norms):
        """How far rounding moves an inner product, (B, 1): estimated from above: terms of random and of equal sign."""
        unit = torch.finfo(products.dtype).eps / 2
        low, high = torch.aminmax(products, dim=1, keepdim=True)
        largest = torch.maximum(-low, high).to(WIDE)
        random = length * (2 * half_norms.max()).sqrt() * (0.25 + 16 / math.sqrt(self.samples.dim))
        return unit * (random + 8 * largest)

    def _groups(self, count):
        size = max(1, min(self.samples.budget // 4, 1 << 26) // (24 * self.samples.dim))
        return [slice(start, start + size) for start in range(0, count, size)]


def _gaps(logits, peak, t):
    """``logits - peak``; at t = 1 the limit: 0 at the peak, -inf below it."""
    gaps = logits - peak
    last = t == 1
    return gaps.masked_fill_(last[:, None] & (gaps < 0), -math.inf) if last.any() else gaps


class ClassOracle:
    """The class-conditional oracle: ``Oracle`` over the samples of one class, a class a row.

    data: (N, D) or (N, C, H, W) tensor or array with labels (N,) integers, or a LatentStore, which brings its own
    labels. What the classes used last hold beyond the data given is kept in memory, within ``budget_mb``.
    """

    def __init__(self, data, labels=None, device=None, budget_mb=1024):
        stored = hasattr(data, "batches")
        if stored != (labels is None):
            raise ValueError("labels go with a tensor, one a sample; a LatentStore brings its own (labels=None)")
        data = data if stored else as_floating("the data", data)
        self.labels = as_tensor("labels", data.labels if stored else labels)
        whole = self.labels.dtype != torch.bool and not self.labels.is_floating_point()
        if not whole or self.labels.ndim != 1 or (not stored and len(self.labels) != len(data)):
            got = f"dtype {self.labels.dtype} and shape {tuple(self.labels.shape)}"
            raise ValueError(f"labels have {got}; expected ({len(data)},) integers")
        self._data, self._device, self._budget_mb = data, device, budget_mb
        self._oracles = {}

    def oracle(self, label):
        """The ``Oracle`` of one class. Raises ValueError for a label that no sample has."""
        label = as_labels("label", label)
        if label.numel() != 1:
            raise ValueError(f"label has shape {tuple(label.shape)}; expected one label")
        label = int(label)
        # least recently used first
        found = self._oracles.pop(label, None) or self._make(label)
        self._oracles[label] = found
        while (
            len(self._oracles) > 1 and sum(each.samples.held for each in self._oracles.values()) > found.samples.budget
        ):
            self._oracles.pop(next(iter(self._oracles)))
        return found

    def _make(self, label):
        members = (self.labels == label).nonzero()[:, 0]
        if len(members) == 0:
            raise ValueError(f"label {label} has no samples; expected one of {_short(self.labels.unique().tolist())}")
        if hasattr(self._data, "batches"):
            return Oracle(self._data, label, self._device, self._budget_mb)
        first, last = int(members[0]), int(members[-1])
        part = slice(first, last + 1) if last - first + 1 == len(members) else members.to(self._data.device)
        return Oracle(self._data[part], None, self._device, self._budget_mb)

    def velocity(self, x_t, t, y):
        """The class-conditional oracle velocity, like x_t; y: (B,) integer labels, or one for all."""
        return self._each("velocity", x_t, t, y)

    def posterior_mean(self, x_t, t, y):
        """The class-conditional posterior mean, like x_t."""
        return self._each("posterior_mean", x_t, t, y)

    def _each(self, method, x_t, t, y):
        x_t = as_floating("x_t", x_t)
        if x_t.ndim < 2 or len(x_t) == 0:
            raise ValueError(f"x_t has shape {tuple(x_t.shape)}; expected (B, ...), B >= 1")
        y, t = as_labels("y", y).cpu(), check_times(t).cpu()
        y, t = one_each("y", y, len(x_t)), one_each("t", t, len(x_t))
        result = torch.empty_like(x_t)
        for label in y.unique().tolist():
            rows = (y == label).nonzero()[:, 0].to(x_t.device)
            answer = getattr(self.oracle(label), method)(x_t[rows], t[rows.cpu()])
            result[rows] = answer.to(x_t.device)
        return result


def _short(values, most=10):
    shown = ", ".join(map(str, values[:most]))
    return f"[{shown}, ...]" if len(values) > most else f"[{shown}]"
