"""The velocity of Gaussians with the data's means and covariances, one per class, and its exact flow.

For data N(mu, V diag(lambda) V^T), V orthonormal, x_t = t x_1 + (1 - t) x_0 is Gaussian with mean t mu and in the
directions of V variances s_t^2 = t^2 lambda + (1 - t)^2; in all others (1 - t)^2. Hence, along V,

    E[x_1 - x_0 | x_t] = mu + s_t' / s_t (x_t - t mu),         x_t = t mu + s_t / s_0 x_0   (the flow from the prior)

and the same with s_t = 1 - t in the directions in which the data do not vary.

Mean and covariance are the sample's own (division by N), without shrinkage, whatever N and D. For small t / (1 - t) the
oracle's posterior mean is mu + t / (1 - t)^2 Sigma (x_t - t mu) + ..., with exactly this Sigma. So the field agrees
with the oracle's to first order there, and with no other covariance it would. Where N < D, at least D - N + 1
directions have no variance: in them x_t is (1 - t) x_0, as for the oracle.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from twostage.arguments import Array, as_floating, as_labels
from twostage.data.latents import LatentStore
from twostage.flow import Time
from twostage.oracle.posterior import ClassOracle, Labels
from twostage.oracle.samples import WIDE, Samples, check_times, one_each

# Share of a Gram matrix's largest eigenvalue below which eigenvalues are rounding: less than 1e-6 of the deviation.
NEGLIGIBLE = 1e-12


class Gaussian:
    """A Gaussian with the mean and the covariance of data.

    data, label, device, budget_mb: as for ``Oracle``; a store's mirrored images are samples like others. mean: (D,);
    variances: (k,); axes: (k, D), the orthonormal directions of those variances, all float64: k = D where N >= D, with
    the D x D covariance summed over chunks, else the rank, from the N x N Gram matrix.

    Everywhere x is (B, D) or (B, C, H, W); results are like x, computed in float64.

    >>> gaussian = Gaussian(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))
    >>> gaussian.variances, gaussian.axes.abs()
    (tensor([0., 1.], dtype=torch.float64), tensor([[0., 1.],
            [1., 0.]], dtype=torch.float64))
    >>> gaussian.flow(torch.ones(1, 2), 0.0, 0.5)  # sqrt(1/2), and 1/2 where the data do not vary
    tensor([[0.7071, 0.5000]])
    """

    def __init__(
        self,
        data: Float[Array, " n *shape"] | LatentStore | Samples,
        label: int | None = None,
        device: str | torch.device | None = None,
        budget_mb: float = 1024,
    ) -> None:
        samples = data if isinstance(data, Samples) else Samples(data, label, device, budget_mb)
        self.shape, self.device, self.mean = samples.shape, samples.device, samples.mean
        self.variances, self.axes = _principal(samples)

    @property
    def held(self) -> int:
        """Bytes held in memory."""
        return self.mean.nbytes + self.variances.nbytes + self.axes.nbytes

    def velocity(self, x_t: Float[Array, " batch *shape"], t: Time) -> Float[Tensor, " batch *shape"]:
        """E[x_1 - x_0 | x_t], like x_t; t: a float or (B,) in [0, 1).

        Raises ValueError at t = 1, where directions without variance have no velocity of their own.
        """
        x_t = _states("x_t", x_t, self.mean)
        return self.velocity_of(x_t, _times("t", t, len(x_t), self.device)).to(x_t)

    def flow(self, x: Float[Array, " batch *shape"], start: Time, stop: Time) -> Float[Tensor, " batch *shape"]:
        """The state at time ``stop`` of the field's exact flow from x at time ``start``, like x.

        start: a float or (B,) in [0, 1); stop: in [0, 1], earlier than start, too. Raises ValueError for others.
        """
        x = _states("x", x, self.mean)
        start = _times("start", start, len(x), self.device)
        return self.flow_of(x, start, _times("stop", stop, len(x), self.device, before_end=False)).to(x)

    def velocity_of(
        self, x_t: Float[Tensor, " batch *shape"], t: Float64[Tensor, "batch 1"]
    ) -> Float64[Tensor, " batch *shape"]:
        """``velocity`` in float64 at times (B, 1) on the Gaussian's device, without a check of their values."""
        rest, away = 1 - t, self._about_mean(x_t, t)
        gain = t * self.variances / (self._spread(t).square() * rest)  # along the axes, beyond that of -1 / (1 - t)
        return (self.mean - away / rest + (away @ self.axes.T * gain) @ self.axes).reshape(x_t.shape)

    def flow_of(
        self, x: Float[Tensor, " batch *shape"], start: Float64[Tensor, "batch 1"], stop: Float64[Tensor, "batch 1"]
    ) -> Float64[Tensor, " batch *shape"]:
        """``flow`` in float64 between times (B, 1) on the Gaussian's device, without a check of their values."""
        away, shrinks = self._about_mean(x, start), (1 - stop) / (1 - start)
        gain = self._spread(stop) / self._spread(start) - shrinks
        return (stop * self.mean + away * shrinks + (away @ self.axes.T * gain) @ self.axes).reshape(x.shape)

    def _about_mean(self, x, t):
        return x.detach().to(self.device, WIDE).reshape(len(x), -1) - t * self.mean

    def _spread(self, t):
        """Standard deviations of x_t along the axes, (B, k)."""
        return (t.square() * self.variances + (1 - t).square()).sqrt()


class ClassGaussian:
    """A ``Gaussian`` per class, each made when it is first needed.

    data, labels, device: as for ``ClassOracle``; budget_mb: working memory of one class's fit, and the memory of the
    classes that are kept (those used last, at least one).

    >>> data, labels = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0]]), torch.tensor([0, 0, 1])
    >>> gaussians = ClassGaussian(data, labels)
    >>> gaussians.velocity(torch.zeros(2, 2), 0.0, torch.tensor([0, 1]))  # towards the class's mean
    tensor([[1., 0.],
            [0., 4.]])
    """

    def __init__(
        self,
        data: Float[Array, " n *shape"] | LatentStore,
        labels: Int[Array, " n"] | Sequence[int] | None = None,
        device: str | torch.device | None = None,
        budget_mb: float = 4096,
    ) -> None:
        self._classes, self._budget = ClassOracle(data, labels, device, budget_mb), int(budget_mb * (1 << 20))
        self._found: dict[int, Gaussian] = {}

    def gaussian(self, label: int) -> Gaussian:
        """The ``Gaussian`` of one class. Raises ValueError for a label that no sample has."""
        found = self._found.pop(label, None) or Gaussian(self._classes.samples(label))
        self._found[label] = found  # the last in the order of use
        while len(self._found) > 1 and sum(each.held for each in self._found.values()) > self._budget:
            self._found.pop(next(iter(self._found)))
        return found

    def velocity(self, x_t: Float[Array, " batch *shape"], t: Time, y: Labels) -> Float[Tensor, " batch *shape"]:
        """The velocity of each state's class, like x_t; y: (B,) integer labels, or one for all."""
        x_t = _states("x_t", x_t)
        return self._each(Gaussian.velocity_of, x_t, y, _times("t", t, len(x_t)))

    def flow(
        self, x: Float[Array, " batch *shape"], start: Time, stop: Time, y: Labels
    ) -> Float[Tensor, " batch *shape"]:
        """The states at time ``stop`` of the exact flow of each state's class from x at time ``start``, like x."""
        x = _states("x", x)
        start = _times("start", start, len(x))
        return self._each(Gaussian.flow_of, x, y, start, _times("stop", stop, len(x), before_end=False))

    def _each(self, answer, x, y, *times):
        y, result = one_each("y", as_labels("y", y).cpu(), len(x)), torch.empty_like(x)
        for label in y.unique().tolist():
            gaussian, members = self.gaussian(label), (y == label).nonzero()[:, 0]
            rows = members.to(x.device, non_blocking=True)
            at = [t[members.to(t.device, non_blocking=True)].to(gaussian.device, non_blocking=True) for t in times]
            result[rows] = answer(gaussian, _states("x_t", x[rows], gaussian.mean), *at).to(x)
        return result


def _principal(samples):
    """Variances (k,), ascending, and axes (k, D) of ``Samples``: of the covariance, divided by N."""
    count, dim = samples.count, samples.dim
    if count >= dim:
        covariance = torch.zeros(dim, dim, dtype=WIDE, device=samples.device)
        for _, centred in samples.wide_blocks(0, None, samples.mean):
            covariance.addmm_(centred.T, centred)
        values, vectors = torch.linalg.eigh(covariance / count)
        return values.clamp(min=0), vectors.T.contiguous()
    rows = torch.empty(count, dim, dtype=WIDE, device=samples.device)  # no larger than the axes
    for start, centred in samples.wide_blocks(0, None, samples.mean):
        rows[start : start + len(centred)] = centred
    values, vectors = torch.linalg.eigh(rows @ rows.T)
    axes = vectors.T[values > NEGLIGIBLE * values[-1]] @ rows
    lengths = torch.linalg.vector_norm(axes, dim=1)  # more exact than the roots of small eigenvalues
    return lengths.square() / count, axes.div_(lengths[:, None])


def _states(name, x, mean=None):
    """``x`` as a tensor (B, ...), B >= 1; with ``mean``, each of as many numbers as ``mean``."""
    x = as_floating(name, x)
    if x.ndim < 2 or len(x) == 0 or (mean is not None and x[0].numel() != len(mean)):
        numbers = "..." if mean is None else f"D = {len(mean)} numbers"
        raise ValueError(f"{name} has shape {tuple(x.shape)}; expected (B, {numbers}), B >= 1")
    return x


def _times(name, t, count, device=None, before_end=True):
    """Times as (B, 1) float64, checked on their own device, so that times on the host make nothing wait for a GPU."""
    t = one_each(name, check_times(t, name), count)
    if before_end and (t == 1).any():
        raise ValueError(f"{name} is 1, where the field has no value of its own; expected a time below 1")
    return t[:, None].to(device or t.device, non_blocking=True)
