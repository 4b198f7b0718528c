"""Where the points of an oracle lie: on a path at their times, or at scales alpha and sigma, in rectified terms.

Every Gaussian path is the rectified path in other units (``twostage.paths``): with E = alpha + sigma, the point
y = x_t / E at the time alpha / E has the posterior of x_t. So the oracle computes on the rectified path alone, and the
mean data, noise, score and velocity of a path are ``a x_t + b (m - y)``, m the posterior mean.
"""

from functools import cached_property
from typing import TypeAlias

import torch
from torch import Tensor

from twostage.flow import Time
from twostage.oracle.samples import WIDE, as_times, one_each
from twostage.paths import RECTIFIED

Where: TypeAlias = Time | tuple[Time, Time]  # a path's times, or the scales (alpha, sigma) themselves


class Place:
    """Points x_t (B, ...) of a path at times t, or at scales (alpha, sigma), as points of the rectified path.

    x: as given; plain: whether the path is the rectified one; point: y = x / E, if plain x itself, otherwise float64
    on ``device``; t: (B,) float64, alpha / E.
    """

    def __init__(self, path, x_t, t, device):
        self.x, self.path, self.time, self.device = x_t, path, None, device
        self.plain = not isinstance(t, tuple) and path == RECTIFIED
        if self.plain:
            # times are checked later, with the first numbers that the host reads from a GPU
            self.t, self.point = self._read("t", t), x_t
            return
        if isinstance(t, tuple):
            if len(t) != 2:
                raise ValueError(f"t is a tuple of {len(t)}; expected a time, or the two scales (alpha, sigma)")
            alpha, sigma = self._read("alpha", t[0]), self._read("sigma", t[1])
            bad = ~((alpha >= 0) & (sigma >= 0) & (alpha + sigma > 0) & torch.isfinite(alpha + sigma))
            if bad.any():
                raise ValueError(
                    f"alpha and sigma are {alpha[bad][0]:g} and {sigma[bad][0]:g}; expected finite numbers, 0 or "
                    "above, and not both 0"
                )
        else:
            self.time = path.check(self._read("t", t))
            alpha, sigma = path.alpha(self.time), path.sigma(self.time)
        self.scales = alpha, sigma, alpha + sigma
        self.t, self.point = alpha / self.scales[2], self.over(x_t) / self.column(self.scales[2])

    @cached_property
    def scales(self):
        """alpha, sigma and E, (B,) float64 each."""
        return self.t, 1 - self.t, torch.ones_like(self.t)

    @property
    def rest(self):
        """sigma / E, (B,) float64: 1 - t, without its rounding."""
        return self.scales[1] / self.scales[2]

    def terms(self, kind):
        """(a, b), (B,) float64 each, of ``a x_t + b (m - y)``, for a kind of ``twostage.paths.Kind``."""
        alpha, sigma, extent = self.scales
        if kind == "data":
            return 1 / extent, torch.ones_like(extent)
        if kind == "noise":
            return 1 / extent, -alpha / sigma
        if kind == "score":
            return -1 / (extent * sigma), alpha / sigma**2
        if self.plain:
            return torch.zeros_like(extent), 1 / sigma
        if self.time is None:
            raise ValueError(
                "t is a pair (alpha, sigma), which has no velocity: that is the slope of a path; expected a time of "
                f"the path {self.path.name}, or one of posterior_mean, noise and score"
            )
        fall, rise = self.path.alpha_slope(self.time), self.path.sigma_slope(self.time)
        return (fall + rise) / extent, (fall * sigma - rise * alpha) / sigma

    def column(self, values):
        """Numbers (B,) in a shape that broadcasts over x."""
        return values.reshape(-1, *[1] * (self.x.ndim - 1))

    def over(self, values):
        """Values (B, ...) in float64 on the device, without their graph; not always a copy."""
        return values.detach().to(self.device, WIDE)

    def _read(self, name, values):
        if isinstance(values, Tensor) and values.requires_grad:
            raise ValueError(
                f"{name} requires a gradient; expected {name}.detach(): the oracle is differentiable in x_t"
            )
        if isinstance(values, int | float) and not isinstance(values, bool):
            return torch.full((len(self.x),), values, dtype=WIDE, device=self.device)
        return one_each(name, as_times(values, name), len(self.x)).to(self.device, non_blocking=True)
