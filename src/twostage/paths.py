"""Gaussian paths, ``x_t = alpha(t) x_1 + sigma(t) x_0``: rectified, VP, VE, EDM, or one's own.

All that a Gaussian path tells about the data depends on s = alpha / sigma alone, since x_t / sigma = s x_1 + x_0. So
each path is the rectified path in other units: the point ``x_t / (alpha + sigma)`` at the time ``alpha / (alpha +
sigma)`` has the same posterior. s must rise from noise to data; the time of a path may run either way:

    RECTIFIED   alpha = t,  sigma = 1 - t                 0 (noise) to 1 (data)     the paper; Liu et al., 2209.03003
    vp          alpha^2 = exp(-integral of beta)          1 (noise) to 0 (data)     Song et al., 2011.13456, eq. 33
    cosine      alpha^2 = f(t) / f(0), f = cos^2          1 (noise) to 0 (data)     Nichol, Dhariwal, 2102.09672, eq. 17
    ve          alpha = 1,  sigma grows geometrically     1 (noise) to 0 (data)     Song et al., 2011.13456, eq. 31
    edm         alpha = 1,  sigma = t                     sigma_max to sigma_min    Karras et al., 2206.00364

In vp and cosine sigma^2 = 1 - alpha^2. A network may predict the velocity, the noise x_0, the score or the data x_1:
``Path.convert`` turns each into each.
"""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from twostage.arguments import Array, as_floating, as_tensor

Kind: TypeAlias = Literal["velocity", "noise", "score", "data"]
Schedule: TypeAlias = Callable[[Tensor], Tensor | float]
Times: TypeAlias = float | Float[Array, "..."]

KINDS = ("velocity", "noise", "score", "data")
CHECKED = 1001  # times at which a path must rise
SLACK = 1e-6  # by which a time may pass an end of the path, relative to that end: float32 times are rounded
HALVINGS = 120


@dataclasses.dataclass(frozen=True)
class Path:
    """A Gaussian path ``x_t = alpha(t) x_1 + sigma(t) x_0`` of data x_1 and standard normal noise x_0.

    name: for messages; of_data, of_noise: alpha and sigma, functions of a float64 tensor of times; start, stop: the
    times of most noise and of least, both finite; start may be larger than stop. slopes: the derivatives of alpha and
    sigma by t, as two such functions; None: by autograd.

    In all methods times are floats or tensors of any shape (for points: a float or (B,)), and answers about times are
    float64 tensors of that shape. Raises ValueError for a path on which s = alpha / sigma does not rise strictly from
    start to stop, and for times outside of the path.

    >>> path = Path("trigonometric", lambda t: torch.sin(t), lambda t: torch.cos(t), start=0.0, stop=math.pi / 2)
    >>> path.s(math.pi / 3), path.time(1.0)
    (tensor(1.7321, dtype=torch.float64), tensor(0.7854, dtype=torch.float64))
    >>> x_0, x_1 = torch.tensor([[1.0]]), torch.tensor([[3.0]])
    >>> x_t, v = path.interpolate(x_0, x_1, 0.5), path.target(x_0, x_1, 0.5)
    >>> path.convert(v, x_t, 0.5, of="velocity", to="data")
    tensor([[3.]])
    """

    name: str
    of_data: Schedule
    of_noise: Schedule
    start: float
    stop: float
    slopes: tuple[Schedule, Schedule] | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and math.isfinite(self.stop) and self.start != self.stop):
            raise ValueError(
                f"the path {self.name} runs from {self.start} to {self.stop}; expected two different finite times"
            )
        low, high = sorted((self.start, self.stop))
        times = torch.linspace(low, high, CHECKED, dtype=torch.float64)
        if low > 0:  # a path over many orders of magnitude is seen at all of them
            even = torch.logspace(math.log10(low), math.log10(high), CHECKED, dtype=torch.float64)
            times = torch.cat([times, even.clamp(low, high)]).unique()
        times = times if self.start < self.stop else times.flip(0)
        alpha, sigma = self._of("alpha", self.of_data, times), self._of("sigma", self.of_noise, times)
        for name, values in (("alpha", alpha), ("sigma", sigma)):
            bad = ~((values >= 0) & torch.isfinite(values))
            if bad.any():
                raise ValueError(
                    f"the path {self.name} has {name} = {values[bad][0]:g} at t = {times[bad][0]:g}; expected finite "
                    "numbers, 0 or above"
                )
        s = alpha / sigma
        falls = ~(s[1:] > s[:-1])
        if falls.any():
            k = int(falls.nonzero()[0])
            raise ValueError(
                f"the path {self.name} has alpha / sigma = {s[k]:g} at t = {times[k]:g} and {s[k + 1]:g} at "
                f"{times[k + 1]:g}; expected it to rise from start={self.start:g} (noise) to stop={self.stop:g} (data)"
            )

    def alpha(self, t: Times) -> Float64[Tensor, "..."]:
        """alpha(t), the scale of the data."""
        return self._of("alpha", self.of_data, self.check(t))

    def sigma(self, t: Times) -> Float64[Tensor, "..."]:
        """sigma(t), the standard deviation of the noise."""
        return self._of("sigma", self.of_noise, self.check(t))

    def alpha_slope(self, t: Times) -> Float64[Tensor, "..."]:
        """The derivative of alpha by t."""
        return self._slope(0, "alpha", self.of_data, self.check(t))

    def sigma_slope(self, t: Times) -> Float64[Tensor, "..."]:
        """The derivative of sigma by t."""
        return self._slope(1, "sigma", self.of_noise, self.check(t))

    def s(self, t: Times) -> Float64[Tensor, "..."]:
        """s = alpha / sigma; inf where there is no noise. s^2 is the signal-to-noise ratio (of data of variance 1)."""
        t = self.check(t)
        return self._of("alpha", self.of_data, t) / self._of("sigma", self.of_noise, t)

    def time(self, s: Times) -> Float64[Tensor, "..."]:
        """The time at which alpha / sigma is s, by bisection; ValueError for an s that the path does not reach.

        ``s.clamp(*path.reach)`` takes the nearest that it does.
        """
        s = as_tensor("s", s).to(torch.float64)
        low, high = self.reach
        outside = ~((s >= low * (1 - SLACK)) & (s <= high * (1 + SLACK)))
        if outside.any():
            raise ValueError(
                f"s is {s[outside].flatten()[0]:g}; expected alpha / sigma in [{low:g}, {high:g}], which the path "
                f"{self.name} reaches"
            )
        noisy, clear = torch.full_like(s, self.start), torch.full_like(s, self.stop)
        for _ in range(HALVINGS):
            middle = (noisy + clear) / 2
            before = self._of("alpha", self.of_data, middle) < s * self._of("sigma", self.of_noise, middle)
            noisy, clear = torch.where(before, middle, noisy), torch.where(before, clear, middle)
        found = torch.where(s <= low, self.start, clear)
        return torch.where(s >= high, self.stop, found)

    @property
    def reach(self) -> tuple[float, float]:
        """The least and the largest s = alpha / sigma of the path."""
        return float(self.s(self.start)), float(self.s(self.stop))

    def rectified_time(self, t: Times) -> Float64[Tensor, "..."]:
        """The time of the rectified path with the same s, alpha / (alpha + sigma): that of every ``twostage`` result.

        >>> edm().rectified_time(1.0)
        tensor(0.5000, dtype=torch.float64)
        """
        t = self.check(t)
        alpha = self._of("alpha", self.of_data, t)
        return alpha / (alpha + self._of("sigma", self.of_noise, t))

    def interpolate(
        self, x_0: Float[Array, " batch *shape"], x_1: Float[Array, " batch *shape"], t: Times
    ) -> Float[Tensor, " batch *shape"]:
        """The point ``alpha x_1 + sigma x_0``, in shape and dtype like x_1."""
        t = self._each(t, x_1)
        return self._combine(self._of("alpha", self.of_data, t), x_1, self._of("sigma", self.of_noise, t), x_0)

    def target(
        self, x_0: Float[Array, " batch *shape"], x_1: Float[Array, " batch *shape"], t: Times
    ) -> Float[Tensor, " batch *shape"]:
        """The conditional velocity ``alpha' x_1 + sigma' x_0``, the slope of ``interpolate`` by this path's t."""
        t = self._each(t, x_1)
        return self._combine(
            self._slope(0, "alpha", self.of_data, t), x_1, self._slope(1, "sigma", self.of_noise, t), x_0
        )

    def convert(
        self,
        prediction: Float[Array, " batch *shape"],
        x_t: Float[Array, " batch *shape"],
        t: Times,
        of: Kind,
        to: Kind,
    ) -> Float[Tensor, " batch *shape"]:
        """A prediction of one kind as another, in shape and dtype like x_t.

        Kinds are "velocity" (alpha' x_1 + sigma' x_0), "noise" (x_0), "score" (-x_0 / sigma) and "data" (x_1), each the
        mean given x_t; ``x_t = alpha x_1 + sigma x_0`` relates them. Raises ValueError at times where the one does not
        determine the other: noise and score say nothing about the data where alpha is 0, data nothing about the noise
        where sigma is 0.
        """
        for name, kind in (("of", of), ("to", to)):
            if kind not in KINDS:
                raise ValueError(f"{name} is {kind!r}; expected one of {', '.join(KINDS)}")
        x_t = as_floating("x_t", x_t)
        if of == to:
            return as_tensor("prediction", prediction).to(x_t)
        times = self._each(t, x_t)
        data, noise = self._terms(of, times)
        if to == "velocity":
            fall, rise = self._slope(0, "alpha", self.of_data, times), self._slope(1, "sigma", self.of_noise, times)
            own, state = (fall * d + rise * n for d, n in zip(data, noise))
        elif to == "score":
            own, state = (-n / self._of("sigma", self.of_noise, times) for n in noise)
        else:
            own, state = data if to == "data" else noise
        undetermined = ~torch.isfinite(own + state)
        if undetermined.any():
            raise ValueError(
                f"at t = {times[undetermined].flatten()[0]:g} of the path {self.name} a prediction of the {of} gives "
                f"no {to}; expected a time inside of ({self.start:g}, {self.stop:g})"
            )
        return self._combine(own, prediction, state, x_t).to(x_t)

    def point_of(
        self, other: "Path", x_t: Float[Array, " batch *shape"], t: Times
    ) -> tuple[Float[Tensor, " batch *shape"], Float64[Tensor, "..."]]:
        """(x, time) on this path with the posterior of x_t at time t on ``other``: the same s, rescaled.

        An s that this path does not reach becomes the nearest that it does, and the point keeps ``x / sigma`` or,
        near the data, ``x / alpha``. Velocities do not carry over; predictions of data and noise do.

        >>> x, sigma = edm().point_of(RECTIFIED, torch.ones(1, 2), 0.25)  # x_t / t at the noise level (1 - t) / t
        >>> x, sigma
        (tensor([[4., 4.]]), tensor(3.0000, dtype=torch.float64))
        """
        x_t = as_floating("x_t", x_t)
        other.s(t)
        time = self.time(other.s(t).clamp(*self.reach))
        here, there = self._each(time, x_t), other._each(t, x_t)
        scale = (self._of("alpha", self.of_data, here) + self._of("sigma", self.of_noise, here)) / (
            other._of("alpha", other.of_data, there) + other._of("sigma", other.of_noise, there)
        )
        return (x_t * scale).to(x_t), time

    def check(self, t: Times) -> Float64[Tensor, "..."]:
        """``t`` as a float64 tensor; ValueError unless every value lies on the path, up to the rounding of float32."""
        t = as_tensor("t", t)
        if t.is_complex() or t.dtype == torch.bool:
            raise ValueError(f"t is {t.dtype}; expected times of the path {self.name}")
        t = t.to(torch.float64)
        low, high = sorted((self.start, self.stop))
        outside = ~((t >= low - SLACK * abs(low)) & (t <= high + SLACK * abs(high)))
        if outside.any():
            raise ValueError(
                f"t is {t[outside].flatten()[0]:g}; expected times of the path {self.name}, in [{low:g}, {high:g}]"
            )
        return t.clamp(low, high)

    def _terms(self, of, t):
        """Data and noise as multiples of a prediction and of x_t: ((a, b), (c, d)), data = a prediction + b x_t."""
        alpha, sigma = self._of("alpha", self.of_data, t), self._of("sigma", self.of_noise, t)
        one, none = torch.ones_like(alpha), torch.zeros_like(alpha)
        if of == "data":
            return (one, none), (-alpha / sigma, 1 / sigma)
        if of == "noise":
            return (-sigma / alpha, 1 / alpha), (one, none)
        if of == "score":
            return (sigma**2 / alpha, 1 / alpha), (-sigma, none)
        fall, rise = self._slope(0, "alpha", self.of_data, t), self._slope(1, "sigma", self.of_noise, t)
        turn = fall * sigma - alpha * rise  # sigma^2 times the slope of s
        return (sigma / turn, -rise / turn), (-alpha / turn, fall / turn)

    def _each(self, t, x):
        """Times of points x (B, ...), checked, in a shape that broadcasts over x."""
        x, t = as_tensor("x", x), self.check(t)
        if t.ndim > 1 or (t.ndim == 1 and t.shape[0] not in (1, x.shape[0])):
            raise ValueError(f"t has shape {tuple(t.shape)}; expected a float or ({x.shape[0]},), one time per sample")
        return t.to(x.device).reshape(-1, *[1] * (x.ndim - 1)) if t.ndim else t.to(x.device)

    def _combine(self, a, x, b, y):
        """a x + b y, summed in float64: near the data two large terms nearly cancel; in the dtype of x."""
        x, y = as_tensor("x", x), as_tensor("y", y)
        return (a * x.to(torch.float64)).add_(b * y.to(torch.float64)).to(x)

    def _of(self, name, schedule, t):
        values = as_tensor(name, schedule(t))
        if values.shape not in (t.shape, ()):
            raise ValueError(
                f"{name} of the path {self.name} has shape {tuple(values.shape)} for times {tuple(t.shape)}; expected "
                "one number per time"
            )
        return values.to(t).expand(t.shape)

    def _slope(self, which, name, schedule, t):
        if self.slopes is not None:
            found = self._of(f"the slope of {name}", self.slopes[which], t)
        else:
            with torch.inference_mode(False), torch.enable_grad():
                inner = t.detach().clone().requires_grad_()
                values = self._of(name, schedule, inner)
                # a constant has no graph
                found = torch.autograd.grad(values.sum(), inner)[0] if values.requires_grad else torch.zeros_like(t)
        steep = ~torch.isfinite(found)
        if steep.any():
            raise ValueError(
                f"{name} of the path {self.name} has no finite slope at t = {t[steep].flatten()[0]:g}, so there is no "
                f"velocity; expected a time inside of ({self.start:g}, {self.stop:g})"
            )
        return found


def vp(beta_min: float = 0.1, beta_max: float = 20.0) -> Path:
    """The variance-preserving path of linear beta (Song et al., 2021, eq. 33), t from 1 (noise) to 0 (data).

    alpha = exp(-t^2 (beta_max - beta_min) / 4 - t beta_min / 2), sigma^2 = 1 - alpha^2.
    """
    _check_order("vp", beta_min=beta_min, beta_max=beta_max)
    return Path("vp", partial(_vp_alpha, beta_min, beta_max), partial(_vp_sigma, beta_min, beta_max), 1.0, 0.0)


def cosine(offset: float = 0.008) -> Path:
    """The variance-preserving cosine path (Nichol and Dhariwal, 2021, eq. 17), t from 1 (noise) to 0 (data).

    alpha = cos(a(t)) / cos(a(0)), a(t) = (pi / 2) (t + offset) / (1 + offset), sigma^2 = 1 - alpha^2; offset 0: alpha =
    cos(pi t / 2), sigma = sin(pi t / 2).
    """
    if not 0 <= offset < 1:
        raise ValueError(f"offset is {offset}; expected a number in [0, 1)")
    return Path("cosine", partial(_cosine_alpha, offset), partial(_cosine_sigma, offset), 1.0, 0.0)


def ve(sigma_min: float = 0.01, sigma_max: float = 50.0) -> Path:
    """The variance-exploding path (Song et al., 2021, eq. 31), t from 1 (noise) to 0 (data).

    alpha = 1, sigma = sigma_min (sigma_max / sigma_min)^t.
    """
    _check_order("ve", sigma_min=sigma_min, sigma_max=sigma_max)
    return Path("ve", torch.ones_like, partial(_ve_sigma, sigma_min, sigma_max), 1.0, 0.0)


def edm(sigma_min: float = 0.002, sigma_max: float = 80.0) -> Path:
    """EDM's path (Karras et al., 2022, Tab. 1): alpha = 1, and t is sigma, from sigma_max (noise) to sigma_min (data).

    sigma_min may be 0.
    """
    if sigma_min:
        _check_order("edm", sigma_min=sigma_min, sigma_max=sigma_max)
    return Path("edm", torch.ones_like, _same, sigma_max, sigma_min)


def _check_order(name, **bounds):
    (low, least), (high, most) = bounds.items()
    if not 0 < least < most < math.inf:
        raise ValueError(f"{low} and {high} of the path {name} are {least} and {most}; expected 0 < {low} < {high}")


def _same(t):
    return t


def _rest(t):
    return 1 - t


def _vp_alpha(beta_min, beta_max, t):
    return torch.exp(_vp_log_alpha(beta_min, beta_max, t))


def _vp_sigma(beta_min, beta_max, t):
    return torch.sqrt(-torch.expm1(2 * _vp_log_alpha(beta_min, beta_max, t)))


def _vp_log_alpha(beta_min, beta_max, t):
    return -(t**2) * (beta_max - beta_min) / 4 - t * beta_min / 2


def _cosine_alpha(offset, t):
    first = math.pi / 2 * offset / (1 + offset)
    # the last angle, pi / 2, has a cosine of rounding alone
    return torch.cos(math.pi / 2 * (t + offset) / (1 + offset)).clamp(min=0) / math.cos(first)


def _cosine_sigma(offset, t):
    first, angle = math.pi / 2 * offset / (1 + offset), math.pi / 2 * t / (1 + offset)  # the second from the first on
    if offset == 0:
        return torch.sin(angle)
    return torch.sqrt(torch.sin(angle) * torch.sin(angle + 2 * first)) / math.cos(first)


def _ve_sigma(sigma_min, sigma_max, t):
    return sigma_min * (sigma_max / sigma_min) ** t


RECTIFIED = Path("rectified", _same, _rest, 0.0, 1.0)
NAMED: dict[str, Callable[[], Path]] = {
    "rectified": lambda: RECTIFIED,
    "vp": vp,
    "cosine": cosine,
    "ve": ve,
    "edm": edm,
}


def named(name: str) -> Path:
    """The path of this name with its usual constants: rectified, vp, cosine, ve or edm. ValueError for another name."""
    if name not in NAMED:
        raise ValueError(f"the path is {name!r}; expected one of {', '.join(NAMED)}")
    return NAMED[name]()
