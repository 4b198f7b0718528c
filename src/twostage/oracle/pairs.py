"""Posterior statistics of training pairs at every time of a grid, at the cost of two matrix products.

A pair is a sample x_1 = x^(k) of the data and a noise x_0; its path is x_t = t x_1 + (1 - t) x_0. With
d_i = x^(i) - x_1 and s = t / (1 - t), the log-weight of sample i relative to the true one is

    r_i(t) = log gamma_i - log gamma_k = s a_i - s^2 q_i / 2,    a_i = <x_0, d_i>,  q_i = |d_i|^2

so <x_1, x^(i)> and <x_0, x^(i)>, computed once, serve all times. The error of the oracle against the conditional
target needs no subtraction of large numbers either: u* - u = sum_i gamma_i d_i / (1 - t) (docs/theory.md).
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int, Int64

from twostage.arguments import Array, as_floating, as_tensor
from twostage.data.latents import LatentStore
from twostage.oracle.products import weighted_sum
from twostage.oracle.samples import LEAST, WIDE, Samples, check_finite, check_times, product_weights
from twostage.provenance import PathLike, atomic_write

NEAR_DUPLICATE = 2e-3  # share of |x^(i)|^2 + |x_1|^2; if q_i is below it, it is computed by direct differences
NEGLIGIBLE = -400.0  # log-weights below this change no float64 result, squared errors included
DROPPED = 2e-6  # share of sum_i gamma_i |d_i| that may be left out where few samples carry the rest
MOST_DROPPED = 1e-3  # share of the largest |gamma_i d_i|; no sample above it is left out
BISECTIONS = 4  # of the level, from ``MOST_DROPPED`` down to a level that is always low enough
MANY = 0.06  # share of weights that are not zero; above it, a matrix product is as fast as sums over them
FAR = 1e250  # the q of the true sample and its copies, which are counted separately
AT_PRIOR = 1e-100  # times below this are t = 0 in float64


@dataclasses.dataclass(frozen=True)
class Sweep:
    """The result of ``sweep``. P pairs, T times; float64 arrays (P, T) unless said otherwise.

    times: (T,); index: (P,) rows of the data; label: (P,) class of each pair, -1 if the posterior is over all data;
    count: (P,) number of different samples N in each pair's posterior; dim: D.
    Exact copies are one sample, whose weight is the sum over them. top1: largest posterior weight; self_weight: the
    weight of the true sample x_1; effective_samples: exp of the posterior's entropy; mse: mean over D of
    (u* - (x_1 - x_0))^2; mse_offset: the same when ``offset`` is added to 1 - t in the coefficients A = 1 / (1 - t) and
    B = -1 / (1 - t), with exact weights (None if no offset was given); variance: the mean of mse over the x_1 that
    could have led to x_t, sum_i gamma_i |x^(i) - m|^2 / (D (1 - t)^2), 0 where below 1e-170; rows: (P,) number of
    samples in each pair's posterior, copies counted (None: as count).

    >>> data = torch.tensor([[0.0, 0.0], [0.0, 1.0], [3.0, 0.0]])
    >>> found = sweep(data, index=[0, 2], x_0=torch.zeros(2, 2), times=[0.0, 0.5])
    >>> found.self_weight.round(3)
    array([[0.333, 0.618],
           [0.333, 0.982]])
    >>> len(found), found.select([1]).index
    (2, array([2]))
    """

    times: Float64[np.ndarray, " times"]
    index: Int64[np.ndarray, " pairs"]
    label: Int64[np.ndarray, " pairs"]
    count: Int64[np.ndarray, " pairs"]
    dim: int
    top1: Float64[np.ndarray, "pairs times"]
    self_weight: Float64[np.ndarray, "pairs times"]
    effective_samples: Float64[np.ndarray, "pairs times"]
    mse: Float64[np.ndarray, "pairs times"]
    mse_offset: Float64[np.ndarray, "pairs times"] | None = None
    variance: Float64[np.ndarray, "pairs times"] | None = None
    rows: Int64[np.ndarray, " pairs"] | None = None

    def __len__(self) -> int:
        return len(self.index)

    def select(self, pairs: slice | Int[np.ndarray, " chosen"] | Bool[np.ndarray, " pairs"] | Sequence[int]) -> "Sweep":
        """The sweep of some of its pairs; pairs: an index of the first axis (slice, mask or integers)."""
        return dataclasses.replace(
            self, **{name: getattr(self, name)[pairs] for name in self._per_pair() if getattr(self, name) is not None}
        )

    @staticmethod
    def merge(sweeps: "Iterable[Sweep]") -> "Sweep":
        """One sweep of all the pairs, in the order given. This is exact, since pairs do not depend on each other.

        Raises ValueError if times, dimension or the presence of mse_offset differ.
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
        fields: dict[str, Any] = {
            name: np.concatenate([getattr(each, name) for each in sweeps])
            for name in Sweep._per_pair()
            if getattr(first, name) is not None
        }
        return dataclasses.replace(first, **fields)

    @staticmethod
    def of_times(sweeps: "Iterable[Sweep]") -> "Sweep":
        """One sweep of the same pairs at all the times of several, in ascending order."""
        sweeps = list(sweeps)
        times = np.concatenate([each.times for each in sweeps])
        order, fields = np.argsort(times, kind="stable"), dict[str, Any]()
        for name in Sweep._per_pair():
            if getattr(sweeps[0], name) is not None and getattr(sweeps[0], name).ndim == 2:
                fields[name] = np.concatenate([getattr(each, name) for each in sweeps], 1)[:, order]
        return dataclasses.replace(sweeps[0], times=times[order], **fields)

    def save(self, path: PathLike) -> None:
        """Write as .npz, atomically."""
        with atomic_write(path) as temporary, open(temporary, "wb") as stream:
            np.savez(stream, **{key: value for key, value in vars(self).items() if value is not None})

    @staticmethod
    def load(path: PathLike) -> "Sweep":
        """Read what ``save`` wrote."""
        with np.load(path) as stored:
            fields = dict(stored)
        return Sweep(**{**fields, "dim": int(fields["dim"])})

    @staticmethod
    def _per_pair():
        return [field.name for field in dataclasses.fields(Sweep) if field.name not in ("times", "dim")]


def sweep(
    data: Float[Array, " n *shape"] | LatentStore | Samples,
    index: Int[Array, " pairs"] | Sequence[int],
    x_0: Float[Array, "pairs ..."],
    times: Float[Array, " times"] | Sequence[float],
    *,
    label: int | None = None,
    offset: float | None = None,
    device: str | torch.device | None = None,
    budget_mb: float = 1024,
) -> Sweep:
    """Posterior statistics of pairs (data[index], x_0) at all ``times``: a ``Sweep``.

    data: (N, D) or (N, C, H, W) floating tensor or array, a LatentStore, or ``Samples``; index: (P,) rows of the data
    (if ``label`` names a class: rows within it, in the order of ``store.class_data``); x_0: (P, D) or (P, C, H, W)
    noise; times: (T,) in [0, 1], where t = 1 stands for the limit; offset: see ``Sweep.mse_offset``; budget_mb: working
    memory in megabytes.

    Raises ValueError for mismatched shapes, an index or time out of range, NaN or infinite values.
    """
    samples = data if isinstance(data, Samples) else Samples(data, label, device, budget_mb)
    index, x_0 = as_tensor("index", index), as_floating("x_0", x_0)
    times = check_times(times, "times").cpu()
    _check_pairs(samples, index, x_0, times, offset)
    index = index.to(samples.device)
    noise = x_0.reshape(len(index), -1)
    size = max(1, (samples.budget // 2) // (8 * samples.dim * (len(times) + 4)))
    parts = [
        _Pairs(samples, index[start : start + size], noise[start : start + size], times).result(offset)
        for start in range(0, len(index), size)
    ]
    found: dict[str, Any] = {
        name: np.concatenate([part[name] for part in parts]) if parts[0][name] is not None else None
        for name in parts[0]
    }
    return Sweep(
        times=times.numpy(),
        index=index.cpu().numpy(),
        label=np.full(len(index), -1 if label is None else int(label)),
        count=np.full(len(index), samples.distinct),
        rows=np.full(len(index), samples.count),
        dim=samples.dim,
        **found,
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
    if len(x_0) != len(index) or tuple(x_0.shape[1:]) not in (samples.shape, (samples.dim,)):
        raise ValueError(
            f"x_0 has shape {tuple(x_0.shape)}; expected ({len(index)}, {', '.join(map(str, samples.shape))})"
        )
    check_finite("x_0", x_0.flatten(1).abs().amax(1))
    if offset is not None and not (isinstance(offset, Real) and offset > 0):
        raise ValueError(f"offset is {offset!r}; expected a number above 0, or None")


class _Pairs:
    """The running sums of some pairs over the chunks of the data.

    Per time: ``peak``, the largest log-weight r, at least 0, which is that of the true sample; ``best``, the largest
    r + log m, with m the number of a sample's copies; ``total``, ``tilt`` and ``spread``, the sums of exp(r - peak), of
    exp(r - peak) (r + log m) and of exp(r - peak) q; ``reach``, the largest r_i + log |d_i|; divided by exp(reach):
    ``moved`` and ``weight``, the sums of exp(r_i) x^(i) and of exp(r_i), and ``near``, the sum of exp(r_i) d_i over
    near-duplicates. The true sample and its exact copies have r = 0 and d = 0 at all times, so they are only counted.
    """

    def __init__(self, samples, index, noise, times):
        self.samples, self.times = samples, times
        self.inner = [k for k in torch.argsort(times).tolist() if AT_PRIOR < times[k] < 1]
        self.data_point = samples.take(index).to(WIDE)
        self.noise = noise.to(samples.device, WIDE)
        self.base = samples.shifted(self.data_point)
        self.copies = torch.zeros(len(index), dtype=WIDE, device=samples.device)
        shape = (len(times), len(index))
        self.peak, self.total, self.tilt, self.spread, self.weight = self.copies.new_zeros((5, *shape))
        self.logs = None if samples.multiplicity is None else samples.multiplicity.log()
        self.best = self.copies.new_full(shape, -math.inf)
        self.reach = torch.full(shape, -math.inf, dtype=WIDE, device=samples.device)
        self.moved, self.near = {}, {}
        each = 80 * len(index) + (4 * samples.dim if samples.in_memory else 16 * samples.dim)
        for start, rows in samples.chunks(max(1, min(samples.count, samples.budget // 4 // each))):
            self._add(start, rows)

    def _add(self, start, rows):
        chunk = _Chunk(self, start, rows)
        pairs = torch.arange(len(self.base), device=self.base.device)
        waiting = []
        for k in self.inner:
            t = self.times[k].item()
            s = t / (1 - t)
            r = torch.add(chunk.a, chunk.q, alpha=-s / 2)  # over s, which is multiplied with what is next done to it
            top = r.amax(1).mul_(s)
            # r_i / s falls with s: a pair to which all samples are negligible stays so at all later times
            alive = (top > NEGLIGIBLE).nonzero()[:, 0]
            if len(alive) < len(pairs):
                pairs, r, top = pairs[alive], r[alive], top[alive]
                chunk.select(alive)
                if len(pairs) == 0:
                    break
            peak = torch.maximum(self.peak[k, pairs], top)
            weights = torch.add(-peak[:, None], r, alpha=s).clamp_(min=LEAST).exp_()
            sizes = weights * chunk.lengths
            shrink = self._add_totals(k, pairs, peak, r, s, weights, top, start)
            self.spread[k, pairs] = self.spread[k, pairs] * shrink + torch.mul(sizes, chunk.lengths, out=r).sum(1)
            largest = sizes.amax(1)
            weights = _few(weights, sizes, largest)
            shrink = self._add_near(k, pairs, peak, weights, largest, chunk)
            waiting.append((k, pairs, shrink, product_weights(weights, rows.dtype)))
            if len(waiting) * weights.numel() * 4 > self.samples.budget // 8:
                self._add_moved(waiting, chunk.centred)
                waiting = []
        self._add_moved(waiting, chunk.centred)

    def _add_totals(self, k, pairs, peak, r, s, weights, top, start):
        if self.logs is not None:
            r, s = torch.add(self.logs[start : start + r.shape[1]], r, alpha=s), 1
            top = r.amax(1)
        self.best[k, pairs] = torch.maximum(self.best[k, pairs], top)
        shrink = (self.peak[k, pairs] - peak).exp_()
        self.peak[k, pairs] = peak
        self.total[k, pairs] = self.total[k, pairs] * shrink + weights.sum(1)
        self.tilt[k, pairs] = self.tilt[k, pairs] * shrink + torch.mul(weights, r, out=r).sum(1).mul_(s)
        return shrink

    def _add_near(self, k, pairs, peak, weights, largest, chunk):
        """Raise ``reach``, scale ``weights`` to it, add the part of near-duplicates; returns the factor for old
        sums."""
        before = self.reach[k, pairs]
        reach = torch.maximum(before, peak + largest.log())
        shrink = (before - reach).exp_()
        self.reach[k, pairs] = reach
        weights *= (peak - reach).exp_()[:, None]
        near = chunk.near_sum(weights)
        if near is not None and k not in self.near:
            self.near[k] = torch.zeros_like(self.base)
        if k in self.near:
            self.near[k][pairs] = self.near[k][pairs] * shrink[:, None] + (0 if near is None else near)
        self.weight[k, pairs] = self.weight[k, pairs] * shrink + weights.sum(1)
        return shrink

    def _add_moved(self, waiting, y):
        """Add the sums of weights times x^(i) for several times; times with many weights share one matrix product."""
        if not waiting:
            return
        filled = torch.stack([weights.sign().sum() for *_, weights in waiting]).tolist()
        dense = [count > MANY * weights.numel() for count, (*_, weights) in zip(filled, waiting)]
        many = [each[3] for each, is_dense in zip(waiting, dense) if is_dense]
        products = weighted_sum(torch.cat(many), y).split([len(each) for each in many]) if many else ()
        products = iter(products)
        for (k, pairs, shrink, weights), is_dense in zip(waiting, dense):
            moved = next(products) if is_dense else _sparse_product(weights, y)
            if k in self.moved:
                moved = moved.to(WIDE).addcmul_(self.moved[k][pairs], shrink[:, None])
            if len(pairs) < len(self.base):
                whole = self.moved[k].to(WIDE) if k in self.moved else torch.zeros_like(self.base)
                moved = whole.index_copy_(0, pairs, moved.to(WIDE))
            self.moved[k] = moved

    def _variance_of_data(self):
        """Mean of |x - mean|^2 over the samples, () float64."""
        samples = self.samples
        shift = samples.mean if samples.centre is None else samples.mean - samples.centre.to(WIDE)
        return (2 * samples.half_norms.mean() - shift.square().sum()).clamp(min=0)

    def result(self, offset):
        """The arrays of a ``Sweep``, each (P, T) float64."""
        times = self.times.to(self.base.device)[:, None]
        own = self.copies.log()
        mine = self.copies * (-self.peak).exp()
        total = self.total + mine
        log_total = self.peak + total.log()
        self_weight = (own - log_total).exp()
        top1 = (torch.maximum(self.best, own) - log_total).exp()
        effective = (log_total - (self.tilt + mine * own) / total).exp()
        first, last = self.times <= AT_PRIOR, self.times == 1  # on the CPU, where they are asked for
        count, logs = self.samples.count, self.copies.new_zeros(1) if self.logs is None else self.logs
        self_weight[first], top1[first] = self.copies / count, logs.max().exp() / count
        effective[first] = count * (-logs.mean()).exp()
        self_weight[last] = top1[last] = effective[last] = 1.0

        target = self.data_point - self.noise
        length, along = torch.zeros_like(total), torch.zeros_like(total)  # means of (m - x_1)^2, of (m - x_1) u
        scale = (self.reach - log_total).clamp(min=-1e300)
        spread = self.spread / total / self.samples.dim
        bases = {WIDE: self.base, self.samples.dtype: self.base.to(self.samples.dtype)}
        for k in range(len(times)):
            if first[k]:
                moved = self.samples.mean - self.data_point
                scale[k] = 0
            elif k in self.moved:
                moved, weight = self.moved[k], self.weight[k, :, None]
                moved.addcmul_(weight.to(moved.dtype), bases[moved.dtype], value=-1)
                if k in self.near:
                    moved = moved + self.near[k]
            else:
                continue
            length[k] = torch.linalg.vector_norm(moved, dim=1).to(WIDE).square_() / self.samples.dim
            if first[k]:
                spread[k] = length[k] + self._variance_of_data() / self.samples.dim
            if offset is not None:
                along[k] = torch.linalg.vecdot(moved.to(WIDE), target) / self.samples.dim
        length[last] = 0
        rest = 1 - times
        mse = length * (2 * (scale - rest.clamp(min=1e-300).log())).exp()
        # sum_i gamma_i |x^(i) - m|^2 = sum_i gamma_i q_i - |m - x_1|^2
        variance = (spread / rest.clamp(min=1e-150).square() - mse).clamp(min=0)
        arrays = {"top1": top1, "self_weight": self_weight, "effective_samples": effective, "mse": mse}
        arrays["variance"] = variance
        arrays["mse_offset"] = None
        if offset is not None:
            # (m - x_t) / (1 - t + offset) - u = ((m - x_1) - offset u) / (1 - t + offset)
            size = scale.exp()
            squares = size**2 * length - 2 * offset * size * along + offset**2 * target.square().mean(1)
            arrays["mse_offset"] = squares / (rest + offset) ** 2
        return {name: None if array is None else array.T.cpu().numpy() for name, array in arrays.items()}


class _Chunk:
    """A chunk of samples relative to the pairs: a_i, q_i, |d_i|, each (P, n) float64, and its near-duplicates."""

    def __init__(self, pairs, start, rows):
        samples, base, noise = pairs.samples, pairs.base, pairs.noise
        self.rows, self.samples, self.data_point = rows, samples, pairs.data_point
        self.centred = samples.centred(start, rows)
        both = torch.cat([base, noise])
        products = torch.empty(len(both), len(rows), dtype=WIDE, device=rows.device)
        for first, wide in samples.wide_blocks(0, rows, samples.centre):
            products[:, first : first + len(wide)] = both @ wide.T
        gram, self.a = products[: len(base)], products[len(base) :]
        self.a -= torch.linalg.vecdot(noise, base)[:, None]
        norms = torch.linalg.vecdot(base, base)[:, None] + 2 * samples.half_norms[start : start + len(rows)]
        self.q = norms - 2 * gram
        self.near = (self.q < NEAR_DUPLICATE * norms).nonzero()
        for part in self.samples.pairs(len(self.near)):
            pair, row = self.near[part].T
            difference = rows[row].to(WIDE) - self.data_point[pair]
            self.q[pair, row] = difference.square().sum(1)
            self.a[pair, row] = (difference * noise[pair]).sum(1)
        copies = self.q == 0
        pairs.copies += copies.sum(1)
        self.near = self.near[~copies[self.near[:, 0], self.near[:, 1]]]
        self.lengths = self.q.sqrt()
        self.q.masked_fill_(copies, FAR)

    def select(self, alive):
        """Keep only the pairs at the positions ``alive``."""
        if len(self.near):
            position = torch.full((len(self.a),), -1, device=alive.device)
            position[alive] = torch.arange(len(alive), device=alive.device)
            pair, row = position[self.near[:, 0]], self.near[:, 1]
            self.near = torch.stack([pair, row], 1)[pair >= 0]
        self.a, self.q, self.lengths = self.a[alive], self.q[alive], self.lengths[alive]
        self.data_point = self.data_point[alive]

    def near_sum(self, weights):
        """Sum of ``weights`` times d_i over near-duplicates, (P, D) by float64 differences; None if there are none.

        Their ``weights`` are set to zero: in float32 sums of x^(i) their differences would be lost.
        """
        if len(self.near) == 0:
            return None
        pair, row = self.near.T
        weight = weights[pair, row]
        weights[pair, row] = 0
        pair, row, weight = pair[weight > 0], row[weight > 0], weight[weight > 0]
        if len(pair) == 0:
            return None
        moved = torch.zeros_like(self.data_point)
        for part in self.samples.pairs(len(pair)):
            difference = self.rows[row[part]].to(WIDE) - self.data_point[pair[part]]
            moved.index_add_(0, pair[part], weight[part, None] * difference)
        return moved


def _few(weights, sizes, largest):
    """``weights`` (P, n), with the smallest of each pair set to zero, up to the share ``DROPPED`` of the sum of
    ``sizes``.

    None is dropped if so many would be left that a matrix product is as fast. largest: (P,) of ``sizes``, which are
    overwritten. A pair's weights below a level are dropped; the level is found by bisection of its logarithm.
    """
    sizes = sizes.div_(largest[:, None]).float()
    above = torch.empty_like(sizes)  # 1 or 0: comparisons that give booleans take four times as long
    if torch.gt(sizes, MOST_DROPPED, out=above).sum() > MANY * sizes.numel():
        return weights
    allowed = DROPPED * sizes.sum(1, keepdim=True)
    # all sizes below DROPPED / n of the largest may be dropped
    low, high = (torch.full_like(allowed, math.log(level)) for level in (DROPPED / sizes.shape[1], MOST_DROPPED))
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        fits = torch.lt(sizes, middle.exp(), out=above).mul_(sizes).sum(1, keepdim=True) <= allowed
        low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
    return weights.mul_(torch.ge(sizes, low.exp(), out=above))


def _sparse_product(weights, y):
    """``weights @ y`` row by row over the weights that are not zero."""
    filled = weights != 0
    each, (row, column) = filled.sum(1), filled.nonzero().unbind(1)
    return torch.nn.functional.embedding_bag(
        column, y, offsets=each.cumsum(0) - each, per_sample_weights=weights[row, column], mode="sum"
    )
