"""Points at which an oracle is asked, with what its two products and the sums between them need of each."""

import math

import torch

from twostage.oracle.products import row_products
from twostage.oracle.samples import SMALLEST, WIDE, check_finite, check_times

NEAR_DATA = 0.1  # below this 1 - t, sums are of float64 differences: float32 products lose u / (1 - t)
FAINT = math.log(SMALLEST) - 1  # of a weight: none is less, where exp and float32 products are many times slower


class Points:
    """Points x_t (B, D) with their times t (B, 1) float64, prepared for the samples; B is at most what the budget
    allows.

    given: the points in their own dtype, or the samples' if that is wider; base: minus the samples' centre, in float64
    if there is one; narrow: minus t times the centre, in the samples' dtype; square: squared length of narrow before
    rounding, (B, 1) float64; rest: 1 - t, from it if not given; scale: (1 - t)^-2, 1 at t = 1; kappa: t times it; own:
    (B, 2), the factors of ``Samples.terms``; divisor: 1 - t, or 1 if points at t = 1 are allowed; near: whether t is
    near 1, (B, 1); sure: what is in doubt there at least, as ``Oracle._part`` counts it.

    The host must know whether there is a point at t = 0 (``at_prior``) or t = 1 (``at_end``). It learns that together
    with the first numbers that it reads (``read``), so that it waits for a GPU only once; errors are raised there too.
    """

    def __init__(self, samples, x_t, t, rest, to_end=False):
        self.given = x_t.detach().to(samples.device).reshape(len(x_t), -1)
        self.t = t[:, None]
        self.rest = 1 - self.t if rest is None else rest[:, None]
        self.given = self.given.to(torch.promote_types(x_t.dtype, samples.dtype))
        self.base = query = self.given
        if samples.centre is not None:
            self.base, query = samples.shifted(self.x), samples.shifted(self.x, self.t)
        self.square = row_products(query, query)[:, None]
        self.narrow = query.to(samples.dtype)
        self.last = self.rest == 0
        self.scale = torch.where(self.last, 1.0, self.rest**-2.0)
        self.kappa = self.t * self.scale
        self.own = torch.cat([self.t * self.kappa, self.square * self.scale], 1)
        self.divisor = self.rest if to_end else torch.ones_like(self.rest)
        self.near = self.rest < NEAR_DATA
        # near the data, and at t = 1, all logits that count are computed by differences
        self.sure = self.scale * (self.near * math.exp(20))
        self.to_end, self.at_end, self.at_prior = to_end, None, None
        self._facts = [self.t.clamp(0, 1) == self.t, self.square < math.inf, self.last, self.t == 0]

    @property
    def x(self):
        """The points in float64."""
        return self.given.to(WIDE)

    def read(self, *columns):
        """Sums of columns (B, 1) as Python integers. ValueError for times or points that are not allowed."""
        sums = torch.cat([*self._facts, *columns], 1).sum(0, dtype=WIDE).tolist()
        inside, finite, self.at_end, self.at_prior = sums[0], sums[1], sums[2] > 0, sums[3] > 0
        if inside < len(self.t):
            check_times(self.t)
        if finite < len(self.t):
            check_finite("x_t", self.square[:, 0])
        if self.at_end and self.to_end:
            raise ValueError("t is 1, where the velocity has no value of its own; expected t < 1, such as 1 - 1e-6")
        return [int(number) for number in sums[4:]]

    def weights(self, gaps, dtype):
        """exp of logits less their peak in ``dtype``, at least exp(``FAINT``); at t = 1 the limit: 1 at 0, 0 below."""
        weights = gaps.to(dtype).clamp(min=FAINT).exp_()
        return weights.masked_fill_(self.last & (gaps < 0), 0.0) if self.at_end else weights
