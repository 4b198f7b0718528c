"""One-step predictions and velocity norms along trajectories (Figs. 4 and 8)."""

from collections.abc import Mapping, Sequence

import h5py
import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d
from tqdm import tqdm

from twostage.flow import predict_data
from twostage.hdf5 import write_texts
from twostage.provenance import PathLike, atomic_write, write_provenance
from twostage.sampling.context import Context
from twostage.sampling.experiments import SHOWN_TIMES
from twostage.sampling.run import attributes_of
from twostage.sampling.starts import shard_items

LAYOUT_SHARE = 4  # the layout is the latent averaged to a quarter of its side
MEASURES = ("norm", "to_end", "layout_to_end", "to_class_mean")


def record_trajectories(
    context: Context,
    outputs: Mapping[str, PathLike],
    output_csv: PathLike,
    *,
    samples: int = 256,
    seeds: Sequence[int] = (0,),
    shown: int = 16,
    times: Sequence[float] = SHOWN_TIMES,
    batch_size: int = 256,
) -> None:
    """Follow the trajectories of each plan of a ``Context``.

    samples, seeds, batch_size: as in ``twostage.sampling.run.sample_plans``.
    outputs: {plan name: HDF5 path}: /predictions uint8 (shown, T, H, W, C), the decoded one-step predictions
        x_t + (1 - t) v of the first seed's first ``shown`` samples at ``times`` (t = 1: the sample itself), /times
        (T,), /labels, /class_names (one text per label).
    output_csv: one row per plan (with its fields, solver, steps and NFE) and step start t. It holds means over the
        ``samples`` of all ``seeds``, with standard errors (``_sem``), of four root mean squares over the latent's
        dimensions. norm: of the velocity; to_end: of (prediction - end of the trajectory); layout_to_end: the same
        after averaging both to a quarter of their side; to_class_mean: of (prediction - mean training latent of the
        sample's class).
    """
    context.refuse_missing(outputs)
    shown = min(shown, samples)
    tables = []
    with torch.inference_mode():
        for name, plan in tqdm(context.plans.items(), desc="trajectories", unit="plan", disable=None):
            items = shard_items(samples, seeds, (0, 1), context.classes_of(plan))
            table, drawn_times, predictions = _follow_plan(plan, items, context, shown, list(times), batch_size)
            tables.append(table)
            with atomic_write(outputs[name]) as temporary, h5py.File(temporary, "w") as file:
                file["predictions"] = predictions
                file["times"] = np.asarray(drawn_times, dtype=np.float64)
                file["labels"] = items[: len(predictions), 2]
                write_texts(file, "class_names", context.train.class_names)
                file.attrs.update({"seed": seeds[0], "samples": len(predictions), **attributes_of(plan, context)})
    with atomic_write(output_csv) as temporary:
        pd.concat(tables).to_csv(temporary, index=False)
    for name, plan in context.plans.items():
        facts = {"samples": samples, "store_fingerprint": context.train.fingerprint}
        write_provenance(outputs[name], config=plan.to_dict(), seed=list(seeds), inputs=context.inputs(plan), **facts)
    write_provenance(
        output_csv,
        config={"plans": {name: plan.to_dict() for name, plan in context.given.items()}},
        seed=list(seeds),
        inputs=list(outputs.values()),
    )


def _follow_plan(plan, items, context, shown, times, batch_size):
    """The table of a plan, the shown times at or after its start, and its decoded predictions (shown, T, H, W, C)."""
    measured, pictures, means = {}, [], {}
    times = [time for time in times if time >= plan.begins]
    for start in range(0, len(items), batch_size):
        batch = items[start : start + batch_size]
        y = context.labels(batch)
        show = max(0, min(shown - start, len(batch)))
        steps, drawn = [], {}
        x, _ = context.begin(plan, batch)
        for part in plan.parts:
            x = context.advance(plan, part, x, batch, _observer(context.field_of(part), y, show, times, steps, drawn))
        drawn[1] = x[:show]
        class_mean = torch.stack([_class_mean(context, int(label), means) for label in batch[:, 2]])
        for t, prediction, norm in steps:
            values = (
                norm,
                rms(prediction - x),
                rms(layout(prediction) - layout(x)),
                rms(prediction - class_mean),
            )
            measured.setdefault(t, []).append(torch.stack(values, dim=1).cpu())
        if show:
            states = torch.stack([drawn[time] for time in times], dim=1)
            images = context.decode(states.flatten(0, 1))
            pictures.append(images.reshape(show, len(times), *images.shape[1:]))
    rows = []
    for t, parts in measured.items():
        values = torch.cat(parts).double().numpy()
        error = values.std(0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.full(len(MEASURES), np.nan)
        row = {"plan": plan.name, "field": " > ".join(part.field for part in plan.parts), "solver": plan.solver}
        row |= {"steps": sum(part.steps for part in plan.parts), "nfe": plan.nfe, "t": t, "samples": len(values)}
        for measure, mean, sem in zip(MEASURES, values.mean(0), error):
            row |= {measure: mean, f"{measure}_sem": sem}
        rows.append(row)
    return pd.DataFrame(rows), times, np.concatenate(pictures) if pictures else np.empty(0, np.uint8)


def _observer(field, y, show, times, steps, drawn):
    """A solver's ``observe``: keeps prediction and norm at each step's start, and predictions at shown times in it."""

    def observe(t, t_next, x, velocity):
        steps.append((t, predict_data(x, velocity, t), rms(velocity)))
        for time in times:
            if t - 1e-9 <= time < t_next - 1e-9 and show:
                # Within an Euler step the trajectory is a straight line.
                state = (x + (time - t) * velocity)[:show]
                at_time = velocity[:show] if abs(time - t) < 1e-9 else field(state, time, y[:show])
                drawn[time] = predict_data(state, at_time, time)

    return observe


def rms(x: Float[Tensor, " batch *shape"]) -> Float[Tensor, " batch"]:
    """Root mean square of each sample over its dimensions: (B, ...) to (B,)."""
    return x.flatten(1).square().mean(1).sqrt()


def layout(
    x: Float[Tensor, "batch channels height width"],
) -> Float[Tensor, "batch channels rows columns"]:
    """The latents (B, C, H, W) averaged to a quarter of their side."""
    rows, columns = (max(1, side // LAYOUT_SHARE) for side in x.shape[2:])
    return adaptive_avg_pool2d(x, (rows, columns))


def _class_mean(context, label, known):
    if label not in known:
        known[label] = context.train.class_data(label).mean(0).to(context.device)
    return known[label]
