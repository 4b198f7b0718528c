"""Models in another code and convention, as velocity fields of the rectified path.

A foreign model is a callable (x, t, y) with its own path, prediction and units. In its units the data are f = (raw -
mean) / std and its noise is isotropic: on its path x = alpha f + sigma e. Here latents are z = (raw - m) / d, and x_t =
t z + (1 - t) e. With f = c z + b, where c = d / std and b = (m - mean) / std,

    x_t / t = z + e / s, s = t / (1 - t),           x / alpha - b = c (z + e sigma / (alpha c)) :

the two are one Gaussian channel where s = c alpha / sigma, and that is for all channels exactly where **c is one
number**. Any mean is made up for by b. Where c differs between channels, noise that is isotropic here is not so there,
and no time and no scale make up for that: the run's latents must be normalised in proportion to the model's own std
(``spaces.{name}.normalise`` in a configuration), or the model is refused.
"""

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path as File
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors.torch import save_file
from torch import Tensor

from twostage import paths
from twostage.arguments import Array, as_floating, as_tensor
from twostage.flow import Time, expand_time
from twostage.model.levels import levels
from twostage.model.scales import alike
from twostage.own_code import called, source_of
from twostage.paths import Kind, Path
from twostage.provenance import PathLike, atomic_write, sha256

SCHEMA = "twostage.foreign/1"
Values = float | Sequence[float] | Float[Array, " channels"]


class Foreign:
    """The velocity (x, t, y) -> v, on the rectified path and in the units of this run's latents, of a foreign model.

    model: called as ``model(x, t, y)``, with points x (B, ...) of its own path in its own units, its own times t (B,),
    and int64 labels (B,) or None; a torch module is called in the dtype of its weights. It returns a tensor of the
    shape of x: the prediction ``predicts``. path: a ``twostage.paths.Path``, or the name of one. mean, std: its data
    are (raw - mean) / std; store_mean, store_std: the latents here are (raw - store_mean) / store_std; each is a number
    or one per channel. sigma_min, sigma_max: the noise levels sigma / alpha between which it is asked; for ``edm`` and
    ``ve`` they are also the ends of the path; None: 0.002 and 80, as far as the path reaches, and no bound for the
    velocity of the rectified path. num_classes: the label that stands for no class here; dropped_label: the one that
    does for the model.

    Outside of its noise levels it is asked at the nearest one: near the prior with the point's x / sigma, for the data,
    near the data with its x / alpha, for the noise. ``times``: the rectified times (lo, hi) between which nothing is
    clamped. ``dropped_label``: num_classes, or None if the model has no such label. Raises ValueError where the scales
    of the channels differ, for noise levels that are none, and, when it is called, for a prediction of another shape.

    >>> denoiser = lambda x, sigma, y: 2 + (x - 2) * (0.25 / (0.25 + sigma[:, None] ** 2))  # data of mean 2, std 1/2
    >>> field = Foreign(denoiser, "edm", "data", store_mean=2.0, store_std=0.5)  # here of mean 0 and std 1
    >>> x = torch.tensor([[1.0]])
    >>> field(x, 0.25, None), (2 * 0.25 - 1) / (0.25**2 + 0.75**2) * x  # that of a standard normal distribution
    (tensor([[-0.8000]]), tensor([[-0.8000]]))
    """

    def __init__(
        self,
        model: Callable[..., Tensor],
        path: str | Path,
        predicts: Kind,
        *,
        mean: Values = 0.0,
        std: Values = 1.0,
        store_mean: Values = 0.0,
        store_std: Values = 1.0,
        sigma_min: float | None = None,
        sigma_max: float | None = None,
        num_classes: int | None = None,
        dropped_label: int | None = None,
    ) -> None:
        if predicts not in paths.KINDS:
            raise ValueError(f"predicts is {predicts!r}; expected one of {', '.join(paths.KINDS)}")
        self.model, self.predicts = model, predicts
        self.scale, self.offset = affine(mean, std, store_mean, store_std)
        self.path = _path(path, sigma_min, sigma_max)
        self.reach = _reach(self.path, predicts, sigma_min, sigma_max)
        self.times = tuple(1.0 if math.isinf(s) else self.scale * s / (1 + self.scale * s) for s in self.reach)
        self.dropped_label = None if dropped_label is None else num_classes
        self.own_dropped_label = dropped_label
        self.architecture: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}

    def __call__(
        self, x: Float[Array, " batch *shape"], t: Time, y: Int[Array, " batch"] | None
    ) -> Float[Tensor, " batch *shape"]:
        x = as_floating("x", x)
        y = None if y is None else as_tensor("y", y).to(x.device)
        t = as_tensor("t", t).to(x.device, torch.float64).expand(x.shape[0])
        time = self.path.time((t / (1 - t) / self.scale).clamp(*self.reach))
        early = expand_time(t < 0.5, x) > 0
        left, gone = ((expand_time(each, x.double())).clamp(min=0.5) for each in (1 - t, t))  # each in its own half
        alpha, sigma = (expand_time(of(time), x.double()) for of in (self.path.alpha, self.path.sigma))
        offset = torch.as_tensor(self.offset, device=x.device).reshape(-1, *[1] * (x.ndim - 2))
        # x in units in which the noise, or the data, have the scale that the model expects.
        scaled = torch.where(early, sigma * x / left, alpha * self.scale * x / gone) + alpha * offset
        prediction = self._predicted(scaled.to(x.dtype), time.to(x.dtype), y).double()
        data, noise = (
            self.path.convert(prediction, scaled, time, of=self.predicts, to=kind) for kind in ("data", "noise")
        )
        velocity = torch.where(early, ((data - offset) / self.scale - x) / left, (x - noise) / gone)
        return velocity.to(x.dtype)

    def _predicted(self, x, time, y):
        """What the model returns, looked at."""
        if self.own_dropped_label is not None and y is not None:
            y = torch.where(y == self.dropped_label, self.own_dropped_label, y)
        weights = self.model.parameters() if isinstance(self.model, torch.nn.Module) else ()
        dtype = next((weight.dtype for weight in weights), x.dtype)
        # copies: a model may write into what it is given
        own = x.to(dtype, copy=True), time.to(dtype, copy=True), None if y is None else y.clone()
        found = self.model(*own)
        if not isinstance(found, Tensor) or found.shape != x.shape or not found.is_floating_point():
            what = f"{found.dtype} of shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            raise ValueError(
                f"the foreign model returned {what} for x of shape {tuple(x.shape)}; expected the predicted "
                f"{self.predicts}, a floating tensor of the same shape"
            )
        return found

    @property
    def clamped(self) -> str:
        """A sentence that says at which times the model is asked at the nearest of its noise levels."""
        (low, high), levels = self.times, [1 / s if s else math.inf for s in self.reach]
        if (low, high) == (0.0, 1.0):
            return "asked at all times"
        return (
            f"asked at sigma / alpha {levels[1]:.4g} to {levels[0]:.4g} of its own, here t = {low:.4g} to {high:.4g}; "
            "at other times at the nearest of these"
        )


def affine(
    mean: Values, std: Values, store_mean: Values, store_std: Values
) -> tuple[float, Float[np.ndarray, " channels"]]:
    """(c, b): a latent z of this run is c z + b in a model's units, c a number and b one per channel.

    Raises ValueError, naming the std to set, where c would differ between channels by more than a thousandth.
    """
    theirs_mean, theirs_std, ours_mean, ours_std = (
        np.atleast_1d(np.asarray(each, dtype=np.float64)) for each in (mean, std, store_mean, store_std)
    )
    counts = {each.size for each in (theirs_mean, theirs_std, ours_mean, ours_std)} - {1}
    if len(counts) > 1:
        raise ValueError(
            f"the model's normalisation and the latents have {' and '.join(map(str, sorted(counts)))} channels; "
            "expected as many, or one number"
        )
    if not ((theirs_std > 0).all() and (ours_std > 0).all()):
        raise ValueError(f"std is {theirs_std.min():g}, of the latents {ours_std.min():g}; expected numbers above 0")
    ratio = ours_std / theirs_std
    if not alike(ratio):
        wanted = "all" if np.ptp(theirs_std) == 0 else f"{{std: {[float(f'{each:.6g}') for each in theirs_std]}}}"
        raise ValueError(
            f"the latents' stds over the model's are {_few(ratio)} per channel; expected one number, or noise that is "
            f"isotropic here is not so for the model: normalise the latents by its own (spaces.*.normalise: {wanted})"
        )
    return float(ratio.mean()), (ours_mean - theirs_mean) / theirs_std


def _few(values):
    shown = ", ".join(f"{value:.4g}" for value in values[:4])
    return shown + (", ..." if len(values) > 4 else "")


def _path(path, sigma_min, sigma_max):
    """A path by its name, by a function of the user's own code, or as it is."""
    if isinstance(path, Path):
        return path
    if path in ("edm", "ve"):
        ends = {"sigma_min": sigma_min, "sigma_max": sigma_max}
        return paths.NAMED[path](**{key: value for key, value in ends.items() if value is not None})
    if ":" not in path:
        return paths.named(path)
    found = called(path)
    if not isinstance(found, Path):
        raise ValueError(f"{path!r} returned a {type(found).__name__}; expected a twostage.paths.Path")
    return found


def _reach(path, predicts, sigma_min, sigma_max):
    """(least, largest) alpha / sigma at which the model is asked."""
    bounded = path is not paths.RECTIFIED or predicts != "velocity"
    least, most = levels(bounded, sigma_min, sigma_max)
    low, high = path.reach
    low, high = max(low, 1 / most), min(high, 1 / least if least else math.inf)
    if not low < high:
        raise ValueError(
            f"sigma / alpha from {least:g} to {most:g}; expected levels that the path {path.name} reaches, "
            f"{1 / path.reach[1]:g} to {1 / path.reach[0] if path.reach[0] else math.inf:g}"
        )
    return low, high


# --------------------------------------------------------------------------------------------------------------- files


def built(
    description: Mapping[str, Any],
    statistics: Mapping[str, Any],
    num_classes: int,
    device: str | torch.device = "cpu",
) -> Foreign:
    """The ``Foreign`` that a configuration describes, built by the user's code, on ``device``.

    description: factory, weights, options, path, predicts, normalisation ("store", or mean and std), sigma_min,
    sigma_max, dropped_label; statistics: mean and std by which the run's latents are normalised. Raises ValueError, in
    one line, where the function fails or returns no callable.
    """
    name, weights = description["factory"], description["weights"]
    model = called(name, *([weights] if weights else []), **description["options"])
    if not callable(model):
        raise ValueError(f"{name!r} returned a {type(model).__name__}; expected a callable (x, t, y)")
    if isinstance(model, torch.nn.Module):
        model = model.to(device).eval().requires_grad_(False)
    units = statistics if description["normalisation"] == "store" else description["normalisation"]
    same = ("path", "predicts", "sigma_min", "sigma_max", "dropped_label")
    return Foreign(
        model, **{key: description[key] for key in same}, mean=units["mean"], std=units["std"], num_classes=num_classes,
        store_mean=statistics["mean"], store_std=statistics["std"],
    )  # fmt: skip


def digests(description: Mapping[str, Any]) -> dict[str, str | None]:
    """Digests of what a foreign model is made of: its weights, and the files in which its functions stand."""
    return {part: file and sha256(file) for part, file in _files(description).items()}


def _files(description):
    """{part: file}: its weights, the function that builds it and that of its path; None for what has no file."""
    path = description["path"]
    files = {"weights": description["weights"], "source": source_of(description["factory"])}
    return files | ({"path": source_of(path)} if ":" in path else {})


def save_foreign(path: PathLike, architecture: Mapping[str, Any], **metadata: Any) -> None:
    """Write a foreign model's file: no weights, and in the header what builds it, as in ``checkpoints.save_model``."""
    content = {"schema": SCHEMA, "architecture": architecture, "metadata": metadata}
    with atomic_write(path) as temporary:
        save_file({}, temporary, metadata={"twostage": json.dumps(content, sort_keys=True)})


def load_foreign(
    path: PathLike, architecture: Mapping[str, Any], metadata: dict[str, Any], device: str | torch.device = "cpu"
) -> Foreign:
    """The model of a file of ``save_foreign``, from its header. It says on stderr where times are clamped.

    Raises ValueError where a function's file or the weights have changed since the file was written.
    """
    recorded = metadata["foreign"]["digests"]
    for part, digest in digests(architecture).items():
        if digest != recorded.get(part):
            what = _files(architecture)[part] or architecture["factory"]
            raise ValueError(f"{what} has changed since {path} was made of it; expected the same: make {path} again")
    model = built(architecture, metadata["latents"], architecture["num_classes"], device)
    model.architecture, model.metadata = dict(architecture), metadata
    print(f"{File(path).parent.name}, built by {architecture['factory']}: {model.clamped}", file=sys.stderr)
    return model
