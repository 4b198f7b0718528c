"""Posterior statistics of training pairs at every time of a grid, for the price of two matrix products.

A pair is a sample x_1 = x^(k) of the data and a noise x_0; its path is x_t = t x_1 + (1 - t) x_0. With
d_i = x^(i) - x_1 and s = t / (1 - t), the log-weight of sample i relative to the true one is

    r_i(t) = log gamma_i - log gamma_k = s a_i - s^2 q_i / 2,    a_i = <x_0, d_i>,  q_i = |d_i|^2

so <x_1, x^(i)> and <x_0, x^(i)>, computed once, serve all times. The error of the oracle against the conditional
target needs no subtraction of large numbers either: u* - u = sum_i gamma_i d_i / (1 - t) (docs/theory.md).
"""

import dataclasses
import math

import numpy as np
import torch

from twostage.oracle.samples import WIDE, Samples, check_times, exact_product
from twostage.provenance import atomic_write

NEAR_DUPLICATE = 2e-3  # share of |x^(i)|^2 + |x_1|^2 below which q_i is taken by direct differences
NEGLIGIBLE = -400.0  # log-weights below this change no float64 result, squared errors included


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What ``sweep`` found. P pairs, T times; float64 arrays (P, T) unless said otherwise.

    times: (T,); index: (P,) rows of the data; label: (P,) class of each pair, -1 where the data were taken whole;
    count: (P,) number of samples N that each pair's posterior ran over; dim: D.
    top1: largest posterior weight; self_weight: the weight of the true sample x_1; effective_samples: exp of the
    posterior's entropy; mse: mean over D of (u* - (x_1 - x_0))^2; mse_offset: the same when ``offset`` is added to
    1 - t in the oracle's coefficients, the weights exact (None where no offset was asked for).
    """

    times: np.ndarray
    index: np.ndarray
    label: np.ndarray
    count: np.ndarray
    dim: int
    top1: np.ndarray
    self_weight: np.ndarray
    effective_samples: np.ndarray
    mse: np.ndarray
    mse_offset: np.ndarray | None = None

    def __len__(self):
        return len(self.index)

    def select(self, pairs):
        """The same sweep for some of its pairs: ``pairs`` indexes the first axis (slice, mask or integers)."""
        return dataclasses.replace(
            self, **{name: getattr(self, name)[pairs] for name in self._per_pair() if getattr(self, name) is not None}
        )

    @staticmethod
    def merge(sweeps):
        """One sweep of all the pairs, in the order given. Exact: pairs do not depend on each other.

        Raises ValueError where times, dimension or the presence of mse_offset differ.
        """
        sweeps = list(sweeps)
        if not sweeps:
            raise ValueError("there is no sweep to merge; expected at least one")
        first = sweeps[0]
        for other in sweeps[1:]:
            if not np.array_equal(other.times, first.times):
                raise ValueError(f"the sweeps to merge have different times: {first.times} and {other.times}")
            if other.dim != first.dim or (other.mse_offset is None) != (first.mse_offset is None):
                raise ValueError(f"the sweeps to merge differ in dimension ({first.dim}, {other.dim}) or in mse_offset")
        fields = {
            name: np.concatenate([getattr(each, name) for each in sweeps])
            for name in Sweep._per_pair()
            if getattr(first, name) is not None
        }
        return dataclasses.replace(first, **fields)

    def save(self, path):
        """Write as .npz, atomically."""
        with atomic_write(path) as temporary, open(temporary, "wb") as stream:
            np.savez(stream, **{key: value for key, value in vars(self).items() if value is not None})

    @staticmethod
    def load(path):
        """Read what ``save`` wrote."""
        with np.load(path) as stored:
            fields = dict(stored)
        return Sweep(**{**fields, "dim": int(fields["dim"])})

    @staticmethod
    def _per_pair():
        return [field.name for field in dataclasses.fields(Sweep) if field.name not in ("times", "dim")]


def sweep(data, index, x_0, times, *, label=None, offset=None, device=None, budget_mb=1024):
    """Posterior statistics of pairs (data[index], x_0) at all ``times``: a ``Sweep``.

    data: (N, D) or (N, C, H, W) floating tensor, a LatentStore, or ``Samples``; index: (P,) rows of the data (within
    the class, in the order of ``store.class_data``, where ``label`` names one); x_0: (P, D) or (P, C, H, W) noise;
    times: (T,) in [0, 1], where t = 1 stands for the limit; offset: see ``Sweep.mse_offset``; budget_mb: working
    memory in megabytes.

    Raises ValueError for mismatched shapes, an index or time out of range, NaN or infinite values.
    """
    samples = data if isinstance(data, Samples) else Samples(data, label, device, budget_mb)
    index = torch.as_tensor(index)
    times = check_times(times, "times").cpu()
    _check_pairs(samples, index, x_0, times, offset)
    index = index.to(samples.device)
    noise = x_0.reshape(len(index), -1)
    size = max(1, (samples.budget // 2) // (8 * samples.dim * (len(times) + 4)))
    parts = [
        _Pairs(samples, index[start : start + size], noise[start : start + size], times).result(offset)
        for start in range(0, len(index), size)
    ]
    return Sweep(
        times=times.numpy(),
        index=index.cpu().numpy(),
        label=np.full(len(index), -1 if label is None else int(label)),
        count=np.full(len(index), samples.count),
        dim=samples.dim,
        **{
            name: np.concatenate([part[name] for part in parts]) if parts[0][name] is not None else None
            for name in parts[0]
        },
    )


def _check_pairs(samples, index, x_0, times, offset):
    if times.ndim != 1 or len(times) == 0:
        raise ValueError(f"times have shape {tuple(times.shape)}; expected (T,), T >= 1")
    if index.ndim != 1 or len(index) == 0 or index.is_floating_point() or index.dtype == torch.bool:
        raise ValueError(
            f"index has dtype {index.dtype} and shape {tuple(index.shape)}; expected (P,) integers, P >= 1"
        )
    outside = (index < 0) | (index >= samples.count)
    if outside.any():
        raise ValueError(f"index holds {index[outside][0].item()}; expected rows in [0, {samples.count})")
    if not isinstance(x_0, torch.Tensor) or not x_0.is_floating_point():
        raise ValueError(f"x_0 is {getattr(x_0, 'dtype', type(x_0))}; expected a floating tensor")
    if len(x_0) != len(index) or tuple(x_0.shape[1:]) not in (samples.shape, (samples.dim,)):
        raise ValueError(
            f"x_0 has shape {tuple(x_0.shape)}; expected ({len(index)}, {', '.join(map(str, samples.shape))})"
        )
    if not torch.isfinite(x_0).all():
        raise ValueError("x_0 holds NaN or infinite values; expected finite numbers")
    if offset is not None and not offset > 0:
        raise ValueError(f"offset is {offset}; expected a number above 0, or None")


class _Pairs:
    """The running sums of some pairs over the chunks of the data.

    Per time, relative to the true sample: ``peak``, the largest log-weight; ``total``, the sum of the weights over
    exp(peak); ``tilt``, the sum of weights times log-weights; and, over ``exp(reach)``, ``moved = sum_i gamma_i d_i``.
    The true sample and its exact duplicates have r = 0 and d = 0 at all times: they are only counted.
    """

    def __init__(self, samples, index, noise, times):
        self.samples, self.index, self.times = samples, index, times
        self.ratios = (times / (1 - times)).tolist()
        self.inner = [k for k in torch.argsort(times).tolist() if 0 < times[k] < 1]
        self.data_point = samples.take(index).to(WIDE)
        self.noise = noise.to(samples.device, WIDE)
        self.base = self.data_point - samples.centre.to(WIDE)
        shape = (len(times), len(index))
        new = lambda value: torch.full(shape, value, dtype=WIDE, device=samples.device)  # noqa: E731
        self.copies = torch.zeros(len(index), dtype=WIDE, device=samples.device)
        self.peak, self.total, self.tilt, self.reach = new(0.0), new(0.0), new(0.0), new(-math.inf)
        self.moved = {}
        each = 64 * len(index) + 16 * samples.dim
        size = max(1, min(samples.count, samples.budget // 4 // each))
        for start, rows in samples.chunks(size):
            self._add(start, rows)

    def _add(self, start, rows):
        a, q, near = self._exponents(start, rows)
        copies = q == 0
        self.copies += copies.sum(1)
        q.masked_fill_(copies, math.inf)  # weight 0 at t > 0: counted above
        half_log = q.log() / 2
        y = self.samples.centred(start, rows)
        pairs = torch.arange(len(a), device=a.device)
        for k in self.inner:
            s = self.ratios[k]
            r = torch.addcmul(a * s, q, q.new_tensor(-s * s / 2))
            top = r.amax(1)
            # r_i / s falls with s, so a pair that is negligible here is so at all later times
            alive = top > NEGLIGIBLE
            if not alive.all():
                pairs, a, q, half_log, r, top = (part[alive] for part in (pairs, a, q, half_log, r, top))
                if len(pairs) == 0:
                    return
            self._add_weights(k, pairs, r, top)
            self._add_moved(k, pairs, r, half_log, rows, y, near)

    def _exponents(self, start, rows):
        """a_i and q_i of one chunk, (P, n) float64, and the (pair, row) of those taken by direct differences."""
        samples = self.samples
        both = torch.cat([self.base, self.noise])
        products = torch.empty(len(both), len(rows), dtype=WIDE, device=both.device)
        block = 256
        wide = torch.empty(block, samples.dim, dtype=WIDE, device=both.device)
        for first in range(0, len(rows), block):
            part = wide[: len(rows) - first]
            part.copy_(rows[first : first + block]).sub_(samples.centre)
            products[:, first : first + block] = both @ part.T
        gram, a = products[: len(self.base)], products[len(self.base) :]
        a -= (self.noise * self.base).sum(1, keepdim=True)
        norms = 2 * samples.half_norms[start : start + len(rows)] + self.base.square().sum(1, keepdim=True)
        q = norms - 2 * gram
        near = (q < NEAR_DUPLICATE * norms).nonzero()
        for part in self._groups(len(near)):
            pair, row = near[part].T
            difference = rows[row].to(WIDE) - self.data_point[pair]
            q[pair, row] = difference.square().sum(1)
            a[pair, row] = (difference * self.noise[pair]).sum(1)
        return a, q, near

    def _groups(self, count):
        size = max(1, min(self.samples.budget // 8, 1 << 26) // (24 * self.samples.dim))
        return [slice(start, start + size) for start in range(0, count, size)]

    def _add_weights(self, k, pairs, r, top):
        before = self.peak[k, pairs]
        peak = torch.maximum(before, top)
        weights = (r - peak[:, None]).exp_()
        shrink = (before - peak).exp_()
        self.peak[k, pairs] = peak
        self.total[k, pairs] = self.total[k, pairs] * shrink + weights.sum(1)
        # a weight that underflows to 0 may meet a log-weight of -inf
        self.tilt[k, pairs] = self.tilt[k, pairs] * shrink + weights.mul_(r.clamp(min=-1e300)).sum(1)

    def _add_moved(self, k, pairs, r, half_log, rows, y, near):
        size = r + half_log  # log of gamma_i |d_i|, up to the normalisation
        size.masked_fill_(size == math.inf, -math.inf)
        size.nan_to_num_(nan=-math.inf)
        before = self.reach[k, pairs]
        reach = torch.maximum(before, size.amax(1))
        if (reach == -math.inf).all():
            return
        reach = reach.clamp(min=-1e300)
        size -= reach[:, None]
        kept = size > -math.log(1e8 * self.samples.count)
        weights = (r - reach[:, None]).exp_().mul_(kept)
        if k not in self.moved:
            self.moved[k] = torch.zeros_like(self.base)
        moved = self.moved[k][pairs] * (before - reach).exp_()[:, None]
        moved += self._near_sum(pairs, weights, rows, near)
        moved += _weighted_sum(weights, y)
        moved -= weights.sum(1, keepdim=True) * self.base[pairs]
        self.moved[k][pairs] = moved
        self.reach[k, pairs] = reach

    def _near_sum(self, pairs, weights, rows, near):
        """The near-duplicates' part of the sum, by float64 differences; their ``weights`` are set to zero."""
        if len(near) == 0:
            return 0.0
        position = torch.full((len(self.index),), -1, device=pairs.device)
        position[pairs] = torch.arange(len(pairs), device=pairs.device)
        at, row = position[near[:, 0]], near[:, 1]
        at, row, pair = at[at >= 0], row[at >= 0], near[at >= 0, 0]
        weight = weights[at, row]
        weights[at, row] = 0
        at, row, pair, weight = (part[weight > 0] for part in (at, row, pair, weight))
        moved = torch.zeros(len(pairs), self.samples.dim, dtype=WIDE, device=pairs.device)
        for part in self._groups(len(at)):
            difference = rows[row[part]].to(WIDE) - self.data_point[pair[part]]
            moved.index_add_(0, at[part], weight[part, None] * difference)
        return moved

    def result(self, offset):
        """The arrays of a ``Sweep``, each (P, T) float64."""
        samples, count = self.samples, self.samples.count
        total = self.total + self.copies * (-self.peak).exp()
        log_total = self.peak + total.log()
        self_weight = (-log_total).exp()
        top1 = 1 / total
        effective = (log_total - self.tilt / total).exp()
        target = self.data_point - self.noise
        mse = torch.zeros_like(total)
        mse_offset = torch.zeros_like(total) if offset is not None else None
        for k, t in enumerate(self.times.tolist()):
            moved, scale = self._moved_at(k, t, log_total)
            length = moved.square().mean(1)
            rest = 1 - t
            if t == 0:
                self_weight[k] = top1[k] = 1 / count
                effective[k] = count
            elif t == 1:
                self_weight[k] = top1[k] = 1 / self.copies
                effective[k] = self.copies
            if t < 1:
                mse[k] = length * (2 * scale - 2 * math.log(rest)).exp()
            if offset is not None:
                shifted = moved * scale.exp()[:, None] - offset * target
                mse_offset[k] = shifted.square().mean(1) / (rest + offset) ** 2
        arrays = {
            "top1": top1,
            "self_weight": self_weight,
            "effective_samples": effective,
            "mse": mse,
            "mse_offset": mse_offset,
        }
        return {name: None if array is None else array.T.cpu().numpy() for name, array in arrays.items()}

    def _moved_at(self, k, t, log_total):
        """m - x_1 at one time as (vectors (P, D), log of the factor (P,) that goes with them)."""
        if t == 0:
            return self.samples.mean - self.data_point, torch.zeros_like(log_total[k])
        if k not in self.moved:
            return torch.zeros_like(self.base), torch.zeros_like(log_total[k])
        return self.moved[k], (self.reach[k] - log_total[k]).clamp(min=-1e300)


def _weighted_sum(weights, y):
    """``weights @ y`` in the precision of y, (P, D) float64 out; few non-zero weights are summed row by row."""
    filled = weights != 0
    if filled.sum() * 8 > filled.numel():
        return exact_product(weights.to(y.dtype), y).to(WIDE)
    ends = filled.sum(1).cumsum(0)
    return torch.nn.functional.embedding_bag(
        filled.nonzero()[:, 1],
        y,
        offsets=ends - filled.sum(1),
        per_sample_weights=weights[filled].to(y.dtype),
        mode="sum",
    ).to(WIDE)
