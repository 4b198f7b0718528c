"""A model that the user's own code builds, in place of a training: looked at once, and written down."""

import sys

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from twostage.data.latents import LatentStore
from twostage.fetch import check_digest
from twostage.finite import finite
from twostage.flow import sample_noise
from twostage.model.foreign import built, digests, save_foreign
from twostage.model.identity import latents_of
from twostage.provenance import write_provenance
from twostage.sides import size_of

LOOKED_AT, TIMES = 2, (0.0, 0.5, 1.0)  # states and times at which a model is called before it is taken
AGREEMENT = 1e-2  # of a velocity with itself when a sample is alone, relative: less is another sample's influence
REPEATED = 1e-4  # of a velocity with itself when it is asked again, relative: rounding is far below


def import_foreign(description, store_path, output, *, step=0, sha256=None):
    """Write the file of a foreign model to ``output`` (``twostage.model.foreign``), and return the model.

    description: of ``twostage.model.foreign.built``; store_path: the latents that it is for; step: number of steps of
    its training, for the record; sha256: expected digest of its weights. The model is built, and called at the ends and
    in the middle of the path. Raises ValueError, in one line, where the function fails, where its scale is not that of
    the latents, and where what it predicts has another shape than its states, is not finite, differs from call to call,
    or depends on the other states of a batch.
    """
    if description["weights"]:
        check_digest(description["weights"], sha256)
    store = LatentStore.open(store_path, split="train")
    statistics = {"mean": store.mean.tolist(), "std": store.std.tolist()}
    try:
        model = built(description, statistics, store.num_classes)
        flops = looked_at(model, store)
    except ValueError as error:
        raise ValueError(f"{output}: {error}") from error
    _, channels, height, width = store.shape
    architecture = {
        **description, "input_size": size_of(height, width), "in_channels": channels, "num_classes": store.num_classes,
        "forward_flops": flops,
    }  # fmt: skip
    facts = {"digests": digests(description), "times": list(model.times), "clamped": model.clamped}
    save_foreign(output, architecture, step=step, foreign=facts, latents=latents_of(store) | statistics)
    inputs = [description["weights"]] if description["weights"] else []
    write_provenance(output, config={**description, "step": step}, inputs=inputs, **facts)
    print(f"{description['factory']}: {model.clamped}", file=sys.stderr)


def looked_at(model, store):
    """Operations of one forward pass of one sample, as torch counts them; ValueError for a model that does not fit."""
    labels = store.labels[np.linspace(0, len(store) - 1, LOOKED_AT).astype(int)]
    x, y = sample_noise(0, range(LOOKED_AT), store.shape[1:]), torch.from_numpy(labels)
    if store.num_classes > 1 and model.own_dropped_label in range(store.num_classes):
        raise ValueError(
            f"dropped_label is {model.own_dropped_label}, one of the {store.num_classes} classes; expected the label "
            f"that stands for no class, such as {store.num_classes}"
        )
    with torch.inference_mode():
        for t in TIMES:
            finite(
                _called(model, x, t, y), f"velocities of the model at t = {t:g}", "check its weights and its convention"
            )
        if model.dropped_label is not None:
            _called(model, x, 0.5, torch.full_like(y, model.dropped_label))
        together, again, alone = (_called(model, x[:n], 0.5, y[:n]) for n in (LOOKED_AT, LOOKED_AT, 1))
        if not _close(together, again, REPEATED):
            raise ValueError(
                "the velocity of the same states differs from one call to the next: the model draws random numbers; "
                "expected the same prediction each time: put layers such as dropout in eval mode, and let noise that "
                "it needs come from a generator that it seeds in each call"
            )
        if not _close(together[:1], alone, AGREEMENT):
            raise ValueError(
                "the velocity of a state depends on the other states of its batch; expected a model in eval mode, "
                "whose predictions are of each state alone"
            )
        # the counter does not know the kernels of attention of every version of torch; it knows their products
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            model(x[:1], 0.5, y[:1])
    return counter.get_total_flops()


def _close(one, other, share):
    return torch.allclose(one, other, rtol=share, atol=share * float(other.abs().max()))


def _called(model, x, t, y):
    try:
        return model(x, t, y)
    except (Exception, SystemExit) as error:
        if isinstance(error, ValueError):
            raise
        reason = f"{type(error).__name__}: {(str(error).splitlines() or ['no message'])[0]}"
        raise ValueError(f"the model failed at x of shape {tuple(x.shape)}, t = {t:g} here ({reason})") from error
