"""Derivatives of an oracle by x_t: products with its Jacobian, the trace, and what ``torch.autograd`` calls.

On the rectified path the posterior mean has the Jacobian ``K = t / (1 - t)^2 Cov(x^(i))``, with the covariance of the
samples under the posterior weights (the second-order Tweedie formula). It is symmetric, so one product serves forward
and backward. With the slopes ``a_i = <x^(i) - x_t, v>`` and their mean,

    Cov v = sum_i gamma_i (a_i - mean a) (x^(i) - x_t),        trace Cov = sum_i gamma_i |x^(i) - r|^2 - |m - r|^2

The first is a sum of differences like the velocity, with other weights, and the oracle computes it in the same way;
deviations from the mean sum to zero, so that m itself is not needed. Chunks are joined by the means of each.
"""

import dataclasses
from typing import Any

import torch

from twostage.oracle.products import inner_products
from twostage.oracle.samples import SMALLEST, WIDE

IDLE = 1e-7  # of K: below it the posterior is one sample, and K is 0


def jacobian_product(oracle, points, along):
    """K v of directions ``along`` (B, D) float64: (B, D) float64."""
    length = torch.linalg.vector_norm(along, dim=1, keepdim=True)
    unit = along / torch.where(length > 0, length, 1.0)
    kappa, sums = points.kappa, None
    for start, rows, part in _parts(oracle, points):
        several = len(rows) < oracle.samples.count
        if not several and _idle(oracle, points, part):
            return torch.zeros_like(along)
        slopes = _slopes(oracle, points, start, rows, part, unit)
        weights = part.weights.to(WIDE)
        slope = (weights * slopes).sum(1, keepdim=True) / part.total
        weights = torch.nn.functional.hardshrink(slopes.sub_(slope).mul_(weights), SMALLEST)
        other = dataclasses.replace(part, weights=weights, total=weights.sum(1, keepdim=True), alone=False)
        product = oracle._moved(points, start, rows, other).to(WIDE)
        mean = oracle._moved(points, start, rows, part).to(WIDE).div_(part.total) if several else None
        found = _Sums(part.peak, part.total, mean, product, slope)
        sums = found if sums is None else sums.join(found)
    return sums.deviation.mul_(length * kappa / sums.total)


def jacobian_trace(oracle, points):
    """The trace of K, (B,) float64."""
    samples, t, rest = oracle.samples, points.t, points.rest
    kappa, sums = points.kappa, None
    for start, rows, part in _parts(oracle, points):
        if len(rows) == samples.count and _idle(oracle, points, part):
            return torch.zeros_like(t)[:, 0]
        # kappa |x^(i) - r|^2 about r = x_t + (1 - t) centre, by the norms about the centre and the logits
        squares = 2 * t / rest * samples.half_norms[start : start + len(rows)] - points.square / rest - 2 * part.logits
        square = (squares.mul_(part.weights)).sum(1, keepdim=True)
        mean = oracle._moved(points, start, rows, part).to(WIDE).div_(part.total)
        own = samples.shifted(mean, rest).square().sum(1, keepdim=True)
        found = _Sums(part.peak, part.total, mean, square - part.total * kappa * own)
        sums = found if sums is None else sums.join(found, kappa)
    return (sums.deviation / sums.total)[:, 0]


def log_evidence(oracle, points):
    """log sum_i exp(-|x_t - t x^(i)|^2 / (2 (1 - t)^2)), (B,) float64."""
    levels = [part.peak + part.total.log() for _, _, part in _parts(oracle, points)]
    return torch.cat(levels, 1).logsumexp(1)


def _parts(oracle, points):
    """Yield (start, rows, part) of all chunks, their weights as precise as K needs them."""
    level, reach = None, _reach(oracle, points)
    for start, rows in oracle.samples.chunks(oracle._chunk(2 * len(points.t))):
        part = oracle._part(points, start, rows, level, reach=reach)
        here = part.peak + part.total.log()
        level = here if level is None else torch.logaddexp(level, here)
        yield start, rows, part


def _reach(oracle, points):
    """The most that a weight of 1 could add to K, (B, 1)."""
    return points.kappa * (4 * oracle.samples.longest**2)


def _idle(oracle, points, part):
    """Whether at every point all samples but one add less than ``IDLE`` to K."""
    others = part.total - part.weights.amax(1, keepdim=True)
    return bool((others * _reach(oracle, points) < IDLE).all())


def _slopes(oracle, points, start, rows, part, along):
    """<x^(i) - x_t, v>, (B, n) float64; near the data by differences in float64."""
    samples, (row, column) = oracle.samples, part.near
    slopes = inner_products(along.to(samples.dtype), samples.centred(start, rows)).to(WIDE, copy=True)
    slopes -= (points.base.to(WIDE) * along).sum(1, keepdim=True)
    for some in samples.pairs(len(row)):
        difference = oracle._paired(rows, row[some], column[some]).to(WIDE).sub_(points.given[row[some]])
        slopes[row[some], column[some]] = difference.mul_(along[row[some]]).sum(1)
    return slopes


@dataclasses.dataclass
class _Sums:
    """Sums over some of the samples: of weights divided by exp(peak), ``total`` (B, 1), and with them of a deviation.

    mean: (B, D) of x^(i) - x_t, None for all samples at once; deviation: of slopes times differences (B, D), with
    their mean ``slope`` (B, 1), or of squares (B, 1), each about the mean.
    """

    peak: torch.Tensor
    total: torch.Tensor
    mean: torch.Tensor
    deviation: torch.Tensor
    slope: torch.Tensor | None = None

    def join(self, other, kappa=None):
        """The sums over both: deviations about the common mean (Chan, Golub and LeVeque, 1979)."""
        peak = torch.maximum(self.peak, other.peak)
        keep, add = (self.peak - peak).exp(), (other.peak - peak).exp()
        ours, theirs = self.total * keep, other.total * add
        total, between = ours + theirs, other.mean - self.mean
        if self.slope is None:
            slope, cross = None, kappa * between.square().sum(1, keepdim=True)
        else:
            slope = (ours * self.slope + theirs * other.slope) / total
            cross = between * (other.slope - self.slope)
        deviation = self.deviation * keep + other.deviation * add + ours * theirs / total * cross
        return _Sums(peak, total, self.mean + between * (theirs / total), deviation, slope)


class Answer(torch.autograd.Function):
    """An oracle's mean data, noise, score or velocity, differentiable in x_t once, backward and forward."""

    @staticmethod
    def forward(x_t: torch.Tensor, oracle: Any, kind: str, t: Any) -> torch.Tensor:
        return oracle._value(kind, x_t, t)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x_t, ctx.oracle, ctx.kind, ctx.t = inputs
        ctx.save_for_backward(x_t)
        ctx.save_for_forward(x_t)

    @staticmethod
    def backward(ctx, gradient):
        return Product.apply(gradient, *ctx.saved_tensors, ctx.oracle, ctx.kind, ctx.t), None, None, None

    @staticmethod
    def jvp(ctx, along, *_):
        return ctx.oracle._product(ctx.kind, *ctx.saved_tensors, ctx.t, along)


class Product(torch.autograd.Function):
    """The Jacobian of an ``Answer`` times directions, in which it is linear; its derivative by x_t is refused."""

    @staticmethod
    def forward(along: torch.Tensor, x_t: torch.Tensor, oracle: Any, kind: str, t: Any) -> torch.Tensor:
        return oracle._product(kind, x_t, t, along)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, x_t, *ctx.rest = inputs
        ctx.save_for_backward(x_t)

    @staticmethod
    def backward(ctx, gradient):
        if ctx.needs_input_grad[1]:
            raise RuntimeError(
                "the oracle's mean, velocity, noise and score have one derivative by x_t, and a second is asked for; "
                "expected a derivative without create_graph (log_density has two)"
            )
        return Product.apply(gradient, *ctx.saved_tensors, *ctx.rest), None, None, None, None


class LogDensity(torch.autograd.Function):
    """An oracle's log-density, whose derivative is the score; twice differentiable, since the score is once."""

    @staticmethod
    def forward(x_t: torch.Tensor, oracle: Any, t: Any) -> torch.Tensor:
        return oracle._log_density(x_t, t)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x_t, ctx.oracle, ctx.t = inputs
        ctx.save_for_backward(x_t)
        ctx.save_for_forward(x_t)

    @staticmethod
    def backward(ctx, gradient):
        (x_t,) = ctx.saved_tensors
        score = ctx.oracle.score(x_t, ctx.t)
        return gradient.to(x_t).reshape(-1, *[1] * (x_t.ndim - 1)) * score, None, None

    @staticmethod
    def jvp(ctx, along, *_):
        (x_t,) = ctx.saved_tensors
        return (ctx.oracle.score(x_t, ctx.t).to(WIDE) * along.to(WIDE)).flatten(1).sum(1)
