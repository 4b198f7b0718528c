"""The time at which the posterior settles on an image, for each pair (x_0, x_1): by root finding, without a grid.

Along a pair's path the log-weight of sample i relative to x_1 is r_i = s a_i - s^2 q_i / 2, with s = t / (1 - t),
a_i = <x_0, x^(i) - x_1> and q_i = |x^(i) - x_1|^2 (``twostage.oracle.pairs``). The image's own weight is that of x_1,
of its exact copies and, where mirrored images are samples too, of its mirrored twin, together. The pair has settled
when this weight stays at one half or above up to t = 1. Beyond s = max_i (a_i + sqrt(a_i^2 + 2 q_i log n)) / q_i none
of the n other samples has a weight above 1/n of the own weight, so the pair has settled by then. From there the
crossing is searched downwards in steps of ``STEP``, then by bisection. Without copies and twins it is the only crossing
beyond max_i a_i / q_i, where every r_i falls.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int, Int64

from twostage.arguments import Array, as_floating, as_tensor
from twostage.oracle.samples import WIDE, Samples, check_finite

STEP = 1.1  # ratio of s between two steps of the search
STEPS = 120  # at most; a pair whose own weight is above one half down to 1e-5 of the first s has settled at t = 0
BISECTIONS = 20  # s to a relative error of 1e-7


@dataclass(frozen=True)
class Settling:
    """Results of ``settling`` for I images with M noises each; float64 arrays.

    time: (I, M), the time after which the pair's own weight stays at one half or above; nearest: (I,) int64, row of the
    nearest other image; distance: (I,), to it (inf where there is no other); law: (I,), the time predicted from the
    distances to all other images; law_nearest: (I,), the time of the transition law if all images were as far apart as
    the nearest one.
    """

    time: Float64[np.ndarray, "images noises"]
    nearest: Int64[np.ndarray, " images"]
    distance: Float64[np.ndarray, " images"]
    law: Float64[np.ndarray, " images"]
    law_nearest: Float64[np.ndarray, " images"]


def settling(
    samples: Samples,
    index: Int[Array, " images"],
    x_0: Float[Array, "images noises dim"],
    twin: Int[Array, " images"] | None = None,
) -> Settling:
    """The settling times of pairs (samples[index], x_0), and their predictions from the distances to the other images.

    samples: those of the posterior; index: (I,) rows of them; x_0: (I, M, D) noise; twin: (I,) rows of the mirrored
    twins, None where there are none.

    law: in a regular simplex the a_i have a common part, which is the same for all other images, and independent parts
    of variance q_i / 2. So the mean weight of the others, relative to the own weight, is sum_i exp(-s^2 q_i / 4); law
    is the time at which it is 1. law_nearest: the transition law, s^2 = (2 D / q) (N^(2/D) - 1), with q of the nearest
    image for all, as for an isotropic Gaussian of variance q / 2D per number. Neither has a fitted constant
    (docs/theory.md).

    Raises ValueError for mismatched shapes, an index out of range, NaN or infinite values.

    >>> samples = Samples(torch.tensor([[0.0, 0.0], [0.0, 1.0], [3.0, 0.0]]))
    >>> found = settling(samples, torch.tensor([0, 2]), torch.zeros(2, 1, 2))
    >>> found.nearest, found.distance, found.time.round(3)
    (array([1, 0]), array([1., 3.]), array([[0.383],
           [0.277]]))
    """
    index, x_0 = as_tensor("index", index).to(samples.device), as_floating("x_0", x_0)
    _check(samples, index, x_0)
    twin = None if twin is None else as_tensor("twin", twin).to(samples.device)
    images = max(1, samples.budget // 4 // (8 * (6 * x_0.shape[1] + 8) * samples.count))
    found = [
        _group(samples, index[part], x_0[part].to(samples.device, WIDE), None if twin is None else twin[part])
        for part in torch.arange(len(index)).split(images)
    ]
    return Settling(*(np.concatenate(each) for each in zip(*found)))


def _check(samples, index, x_0):
    if index.ndim != 1 or len(index) == 0 or index.is_floating_point():
        raise ValueError(f"index has dtype {index.dtype} and shape {tuple(index.shape)}; expected (I,) integers")
    if ((index < 0) | (index >= samples.count)).any():
        raise ValueError(f"index lies in [{int(index.min())}, {int(index.max())}]; expected rows below {samples.count}")
    if x_0.ndim != 3 or x_0.shape[0] != len(index) or x_0.shape[1] == 0 or x_0.shape[2] != samples.dim:
        raise ValueError(f"x_0 has shape {tuple(x_0.shape)}; expected ({len(index)}, M, {samples.dim}), M >= 1")
    check_finite("x_0", x_0.flatten(1).abs().amax(1))


def _group(samples, index, noise, twin):
    """The fields of ``Settling`` for some images: a tuple of arrays."""
    along, square, own = _products(samples, index, noise, twin)
    apart = square.masked_fill(own, math.inf)
    time = _times(_last_crossing(along, square, own))
    law = _times(_last_crossing(torch.zeros_like(along[:, :1]), square / 2, own))[:, 0]
    distance, nearest = apart.sqrt().min(1)
    s = (2 * samples.dim * math.expm1(2 * math.log(samples.distinct) / samples.dim)) ** 0.5 / distance
    return tuple(each.cpu().numpy() for each in (time, nearest, distance, law, _times(s)))


def _products(samples, index, noise, twin):
    """a_i (I, M, N), q_i (I, N), and which samples are the image itself, its copies or its twin's: bool (I, N)."""
    point, mirrored = samples.take(index).to(WIDE), None if twin is None else samples.take(twin)
    shape = (*noise.shape[:2], samples.count)
    along = torch.empty(shape, dtype=WIDE, device=samples.device)
    square = torch.empty(shape[0], shape[2], dtype=WIDE, device=samples.device)
    own = torch.empty(square.shape, dtype=torch.bool, device=samples.device)
    for start, rows in samples.chunks(max(1, min(samples.count, samples.budget // 8 // (16 * samples.dim)))):
        part, wide = slice(start, start + len(rows)), rows.to(WIDE)
        for i in range(len(index)):
            difference = wide - point[i]  # taken directly: near-duplicates lose no digits
            torch.linalg.vecdot(difference, difference, out=square[i, part])
            along[i, :, part] = noise[i] @ difference.T
            own[i, part] = square[i, part] == 0
            if mirrored is not None:
                own[i, part] |= (rows == mirrored[i]).all(1)
    return along, square, own


def _last_crossing(along, square, own):
    """The last s at which the own weight is one half, (I, M); 0 where it is never below. The others: not ``own``."""
    apart = square.masked_fill(own, math.inf)[:, None]  # of the own samples, at infinite distance, no weight is left
    many = (~own).sum(1).clamp(min=1).to(WIDE).log()[:, None, None]
    r = torch.empty_like(along)  # one buffer for all looks: mapping memory anew at each took a quarter of the time
    torch.sqrt(torch.addcmul(along.square(), apart, 2 * many, out=r), out=r)
    high = r.add_(along).div_(apart).nan_to_num_(nan=0.0).amax(2)
    mine = own.any(0).nonzero()[:, 0]  # the few columns with an own sample of any image
    of_own, near, hidden = along[..., mine], square[:, None, mine], ~own[:, None, mine]

    def unsettled(s):
        s, half = s[..., None], s.square()[..., None] / -2
        others = torch.addcmul(torch.mul(along, s, out=r), half, apart, out=r)
        return others.logsumexp(2) > (s * of_own + half * near).masked_fill_(hidden, -math.inf).logsumexp(2)

    low, found = high.clone(), torch.zeros_like(high, dtype=torch.bool)
    for _ in range(STEPS):
        low = torch.where(found, low, low / STEP)
        found |= unsettled(low) | (low == 0)
        high = torch.where(found, high, low)
        if found.all():
            break
    for _ in range(BISECTIONS):
        middle = (low * high).sqrt()
        above = unsettled(middle)
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    return torch.where(found, high, 0.0)


def _times(s):
    return s / (1 + s)
