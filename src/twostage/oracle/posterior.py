"""The oracle velocity of a finite data set (Theorem 2.1 of the paper), exact at every t.

    u*(x_t, t) = (m(x_t, t) - x_t) / (1 - t),        m = sum_i gamma_i x^(i)   (the posterior mean)
    gamma = softmax_i( -||x_t - t x^(i)||^2 / (2 (1 - t)^2) )

The squared distances come from one matrix product in the precision of the data; where its rounding could move a
posterior weight, the few samples concerned are taken again by direct differences in float64. Sums over the samples
are of differences ``x^(i) - x_t`` and run over chunks with a running log-sum-exp, so that memory does not grow with N.
"""

import math
from functools import partial

import torch

from twostage.oracle.samples import WIDE, Samples, check_times, exact_product

TOLERANCE = 2e-6  # largest error of a log-weight that is let be, absolute
NEAR_DATA = 0.1  # below this 1 - t, sums are of float64 differences: float32 products lose u / (1 - t)


class Oracle:
    """The exact posterior over a data set, and the velocity that it implies.

    data: (N, D) or (N, C, H, W) floating tensor, or a LatentStore, streamed when it is larger than half the budget;
    label: of a store, the class to look at (None: all samples); device: where to compute (None: where the data are);
    budget_mb: working memory in megabytes beyond the data that are already in memory.

    Everywhere x_t is (B, D) or (B, C, H, W) and t a float or (B,) in [0, 1]; float64 x_t are used in full.
    Raises ValueError for empty, integer, NaN or infinite data, for times outside [0, 1] and for shapes that differ.
    """

    def __init__(self, data, label=None, device=None, budget_mb=1024):
        self.samples = Samples(data, label, device, budget_mb)

    def log_weights(self, x_t, t):
        """Logarithm of the posterior weights gamma, (B, N) float64; rows sum to one after exp.

        t = 0: uniform. t = 1: the limit, shared equally by the samples nearest to x_t (-inf elsewhere).
        """
        point, t = self._check(x_t, t)
        logits = torch.empty(len(point), self.samples.count, dtype=WIDE, device=point.device)
        peak = torch.full((len(point), 1), -math.inf, dtype=WIDE, device=point.device)
        for start, rows in self.samples.chunks(self._chunk(len(point))):
            part, _ = self._logits(point, t, start, rows, peak)
            logits[:, start : start + len(rows)] = part
            peak = torch.maximum(peak, part.amax(1, keepdim=True))
        logits = _gaps(logits, peak, t)
        return logits - logits.logsumexp(1, keepdim=True)

    def posterior_mean(self, x_t, t):
        """The posterior mean m = sum_i gamma_i x^(i), like x_t. t = 0: the mean of the data. t = 1: the nearest sample."""
        point, t = self._check(x_t, t)
        mean = point + self._displacement(point, t)
        mean[t == 0] = self.samples.mean
        return mean.reshape(x_t.shape).to(x_t.dtype)

    def velocity(self, x_t, t):
        """The oracle velocity u* = (m - x_t) / (1 - t), like x_t.

        Raises ValueError at t = 1, where u* depends on the path by which x_t came there: ask at t < 1.
        """
        point, t = self._check(x_t, t)
        if (t == 1).any():
            raise ValueError("t is 1, where the velocity has no value of its own; expected t < 1, such as 1 - 1e-6")
        displacement = self._displacement(point, t)
        at_prior = t == 0
        if at_prior.any():
            displacement[at_prior] = self.samples.mean - point[at_prior]
        return (displacement / (1 - t[:, None])).reshape(x_t.shape).to(x_t.dtype)

    def _check(self, x_t, t):
        samples = self.samples
        if not isinstance(x_t, torch.Tensor) or not x_t.is_floating_point():
            raise ValueError(f"x_t is {getattr(x_t, 'dtype', type(x_t))}; expected a floating tensor")
        if x_t.ndim < 2 or tuple(x_t.shape[1:]) not in (samples.shape, (samples.dim,)):
            raise ValueError(f"x_t has shape {tuple(x_t.shape)}; expected (B, {', '.join(map(str, samples.shape))})")
        t = check_times(t).to(samples.device)
        if t.ndim > 1 or (t.ndim == 1 and len(t) not in (1, len(x_t))):
            raise ValueError(f"t has shape {tuple(t.shape)}; expected a float or ({len(x_t)},), one time a sample")
        point = x_t.detach().to(samples.device, WIDE).reshape(len(x_t), -1)
        if not torch.isfinite(point).all():
            raise ValueError("x_t holds NaN or infinite values; expected finite numbers")
        return point, t.expand(len(x_t))

    def _chunk(self, batch):
        """Samples a chunk, by what one of them costs: its logits and, when it is streamed, itself read ahead."""
        samples = self.samples
        each = 48 * batch + (0 if samples.in_memory else 20 * samples.dim)
        return max(1, min(samples.count, (samples.budget - 40 * batch * samples.dim) // each))

    def _displacement(self, point, t):
        """m - x_t, (B, D) float64, by a running log-sum-exp over the chunks."""
        peak = torch.full((len(point), 1), -math.inf, dtype=WIDE, device=point.device)
        total = torch.zeros_like(peak)
        moved = torch.zeros_like(point)
        base = point - self.samples.centre.to(WIDE)
        for start, rows in self.samples.chunks(self._chunk(len(point))):
            logits, pairs = self._logits(point, t, start, rows, peak)
            before, peak = peak, torch.maximum(peak, logits.amax(1, keepdim=True))
            weights = _gaps(logits, peak, t).exp_()
            if start:
                keep = _gaps(before, peak, t).exp_()
                total, moved = total * keep, moved * keep
            total += weights.sum(1, keepdim=True)
            self._add_near(moved, point, t, rows, weights, pairs)
            narrow = weights.to(rows.dtype)
            moved += exact_product(narrow, self.samples.centred(start, rows))
            moved -= weights.sum(1, keepdim=True) * base
        return moved.div_(total)

    def _add_near(self, moved, point, t, rows, weights, pairs):
        """Near the data, add the weighty samples' ``x^(i) - x_t`` one by one, and take them out of ``weights``."""
        row, column = pairs
        near = (1 - t)[row] < NEAR_DATA
        row, column = row[near], column[near]
        weight = weights[row, column]
        row, column, weight = row[weight > 0], column[weight > 0], weight[weight > 0]
        for part in self._groups(len(row)):
            difference = rows[column[part]].to(WIDE) - point[row[part]]
            moved.index_add_(0, row[part], weight[part, None] * difference)
        weights[row, column] = 0

    def _logits(self, point, t, start, rows, peak):
        """Logits -|x_t - t x^(i)|^2 / (2 (1 - t)^2) of one chunk, (B, n) float64, and the pairs taken by differences.

        At t = 1 the squared distance is not divided, which orders the samples as the limit does.
        """
        samples = self.samples
        centred = samples.centred(start, rows)
        scale = torch.where(t < 1, (1 - t) ** -2.0, 1.0)[:, None]
        t = t[:, None]
        query = point - t * samples.centre.to(WIDE)
        products = exact_product(query.to(rows.dtype), centred.T).to(WIDE)
        half_norms = samples.half_norms[start : start + len(rows)]
        lengths = query.norm(dim=1, keepdim=True) * (2 * half_norms.max()).sqrt() + 8 * products.abs().amax(
            1, keepdim=True
        )
        error = torch.finfo(rows.dtype).eps / 2 * lengths * t * scale
        logits = products.mul_(t).sub_(t**2 * half_norms).sub_(query.square().sum(1, keepdim=True) / 2).mul_(scale)

        near = 1 - t < NEAR_DATA
        window = torch.where(error > TOLERANCE, 2 * error + (error / TOLERANCE).log(), -math.inf)
        window = torch.where(near, 2 * error + 20 - (1 - t).clamp(min=1e-16).log(), window)
        top = torch.maximum(logits.amax(1, keepdim=True), peak)
        doubtful = logits > top - window
        doubtful &= near | (doubtful.sum(1, keepdim=True) > 1) | (peak > -math.inf)
        pairs = doubtful.nonzero(as_tuple=True)
        for part in self._groups(len(pairs[0])):
            row, column = pairs[0][part], pairs[1][part]
            distance = (point[row] - t[row] * rows[column].to(WIDE)).square_().sum(1)
            logits[row, column] = -distance / 2 * scale[row, 0]
        return logits, pairs

    def _groups(self, count):
        size = max(1, min(self.samples.budget // 4, 1 << 26) // (24 * self.samples.dim))
        return [slice(start, start + size) for start in range(0, count, size)]


def _gaps(logits, peak, t):
    """``logits - peak``; at t = 1 the limit: 0 at the peak, -inf below it. Rows without any sample yet stay -inf."""
    gaps = logits - peak
    gaps.masked_fill_((t == 1)[:, None] & (gaps < 0), -math.inf)
    return gaps


class ClassOracle:
    """The class-conditional oracle: ``Oracle`` over the samples of one class, a class a row.

    data: (N, D) or (N, C, H, W) tensor with labels (N,) integers, or a LatentStore (labels from the store).
    """

    def __init__(self, data, labels=None, device=None, budget_mb=1024):
        stored = hasattr(data, "batches")
        if stored != (labels is None):
            raise ValueError("labels go with a tensor, one a sample; a LatentStore brings its own (labels=None)")
        self.labels = torch.as_tensor(data.labels if stored else labels)
        if self.labels.is_floating_point() or self.labels.ndim != 1 or (not stored and len(self.labels) != len(data)):
            raise ValueError(
                f"labels have dtype {self.labels.dtype} and shape {tuple(self.labels.shape)}; expected ({len(data)},) integers"
            )
        self._make = partial(Oracle, device=device, budget_mb=budget_mb)
        self._data = data
        self._oracles = {}

    def oracle(self, label):
        """The ``Oracle`` of one class. Raises ValueError for a label that no sample has."""
        label = int(label)
        if label not in self._oracles:
            members = (self.labels == label).nonzero()[:, 0]
            if len(members) == 0:
                known = self.labels.unique().tolist()
                raise ValueError(f"label {label} has no samples; expected one of {_short(known)}")
            if hasattr(self._data, "batches"):
                self._oracles[label] = self._make(self._data, label)
            elif members[-1] - members[0] + 1 == len(members):
                self._oracles[label] = self._make(self._data[members[0] : members[-1] + 1])
            else:
                self._oracles[label] = self._make(self._data[members.to(self._data.device)])
        return self._oracles[label]

    def velocity(self, x_t, t, y):
        """The class-conditional oracle velocity, like x_t; y: (B,) integer labels, or one for all."""
        return self._each("velocity", x_t, t, y)

    def posterior_mean(self, x_t, t, y):
        """The class-conditional posterior mean, like x_t."""
        return self._each("posterior_mean", x_t, t, y)

    def _each(self, method, x_t, t, y):
        y = torch.as_tensor(y, device="cpu").expand(len(x_t))
        t = check_times(t).cpu().expand(len(x_t))
        result = torch.empty_like(x_t)
        for label in y.unique().tolist():
            rows = (y == label).nonzero()[:, 0].to(x_t.device)
            answer = getattr(self.oracle(label), method)(x_t[rows], t[rows.cpu()])
            result[rows] = answer.to(x_t.device)
        return result


def _short(values, most=10):
    shown = ", ".join(map(str, values[:most]))
    return f"[{shown}, ...]" if len(values) > most else f"[{shown}]"
