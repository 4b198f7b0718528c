"""The oracle velocity of a finite data set (Theorem 2.1 of the paper), exact at every t.

    u*(x_t, t) = (m(x_t, t) - x_t) / (1 - t),        m = sum_i gamma_i x^(i)   (the posterior mean)
    gamma = softmax_i( -||x_t - t x^(i)||^2 / (2 (1 - t)^2) )

The squared distances come from one matrix product in the precision of the data. For the few samples whose posterior
weight its rounding could change, they are computed again in float64: by their product where that is exact enough,
otherwise by direct differences. Sums over the samples are sums of differences ``x^(i) - x_t``, over chunks with a
running log-sum-exp, so that memory does not grow with N.

On another Gaussian path the same is computed at the same s = alpha / sigma (``twostage.oracle.places``); derivatives by
x_t are sums of the same kind (``twostage.oracle.derivatives``).
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import TypeAlias

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from twostage.arguments import Array, as_floating, as_labels, as_tensor
from twostage.data.latents import LatentStore
from twostage.oracle.derivatives import Answer, LogDensity, jacobian_product, jacobian_trace, log_evidence
from twostage.oracle.places import Place, Where
from twostage.oracle.points import Points
from twostage.oracle.products import inner_products, row_products, weighted_sum
from twostage.oracle.samples import WIDE, Samples, as_times, check_finite, one_each, product_weights
from twostage.paths import RECTIFIED, Path

TOLERANCE = 1e-6  # absolute error of a posterior weight; above it, its squared distance is computed again
ALONE = 1e-9  # sum of all other weights, of the largest, below which the velocity is that to one sample
FEW = 1 / 1024  # share of a part's weights; differences to so few samples, or to four, take no time beside a product
CLEAR = 1e-4  # bound of a logit's error, ten times what it usually is, that derivatives allow

Labels: TypeAlias = int | Int[Array, ""] | Int[Array, " #batch"]  # one for all samples, or one per sample


class Oracle:
    """The exact posterior over a data set, and the velocity that it implies.

    data: (N, D) or (N, C, H, W) floating tensor or array; or a LatentStore, which is streamed if it is larger than half
    the budget; or ``Samples``, which bring all that follows; label: the class of a store to use (None: all samples);
    device: where to compute (None: where the data are); budget_mb: working memory in megabytes, beyond data that are
    already in memory; path: the Gaussian path whose states, times and velocities these are.

    In all methods x_t is (B, D) or (B, C, H, W), B >= 1, and t a float or (B,) on the path, in [0, 1] on the rectified
    one; or, except for velocities, a pair (alpha, sigma) of such numbers: ``x_t = alpha x_1 + sigma x_0``, whatever the
    path. float64 x_t keep their precision. NumPy arrays are accepted like tensors; results are tensors. Means,
    velocities, noise, score and log-density are differentiable in x_t by ``torch.autograd``. Raises ValueError for
    empty, integer, NaN or infinite data and states, for times outside of the path, for times that require a gradient,
    for shapes that differ, and for a device that is not there.

    >>> oracle = Oracle(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))
    >>> x_t = torch.tensor([[0.5, 0.0]])
    >>> oracle.log_weights(x_t, 0.5).exp()
    tensor([[0.1192, 0.8808]], dtype=torch.float64)
    >>> oracle.posterior_mean(x_t, 0.5)
    tensor([[0.7616, 0.0000]])
    >>> oracle.velocity(x_t, 0.5)  # (m - x_t) / (1 - t)
    tensor([[0.5232, 0.0000]])
    >>> oracle.score(x_t, (1.0, 2.0))  # (m - x_t) / sigma^2 of x_t = x_1 + 2 x_0
    tensor([[-0.0939,  0.0000]])
    >>> from twostage.flow import edm
    >>> Oracle(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), path=edm()).velocity(x_t, 2.0)  # (x_t - m) / sigma
    tensor([[0.1878, 0.0000]])
    """

    def __init__(
        self,
        data: Float[Array, " n *shape"] | LatentStore | Samples,
        label: int | None = None,
        device: str | torch.device | None = None,
        budget_mb: float = 1024,
        path: Path = RECTIFIED,
    ) -> None:
        self.samples = data if isinstance(data, Samples) else Samples(data, label, device, budget_mb)
        self.path = path

    def log_weights(self, x_t: Float[Array, " batch *shape"], t: Where) -> Float64[Tensor, "batch n"]:
        """Logarithm of the posterior weights gamma, (B, N) float64; rows sum to one after exp. Without derivatives.

        alpha = 0 (rectified: t = 0): uniform. sigma = 0 (t = 1): the limit, shared equally by the samples nearest to
        x_t (-inf elsewhere).
        """
        place = self._place(x_t, t)
        x_t = place.point
        [points] = self._points(place, len(x_t), to_end=False)
        logits = torch.empty(len(x_t), self.samples.count, dtype=WIDE, device=points.t.device)
        level: Tensor | None = None
        for start, rows in self.samples.chunks(self._chunk(len(x_t))):
            part = self._part(points, start, rows, level)
            logits[:, start : start + len(rows)] = part.logits
            level = part.peak if level is None else torch.maximum(level, part.peak)
        assert level is not None
        if points.at_end:
            logits = torch.where(points.last, torch.where(logits < level, -math.inf, 0.0), logits)
        return logits - logits.logsumexp(1, keepdim=True)

    def posterior_mean(self, x_t: Float[Array, " batch *shape"], t: Where) -> Float[Tensor, " batch *shape"]:
        """The posterior mean m = sum_i gamma_i x^(i), in shape and dtype like x_t.

        alpha = 0: the mean of the data. sigma = 0: the nearest sample, or the mean of those that are equally near.
        """
        return self._answer("data", x_t, t)

    def velocity(self, x_t: Float[Array, " batch *shape"], t: Where) -> Float[Tensor, " batch *shape"]:
        """The oracle velocity ``alpha' m + sigma' E[x_0 | x_t]`` of the path, in shape and dtype like x_t.

        On the rectified path u* = (m - x_t) / (1 - t). Raises ValueError where sigma is 0 (t = 1), where u* depends on
        the path that led to x_t.
        """
        return self._answer("velocity", x_t, t)

    def noise(self, x_t: Float[Array, " batch *shape"], t: Where) -> Float[Tensor, " batch *shape"]:
        """The mean noise E[x_0 | x_t] = (x_t - alpha m) / sigma, like x_t. Raises ValueError where sigma is 0."""
        return self._answer("noise", x_t, t)

    def score(self, x_t: Float[Array, " batch *shape"], t: Where) -> Float[Tensor, " batch *shape"]:
        """The score, the gradient of ``log_density``: -E[x_0 | x_t] / sigma (Tweedie's formula), like x_t."""
        return self._answer("score", x_t, t)

    def log_density(self, x_t: Float[Array, " batch *shape"], t: Where) -> Float64[Tensor, " batch"]:
        """log p(x_t), (B,) float64, p the mean over the samples of the normal densities N(alpha x^(i), sigma^2).

        Twice differentiable in x_t. Raises ValueError where sigma is 0.
        """
        x_t = as_floating("x_t", x_t)
        return LogDensity.apply(x_t, self, t) if torch.is_grad_enabled() else self._log_density(x_t, t)

    def posterior_mean_jvp(
        self, x_t: Float[Array, " batch *shape"], t: Where, along: Float[Array, " batch *shape"]
    ) -> Float[Tensor, " batch *shape"]:
        """The Jacobian of the posterior mean by x_t, times directions ``along`` like x_t: alpha / sigma^2 Cov v.

        Cov is the posterior's covariance, so that the Jacobian is symmetric and this is the vector-Jacobian product
        too. Costs 1.3 to 2.4 times a velocity (docs/benchmarks.md). Raises ValueError where sigma is 0.

        >>> oracle = Oracle(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))
        >>> oracle.posterior_mean_jvp(torch.zeros(1, 2), 0.5, torch.ones(1, 2))  # alpha / sigma^2 = 2, Cov = diag(1, 0)
        tensor([[2., 0.]])
        """
        return self._product("data", x_t, t, along)

    def velocity_jvp(
        self, x_t: Float[Array, " batch *shape"], t: Where, along: Float[Array, " batch *shape"]
    ) -> Float[Tensor, " batch *shape"]:
        """The Jacobian of the velocity by x_t, times directions ``along`` like x_t.

        Symmetric, as that of the posterior mean: the vector-Jacobian product too.
        """
        return self._product("velocity", x_t, t, along)

    posterior_mean_vjp, velocity_vjp = posterior_mean_jvp, velocity_jvp

    def divergence(self, x_t: Float[Array, " batch *shape"], t: Where) -> Float64[Tensor, " batch"]:
        """The divergence of the velocity, the trace of its Jacobian, exactly: (B,) float64. No derivatives of it.

        On the rectified path (t / (1 - t)^2 trace Cov - D) / (1 - t).
        """
        place = self._place(x_t, t)
        a, b = place.terms("velocity")
        trace = torch.cat([jacobian_trace(self, points) for points in self._points(place)])
        return a * self.samples.dim + b / place.scales[2] * (trace - self.samples.dim)

    def part_of_velocity(
        self, x_t: Float[Array, " batch *shape"], t: Where, known: Float64[Tensor, " batch"] | None = None
    ) -> tuple[Float[Tensor, " batch *shape"], Float64[Tensor, " batch"]]:
        """The part of these samples in the oracle velocity of a larger data set: (velocity like x_t, log-evidence).

        The log-evidence, (B,) float64, is log sum_i exp(-|x_t - alpha x^(i)|^2 / (2 sigma^2)). The velocity over
        several data sets together is the mean of their velocities, weighted by the softmax of their log-evidences.
        known: a log-evidence that the larger data set is known to have at least, such as that of one sample: weights
        that sum to less than ``ALONE`` of it may be left out. Without derivatives. Raises ValueError as ``velocity``.
        """
        place = self._place(x_t, t)
        terms = self._terms(place, "velocity")
        known = one_each("known", as_tensor("known", -math.inf if known is None else known), len(place.x)).to(place.t)
        found, peak, total = self._displacements(place, known=known)
        return self._in_path(place, terms, found), (peak + total.log())[:, 0]

    def _answer(self, kind, x_t, t):
        x_t = as_floating("x_t", x_t)
        return Answer.apply(x_t, self, kind, t) if torch.is_grad_enabled() else self._value(kind, x_t, t)

    def _value(self, kind, x_t, t):
        """The mean data, noise, score or velocity, like x_t."""
        place = self._place(x_t, t)
        if kind == "data":
            moved = self._displacements(place, to_end=False)[0]
            mean = place.over(place.point).reshape(moved.shape) + moved
            return mean.reshape(place.x.shape).to(place.x)
        terms = self._terms(place, kind)  # before the work: there may be no velocity
        return self._in_path(place, terms, self._displacements(place)[0])

    def _terms(self, place, kind):
        """``Place.terms``; None for what the sums are already."""
        return None if place.plain and kind == "velocity" else place.terms(kind)

    def _in_path(self, place, terms, found):
        """The velocity of the rectified path (B, D) in the terms of another kind or path, like x_t."""
        found = found.reshape(place.x.shape)
        if terms is None:
            return found.to(place.x)
        a, b = terms
        return (place.over(place.x) * place.column(a) + place.column(b * place.rest) * found).to(place.x)

    def _product(self, kind, x_t, t, along):
        """The Jacobian of ``_value`` times ``along``, like x_t."""
        place, along = self._place(x_t, t), as_floating("along", along)
        if along.shape != place.x.shape:
            raise ValueError(f"along has shape {tuple(along.shape)}; expected {tuple(place.x.shape)}, that of x_t")
        a, b = place.terms(kind)
        along = place.over(along)
        check_finite("along", along.flatten(1).abs().amax(1))
        own = along.reshape(len(along), -1)
        size = self._size(192)
        product = torch.cat(
            [jacobian_product(self, points, v) for points, v in zip(self._points(place, size), own.split(size))]
        ).reshape(along.shape)
        return ((product - along) * place.column(b / place.scales[2]) + along * place.column(a)).to(place.x)

    def _log_density(self, x_t, t):
        place, samples = self._place(x_t, t), self.samples
        evidence = torch.cat([log_evidence(self, points) for points in self._points(place)])
        normal = samples.dim * (place.scales[1].log() + math.log(2 * math.pi) / 2)
        return evidence - normal - math.log(samples.count)

    def _place(self, x_t, t):
        """The ``Place`` of x_t; ``Points`` checks its values."""
        samples = self.samples
        x_t = as_floating("x_t", x_t)
        if x_t.ndim < 2 or tuple(x_t.shape[1:]) not in (samples.shape, (samples.dim,)) or len(x_t) == 0:
            raise ValueError(
                f"x_t has shape {tuple(x_t.shape)}; expected (B, {', '.join(map(str, samples.shape))}), B >= 1"
            )
        return Place(self.path, x_t, t, samples.device)

    def _chunk(self, batch):
        """Samples per chunk, by the memory of one sample: its logits and, when it is streamed, the sample read
        ahead."""
        samples = self.samples
        each = 48 * batch + (0 if samples.in_memory else 20 * samples.dim)
        # doubtful weights of a point are counted in float32, which is exact up to 2^24
        return max(1, min(samples.count, (samples.budget - 40 * batch * samples.dim) // each, 1 << 24))

    def _size(self, each=96):
        """Points at a time that the budget allows, by the bytes of one of their numbers."""
        return max(1, self.samples.budget // (each * self.samples.dim))

    def _points(self, place, size=None, to_end=True):
        """Yield the ``Points`` of a place, ``size`` at a time."""
        size = size or self._size()
        times = place.t.split(size)
        rests = [None] * len(times) if place.plain else place.rest.split(size)
        for x, t, rest in zip(place.point.split(size), times, rests):
            yield Points(self.samples, x, t, rest, to_end)

    def _displacements(self, place, to_end=True, known=None):
        """``_displacement`` of as many points at a time as the budget allows; to_end: divided by 1 - t."""
        levels = [None] * len(place.t) if known is None else known[:, None].split(self._size())
        points = self._points(place, to_end=to_end)
        found = [self._displacement(some, level) for some, level in zip(points, levels)]
        return found[0] if len(found) == 1 else tuple(torch.cat(each) for each in zip(*found))

    def _displacement(self, points, known):
        """(m - x_t) / (1 - t), (B, D), and the two parts of the log-evidence ``peak + log total``, (B, 1) float64, by a
        running log-sum-exp over the chunks.

        In float64, or in float32 where both the samples and the points are. Undivided where the points may be at t = 1.
        known: (B, 1), see ``part_of_velocity``; None where the samples are the whole data set, so that the evidence
        need not be exact.
        """
        peak = total = moved = None
        for start, rows in self.samples.chunks(self._chunk(len(points.t))):
            level = None if moved is None else peak + total.log()
            part = self._part(points, start, rows, level, known)
            here = self._moved(points, start, rows, part)
            if moved is None:
                peak, total, moved = part.peak, part.total, here
                continue
            before, peak = peak, torch.maximum(peak, part.peak)
            keep, add = points.weights(before - peak, WIDE), points.weights(part.peak - peak, WIDE)
            total, moved = total * keep + part.total * add, moved.to(WIDE).mul_(keep)
            for some in self.samples.pairs(len(moved)):  # few at a time need no other memory of this size
                moved[some].addcmul_(here[some].to(WIDE), add[some])
        # a division of all numbers takes three times as long, a float64 factor of float32 numbers more
        moved *= (total * points.divisor).reciprocal_().to(moved.dtype)
        if points.at_prior:
            away = (self.samples.mean - points.x) / points.divisor
            moved = torch.where(points.t == 0, away, moved)
        return moved, peak, total

    def _moved(self, points, start, rows, part):
        """Sum of the weights times ``x^(i) - x_t``, (B, D): near the data by float64 differences, otherwise by a
        product.

        If for each point one sample outweighs all others together, the sum is the difference to that sample.
        """
        if part.alone:
            everyone = torch.arange(len(points.t), device=rows.device)
            return self._paired(rows, everyone, part.logits.argmax(1)) - points.given
        (row, column), weights, total, near = part.near, part.weights, part.total, None
        if part.many is not None:
            near = self._near(points, rows, row, column, weights[row, column])
            if len(part.many):
                sums = self._sum(weights[part.many], start, rows)
                near.index_add_(0, part.many, _about(points.base[part.many], sums, total[part.many]).to(WIDE))
            return near
        if len(row):
            # their weights leave the product, which in float32 would lose the differences
            near = self._near(points, rows, row, column, weights[row, column])
            weights[row, column] = 0
            weights = product_weights(weights, rows.dtype)
            total = weights.sum(1, keepdim=True, dtype=WIDE)
            # on a GPU, multiplying zeros is faster than telling the host that they are zeros
            if weights.device.type == "cpu" and not weights.any():
                return near
        moved = _about(points.base, self._sum(weights.to(rows.dtype), start, rows), total)
        return moved if near is None else moved.to(WIDE).add_(near)

    def _near(self, points, rows, row, column, weight):
        """Sum of the weights (k,) of pairs times ``x^(i) - x_t``, (B, D), by differences in float64."""
        near = torch.zeros_like(points.given, dtype=WIDE)
        for some in self.samples.pairs(len(row)):
            difference = self._paired(rows, row[some], column[some]).to(WIDE)
            difference.sub_(points.given.index_select(0, row[some]))
            near.index_add_(0, row[some], difference.mul_(weight[some, None]))
        return near

    def _part(self, points, start, rows, level, known=None, reach=None):
        """The logits -|x_t - t x^(i)|^2 / (2 (1 - t)^2) of a chunk, and what is made of them: a ``_Part``.

        level: (B, 1) log of the sum of exp of the logits so far (None: this chunk is the first); known: see
        ``_displacement``; reach: (B, 1) what a weight of 1 could add to the Jacobian of the mean, which then says which
        weights are in doubt. At t = 1 the squared distance is not divided, which orders the samples as the limit does.

        Each small operation between the two products takes as long as a thousandth of them, so there are few of them.
        """
        samples = self.samples
        products, logits = self._logits(points, start, rows)
        error = self._product_error(products, points)
        peak = logits.amax(1, keepdim=True)
        gaps = (logits - peak).to(rows.dtype)
        weights = points.weights(gaps, rows.dtype)
        total = weights.sum(1, keepdim=True, dtype=WIDE)
        log_total = total.log()

        # a weight is in doubt if the error of its logit could change it by more than the tolerance
        if reach is None:
            doubt = error / TOLERANCE
        else:  # relative to the Jacobian, or to 1 if that is more, an error adds no more than itself
            doubt = torch.where(error > CLEAR, error * reach / CLEAR, 0.0)
        above = log_total  # log of all weights so far
        if level is not None:
            above = torch.logaddexp(level - peak, above)
        if known is not None:
            above = torch.maximum(known - peak, above)
        least = torch.sub(above - torch.maximum(doubt, points.sure).log(), error, alpha=2)
        # as numbers: comparisons that give booleans, and sums of those, take four times as long
        doubtful = torch.gt(gaps, least.to(gaps.dtype), out=gaps)
        count, again, alone = doubtful.sum(1, keepdim=True), None, torch.zeros_like(peak)
        if known is None and reach is None and logits.shape[1] == samples.count:
            # but one sample that outweighs all others has weight 1, whatever its logit
            settled = log_total * doubt.clamp(2, 1e9) < 2 - count
            again, alone = points.near >= settled, settled & (total < 1 + ALONE)
            count = count * again
        few = None if known is None else _Few(weights, above)
        pairs, near, coarse, alone, *of_few = points.read(
            count, count * points.near, count * (error > 1), alone, *(() if few is None else few.columns)
        )
        fine, everyone = not (near or coarse or points.at_end), len(peak)
        if few is not None and fine and of_few[0] < everyone:
            places, many = few.places(*of_few)
        else:
            places, many = torch.empty(2, 0, dtype=torch.int64, device=logits.device), None
        if (pairs == 0 or alone == everyone) and not points.at_end:
            return _Part(logits, peak, weights, total, places, many, alone=alone == everyone)

        if again is not None:
            doubtful *= again.to(doubtful.dtype)
        column, row = doubtful.T.nonzero_static(size=pairs).T  # on a CPU it lies in this order
        # a float32 product puts fine logits wrong by 1 at most, so one in float64 by 2^-29; none is wider than float64
        if fine and points.narrow is points.given and rows.dtype != WIDE:
            exact = self._by_products(points, rows, row, column).sub_(products[row, column])
            exact.mul_(points.kappa[:, 0].index_select(0, row)).add_(logits[row, column])
        else:
            exact = self._by_differences(points, rows, row, column)
        logits[row, column] = exact
        if fine:  # the peaks are hardly moved: only the pairs' own weights
            before, after = weights[row, column], (exact - peak[:, 0].index_select(0, row)).exp_().to(rows.dtype)
            weights[row, column] = after
            total.index_add_(0, row, (after.to(WIDE) - before)[:, None])
            return _Part(logits, peak, weights, total, places, many)
        peak = logits.amax(1, keepdim=True)
        weights = points.weights(logits - peak, WIDE if near else rows.dtype)
        total = weights.sum(1, keepdim=True, dtype=WIDE)
        chosen = points.near[row, 0].nonzero_static(size=near)[:, 0]
        return _Part(logits, peak, weights, total, torch.stack([row[chosen], column[chosen]]))

    def _by_products(self, points, rows, row, column):
        """The inner products of pairs (k,) in float64, (k,); where no centre is subtracted."""
        products = torch.empty(len(row), dtype=WIDE, device=row.device)
        for start in range(0, len(row), len(points.t)):  # as many at a time as there are points
            some = slice(start, start + len(points.t))
            queries = points.narrow.index_select(0, row[some])
            products[some] = row_products(queries, self._paired(rows, row[some], column[some]))
        return products

    def _by_differences(self, points, rows, row, column):
        """The logits of pairs (k,) by differences in float64, (k,)."""
        time, exact = points.t[row], torch.empty(len(row), dtype=WIDE, device=row.device)
        for some in self.samples.pairs(len(row)):
            difference = self._paired(rows, row[some], column[some]).to(WIDE).mul_(time[some])
            difference.sub_(points.given.index_select(0, row[some]))
            torch.linalg.vector_norm(difference, dim=1, out=exact[some])
        return exact.square_().mul_(points.scale[row, 0] / -2)

    def _logits(self, points, start, rows):
        """Inner products (B, n) of the queries with a chunk about the centre, and the logits (B, n) float64 from
        them."""
        products = inner_products(points.narrow, self.samples.centred(start, rows))
        logits = products.to(WIDE, copy=True).mul_(points.kappa)
        return products, logits.addmm_(points.own, self.samples.terms[:, start : start + len(rows)])

    def _sum(self, weights, start, rows):
        """The weights (B, n) times a chunk about the centre, (B, D)."""
        return weighted_sum(weights, self.samples.centred(start, rows))

    def _paired(self, rows, row, column):
        """The samples of pairs (point, sample), (k, D): those at ``column`` (k,) of a chunk, for points ``row``
        (k,)."""
        return rows.index_select(0, column)

    def _product_error(self, products, points):
        """Upper estimate of the rounding error of a logit, (B, 1), from terms of random and of equal sign."""
        unit = torch.finfo(products.dtype).eps / 2
        random = points.square.sqrt() * (unit * self.samples.longest * (0.25 + 16 / math.sqrt(self.samples.dim)))
        largest = torch.maximum(products.amin(1, keepdim=True).neg_(), products.amax(1, keepdim=True))
        return random.add_(largest, alpha=8 * unit).mul_(points.kappa)


def _about(base, sums, total):
    """Sums of weights times samples (B, D), overwritten, as those of weights times differences to ``base`` (B, D).

    total: (B, 1) of the weights. A product that began with ``-total base`` would round it at each of its steps.
    """
    sums = sums.to(torch.promote_types(sums.dtype, base.dtype))
    return sums.addcmul_(base, total.to(sums.dtype), value=-1)


@dataclasses.dataclass
class _Part:
    """A chunk's logits (B, n), the largest (B, 1), ``weights`` exp(logits - peak), and their sum ``total`` (B, 1).

    near: (2, p) rows and columns near the data that were taken again by differences. All float64, positions int64;
    ``weights`` in the dtype of the samples where none is near the data. many: (m,) rows of many weights, where near are
    all that count of the others' (None: ``near`` is as said). alone: whether in each row one weight is 1 and all
    others, together, below rounding.
    """

    logits: torch.Tensor
    peak: torch.Tensor
    weights: torch.Tensor
    total: torch.Tensor
    near: torch.Tensor
    many: torch.Tensor | None = None
    alone: bool = False


class _Few:
    """Which points have few ``weights`` (B, n) that count in a larger data set, and which these are.

    above: (B, 1) log of what all weights there sum to at least. Those left out of a row sum to less than ``ALONE`` of
    it. columns: (B, 1) each, whether a row has many, and how many weights of another count, for the host to sum.
    """

    def __init__(self, weights, above):
        least = (above.exp() * (ALONE / weights.shape[1])).to(weights.dtype)
        self.counting = torch.gt(weights, least, out=torch.empty_like(weights))
        each = self.counting.sum(1, keepdim=True)
        self.few = (each <= max(4, FEW * weights.shape[1])).to(each.dtype)
        self.columns = 1 - self.few, each * self.few

    def places(self, many, count):
        """Rows and columns (2, count) of the few, and the rows of the ``many``, (many,)."""
        places = self.counting.mul_(self.few).nonzero_static(size=count).T
        return places, (self.few[:, 0] == 0).nonzero_static(size=many)[:, 0]


class ClassOracle:
    """The class-conditional oracle: for each row, ``Oracle`` over the samples of the row's class.

    data: (N, D) or (N, C, H, W) tensor or array with labels (N,) integers, or a LatentStore, which has its own labels.
    The samples of the classes that were used last are kept in memory, within ``budget_mb``. path: as for ``Oracle``,
    and so are times and derivatives.

    >>> data, labels = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0]]), torch.tensor([0, 0, 1])
    >>> oracle = ClassOracle(data, labels)
    >>> oracle.velocity(torch.zeros(2, 2), 0.0, torch.tensor([0, 1]))  # towards the class's mean
    tensor([[1., 0.],
            [0., 4.]])
    """

    def __init__(
        self,
        data: Float[Array, " n *shape"] | LatentStore,
        labels: Int[Array, " n"] | Sequence[int] | None = None,
        device: str | torch.device | None = None,
        budget_mb: float = 1024,
        path: Path = RECTIFIED,
    ) -> None:
        stored = hasattr(data, "batches")
        if stored != (labels is None):
            raise ValueError("labels go with a tensor, one per sample; a LatentStore has its own (labels=None)")
        data = data if stored else as_floating("the data", data)
        self.labels = as_tensor("labels", getattr(data, "labels", labels))
        whole = self.labels.dtype != torch.bool and not self.labels.is_floating_point()
        if not whole or self.labels.ndim != 1 or (not stored and len(self.labels) != len(data)):
            got = f"dtype {self.labels.dtype} and shape {tuple(self.labels.shape)}"
            raise ValueError(f"labels have {got}; expected ({len(data)},) integers")
        self._data, self._device, self._budget_mb, self.path = data, device, budget_mb, path
        self._oracles: dict[int, Oracle] = {}

    def oracle(self, label: int | Int[Array, "..."]) -> Oracle:
        """The ``Oracle`` of one class. Raises ValueError for a label that no sample has."""
        label = as_labels("label", label)
        if label.numel() != 1:
            raise ValueError(f"label has shape {tuple(label.shape)}; expected one label")
        label = int(label)
        # least recently used first
        found = self._oracles.pop(label, None) or Oracle(self.samples(label), path=self.path)
        self._oracles[label] = found
        while (
            len(self._oracles) > 1 and sum(each.samples.held for each in self._oracles.values()) > found.samples.budget
        ):
            self._oracles.pop(next(iter(self._oracles)))
        return found

    def samples(self, label: int) -> Samples:
        """The ``Samples`` of one class, which are not kept. Raises ValueError for a label that no sample has."""
        members = (self.labels == label).nonzero()[:, 0]
        if len(members) == 0:
            raise ValueError(f"label {label} has no samples; expected one of {_short(self.labels.unique().tolist())}")
        if hasattr(self._data, "batches"):
            return Samples(self._data, label, self._device, self._budget_mb)
        first, last = int(members[0]), int(members[-1])
        part = slice(first, last + 1) if last - first + 1 == len(members) else members.to(self._data.device)
        return Samples(self._data[part], None, self._device, self._budget_mb)

    def velocity(self, x_t: Float[Array, " batch *shape"], t: Where, y: Labels) -> Float[Tensor, " batch *shape"]:
        """The class-conditional oracle velocity, in shape and dtype like x_t; y: (B,) integer labels, or one for
        all."""
        return self._each("velocity", x_t, t, y)

    def posterior_mean(self, x_t: Float[Array, " batch *shape"], t: Where, y: Labels) -> Float[Tensor, " batch *shape"]:
        """The class-conditional posterior mean, in shape and dtype like x_t."""
        return self._each("posterior_mean", x_t, t, y)

    def noise(self, x_t: Float[Array, " batch *shape"], t: Where, y: Labels) -> Float[Tensor, " batch *shape"]:
        """The class-conditional mean noise, in shape and dtype like x_t."""
        return self._each("noise", x_t, t, y)

    def score(self, x_t: Float[Array, " batch *shape"], t: Where, y: Labels) -> Float[Tensor, " batch *shape"]:
        """The class-conditional score, in shape and dtype like x_t."""
        return self._each("score", x_t, t, y)

    def log_density(self, x_t: Float[Array, " batch *shape"], t: Where, y: Labels) -> Float64[Tensor, " batch"]:
        """log p(x_t | y), (B,) float64."""
        return self._each("log_density", x_t, t, y)

    def posterior_mean_jvp(
        self, x_t: Float[Array, " batch *shape"], t: Where, along: Float[Array, " batch *shape"], y: Labels
    ) -> Float[Tensor, " batch *shape"]:
        """The Jacobian of the class-conditional posterior mean, which is symmetric, times directions, like x_t."""
        return self._each("posterior_mean_jvp", x_t, t, y, along)

    def velocity_jvp(
        self, x_t: Float[Array, " batch *shape"], t: Where, along: Float[Array, " batch *shape"], y: Labels
    ) -> Float[Tensor, " batch *shape"]:
        """The Jacobian of the class-conditional velocity, which is symmetric, times directions, like x_t."""
        return self._each("velocity_jvp", x_t, t, y, along)

    posterior_mean_vjp, velocity_vjp = posterior_mean_jvp, velocity_jvp

    def divergence(self, x_t: Float[Array, " batch *shape"], t: Where, y: Labels) -> Float64[Tensor, " batch"]:
        """The divergence of the class-conditional velocity, (B,) float64."""
        return self._each("divergence", x_t, t, y)

    def _each(self, method, x_t, t, y, *others):
        x_t = as_floating("x_t", x_t)
        if x_t.ndim < 2 or len(x_t) == 0:
            raise ValueError(f"x_t has shape {tuple(x_t.shape)}; expected (B, ...), B >= 1")
        others = [as_floating("along", other) for other in others]
        for other in others:
            if other.shape != x_t.shape:
                raise ValueError(f"along has shape {tuple(other.shape)}; expected {tuple(x_t.shape)}, that of x_t")
        y, times = one_each("y", as_labels("y", y).cpu(), len(x_t)), t if isinstance(t, tuple) else (t,)
        times = [one_each("t", as_times(each), len(x_t)) for each in times]
        result = None
        for label in y.unique().tolist():
            members = (y == label).nonzero()[:, 0]
            rows = members.to(x_t.device, non_blocking=True)
            at = tuple(each[members.to(each.device, non_blocking=True)] for each in times)
            along = [other[members.to(other.device)] for other in others]
            answer = getattr(self.oracle(label), method)(x_t[rows], at if isinstance(t, tuple) else at[0], *along)
            if result is None:
                dtype = x_t.dtype if answer.ndim > 1 else answer.dtype
                result = torch.empty(len(x_t), *answer.shape[1:], dtype=dtype, device=x_t.device)
            result[rows] = answer.to(x_t.device)
        return result


def _short(values, most=10):
    shown = ", ".join(map(str, values[:most]))
    return f"[{shown}, ...]" if len(values) > most else f"[{shown}]"
