"""Velocity fields: callables ``(x, t, y) -> v`` that compose.

x: (B, ...), the state; t: a float or (B,) in [0, 1]; y: (B,) int64 labels; tensors, or numpy arrays. v is a tensor of
x's shape and dtype.
To the solver, a model, the oracle, guidance on an interval, and one field per stage all look the same.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from twostage.arguments import Array, as_floating, as_labels, as_tensor
from twostage.flow import Time, expand_time
from twostage.model.rows import by_rows
from twostage.oracle import ClassOracle, Oracle
from twostage.oracle.gaussian import ClassGaussian, Gaussian

TIME_TOLERANCE = 1e-6  # float32 times are this far from the interval ends they stand for
PRECISIONS = {"float32": None, "bf16": torch.bfloat16}
Field: TypeAlias = Callable[[Tensor, float | Tensor, Tensor | None], Tensor]  # (x, t, y) -> v


class ModelVelocity:
    """The velocity that a trained network predicts.

    model: called as ``model(x, t, y)`` with t of shape (B,); precision: "float32", or "bf16" for autocast.
    States of another precision than the network's weights pass through it in the weights'.
    ``dropped_label`` is the label that stands for no class: what the model says, or a LightningDiT's num_classes.

    >>> from twostage.model.lightningdit import LightningDiT
    >>> model = LightningDiT(8, 2, 3, hidden_size=32, depth=2, num_heads=2, num_classes=10)
    >>> field = ModelVelocity(model.eval())
    >>> field(torch.zeros(4, 3, 8, 8), 0.5, torch.tensor([0, 1, 2, 3])).shape
    torch.Size([4, 3, 8, 8])
    """

    def __init__(self, model: Callable[..., Tensor], precision: str = "float32") -> None:
        if precision not in PRECISIONS:
            raise ValueError(f"precision is {precision!r}; expected one of {', '.join(PRECISIONS)}")
        self.model = model
        self.autocast = PRECISIONS[precision]
        classes = getattr(model, "architecture", {}).get("num_classes", getattr(model, "num_classes", None))
        self.dropped_label = getattr(model, "dropped_label", classes)

    def __call__(
        self, x: Float[Array, " batch *shape"], t: Time, y: Int[Array, " batch"] | None
    ) -> Float[Tensor, " batch *shape"]:
        x, t, y = _arguments(x, t, y)
        state = x.to(self._weights_dtype(x.dtype))
        if isinstance(t, int | float):
            t = torch.full((x.shape[0],), t, dtype=state.dtype, device=x.device)  # a copy would wait for the GPU
        else:
            t = t.to(x.device, state.dtype).expand(x.shape[0])
        with torch.autocast(x.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            return by_rows(self.model, state, t, y).to(x.dtype)

    def _weights_dtype(self, otherwise):
        """The precision of the network's weights; ``otherwise`` where it has none, as a plain function."""
        weights = self.model.parameters() if isinstance(self.model, torch.nn.Module) else ()
        return next((weight.dtype for weight in weights), otherwise)


def _arguments(x, t, y):
    """State and labels as tensors, the labels where the state is; times as they are, or as a tensor."""
    x = as_floating("x", x)
    t = t if isinstance(t, int | float) else as_tensor("t", t)
    return x, t, None if y is None else as_tensor("y", y).to(x.device)


class OracleVelocity:
    """The velocity of an oracle (Theorem 2.1).

    oracle: an ``Oracle`` over all the data, which takes no label, or a ``ClassOracle``.

    >>> data = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    >>> field = OracleVelocity(Oracle(data))
    >>> field(torch.zeros(1, 2), 0.0, None)  # at t = 0, towards the mean of the data
    tensor([[1., 0.]])
    """

    def __init__(self, oracle: Oracle | ClassOracle) -> None:
        self.oracle = oracle

    def __call__(
        self, x: Float[Array, " batch *shape"], t: Time, y: Int[Array, " batch"] | None
    ) -> Float[Tensor, " batch *shape"]:
        if isinstance(self.oracle, Oracle):
            return self.oracle.velocity(x, t)
        return self.oracle.velocity(x, t, as_labels("y", y))


class GaussianVelocity:
    """The velocity of a Gaussian with the data's mean and covariance, in closed form.

    gaussian: a ``Gaussian``, which takes no label, or a ``ClassGaussian``.

    >>> field = GaussianVelocity(Gaussian(torch.tensor([[0.0, 0.0], [2.0, 0.0]])))
    >>> field(torch.zeros(1, 2), 0.0, None)
    tensor([[1., 0.]])
    """

    def __init__(self, gaussian: Gaussian | ClassGaussian) -> None:
        self.gaussian = gaussian

    def __call__(
        self, x: Float[Array, " batch *shape"], t: Time, y: Int[Array, " batch"] | None
    ) -> Float[Tensor, " batch *shape"]:
        if isinstance(self.gaussian, Gaussian):
            return self.gaussian.velocity(x, t)
        return self.gaussian.velocity(x, t, as_labels("y", y))


class Guided:
    """Classifier-free guidance of scale g at times lo <= t < hi: ``v = v_dropped + g (v_class - v_dropped)``.

    channels: "all", or k to guide the first k channels only (LightningDiT's own sampler guides 3). The last interval
    end is included when it is 1. Outside the interval, and with scale 1, the field is called once.
    dropped_label: the label that stands for no class; by default what ``field`` says.

    >>> def field(x, t, y):  # towards the label's number, and to 0 without a class
    ...     return y.to(x.dtype)[:, None].expand_as(x)
    >>> guided = Guided(field, scale=3.0, interval=(0.0, 0.5), dropped_label=0)
    >>> x, y = torch.zeros(1, 2), torch.tensor([1])
    >>> guided(x, 0.25, y), guided(x, 0.75, y)
    (tensor([[3., 3.]]), tensor([[1., 1.]]))
    """

    def __init__(
        self,
        field: Field,
        scale: float,
        interval: tuple[float, float] = (0.0, 1.0),
        channels: int | Literal["all"] = "all",
        dropped_label: int | None = None,
    ) -> None:
        low, high = interval
        if not 0 <= low < high <= 1:
            raise ValueError(f"guidance interval is {list(interval)}; expected [lo, hi] with 0 <= lo < hi <= 1")
        self.field = field
        self.scale = scale
        self.interval = (low, high)
        self.channels = channels
        self.dropped_label: Any = getattr(field, "dropped_label", None) if dropped_label is None else dropped_label
        if self.dropped_label is None and scale != 1:
            raise ValueError("guidance needs the label of a dropped class; the field has none: give dropped_label")

    def __call__(
        self, x: Float[Array, " batch *shape"], t: Time, y: Int[Array, " batch"] | None
    ) -> Float[Tensor, " batch *shape"]:
        x, t, y = _arguments(x, t, y)
        inside = self._inside(torch.as_tensor(t, dtype=torch.float64))  # where t is: a number asks no GPU
        if self.scale == 1 or not inside.any():
            return self.field(x, t, y)
        twice = torch.cat([t, t]) if torch.is_tensor(t) and t.ndim else t
        dropped = torch.full_like(y, self.dropped_label)
        with_class, without = self.field(torch.cat([x, x]), twice, torch.cat([y, dropped])).chunk(2)
        guided = without + self.scale * (with_class - without)
        if self.channels != "all":
            guided = torch.cat([guided[:, : self.channels], with_class[:, self.channels :]], dim=1)
        return guided if inside.all() else torch.where(expand_time(inside, x) > 0, guided, with_class)

    def _inside(self, t):
        low, high = self.interval
        return (t >= low - TIME_TOLERANCE) & ((t < high - TIME_TOLERANCE) | (high == 1))


class Gained:
    """A velocity times 1 + alpha (1 - t)^beta: longer where noise rules, as it is at t = 1.

    The Scale Schedule Corrector of "The Velocity Deficit" (arXiv:2605.14819), which takes alpha above 0 for velocities
    that are too short near the prior. alpha: above -1; beta: at least 0.

    >>> gained = Gained(lambda x, t, y: torch.ones_like(x), alpha=0.1, beta=1.0)
    >>> gained(torch.zeros(2, 1), torch.tensor([0.5, 1.0]), None)
    tensor([[1.0500],
            [1.0000]])
    """

    def __init__(self, field: Field, alpha: float, beta: float) -> None:
        if not (alpha > -1 and beta >= 0):
            raise ValueError(f"gain is alpha {alpha}, beta {beta}; expected alpha above -1 and beta of at least 0")
        self.field = field
        self.alpha, self.beta = alpha, beta
        self.dropped_label = getattr(field, "dropped_label", None)

    def __call__(
        self, x: Float[Array, " batch *shape"], t: Time, y: Int[Array, " batch"] | None
    ) -> Float[Tensor, " batch *shape"]:
        x, t, y = _arguments(x, t, y)
        return (1 + self.alpha * (1 - expand_time(t, x)) ** self.beta) * self.field(x, t, y)


class Staged:
    """One field per stage: ``Staged([(stop, field), ...])`` uses each field at times before its stop.

    Stops increase; the last is 1, and its field acts at t = 1 too.

    >>> staged = Staged([(0.5, lambda x, t, y: x), (1.0, lambda x, t, y: -x)])
    >>> staged(torch.ones(2, 1), torch.tensor([0.25, 0.75]), torch.tensor([0, 0]))
    tensor([[ 1.],
            [-1.]])
    """

    def __init__(self, stages: Sequence[tuple[float, Field]]) -> None:
        stops = [stop for stop, _ in stages]
        if not stops or sorted(set(stops)) != stops or stops[0] <= 0 or stops[-1] != 1:
            raise ValueError(f"stages stop at {stops}; expected increasing times above 0, the last 1")
        self.stops = torch.tensor(stops, dtype=torch.float64)
        self.fields = [field for _, field in stages]
        labels = {getattr(field, "dropped_label", None) for field in self.fields}
        self.dropped_label = labels.pop() if len(labels) == 1 else None

    def __call__(
        self, x: Float[Array, " batch *shape"], t: Time, y: Int[Array, " batch"] | None
    ) -> Float[Tensor, " batch *shape"]:
        x, t, y = _arguments(x, t, y)
        t_64 = torch.as_tensor(t, dtype=torch.float64).cpu()
        stage = torch.bucketize(t_64 + TIME_TOLERANCE, self.stops, right=True).clamp(max=len(self.fields) - 1)
        if stage.ndim == 0 or (stage == stage[0]).all():
            return self.fields[int(stage.flatten()[0])](x, t, y)
        velocity = torch.empty_like(x)
        for number in stage.unique():
            rows = torch.nonzero(stage == number)[:, 0].to(x.device)
            velocity[rows] = self.fields[int(number)](x[rows], t[rows], y[rows])
        return velocity
