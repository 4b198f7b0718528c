"""The models' error by t, against the conditional target and against the oracle velocity (Figs. 7 and 9)."""

import json
from numbers import Integral
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from twostage.arguments import as_device
from twostage.data.latents import LatentStore
from twostage.finite import finite
from twostage.flow import interpolate, sample_noise, velocity_target
from twostage.model.checkpoints import load_model
from twostage.model.identity import refuse_other_model
from twostage.model.rows import by_rows
from twostage.oracle import Oracle
from twostage.oracle.law import resolved_times
from twostage.provenance import atomic_write, write_provenance
from twostage.split import measured_split

# Times at which the paper's Fig. 7 was read off, in addition to tenths.
READ_OFF = (0.02, 0.04, 0.06, 0.08)
RESOLUTION = 0.125  # step of t / (1 - t) about the transition, over its value there


def measure_oracle_loss(
    store_path,
    checkpoints,
    output,
    output_pairs,
    *,
    transition_path,
    time_steps,
    pairs,
    seed,
    models=None,
    batch_size=256,
    device="cpu",
):
    """Write oracle_loss.csv: mean squared errors of every model on the same pairs and noise, without guidance.

    Also write oracle_loss.h5. The errors of every pair, by which models are compared: ``cfm`` and ``oracle`` float32
    (curves, times, pairs), ``model`` and ``step`` (curves,), ``t`` (times,), ``label`` (pairs,). And squares of
    velocities, mean over dimensions, by which their norms are compared: ``square`` (curves, times, pairs) of the
    models' velocities, ``oracle_square`` (times, pairs) of the oracle's u*, ``conditional_square`` (pairs,) of
    u = x_1 - x_0, and ``gap`` (times, pairs) of u - u*. Of models of another code, its attribute ``clamped`` says at
    which times they are asked (JSON).

    store_path: latents.h5 of the training split; checkpoints: {(model, step): path}; transition_path: transition.json,
    whose measured transition the times resolve; time_steps: intervals of the uniform grid on [0, 1], to which times
    that resolve the transition and those at which the paper's values were read off are added; pairs: number of pairs
    (x_0, x_1), with x_1 balanced over the classes; models: {model: what is expected of its files}
    (``twostage.model.identity``); batch_size: states per forward pass.

    Columns: model, step, t, pairs; cfm and oracle, the mean over pairs and dimensions of the squared error against
    x_1 - x_0 and against the class-conditional oracle velocity, with standard errors over pairs (``_sem``); gap_sem,
    the standard error of their difference, pair by pair; oracle_variance, the variance of the oracle velocity over the
    pairs, mean over dimensions; explained, the share of this variance that the model explains, 1 - oracle /
    oracle_variance (the absolute errors are all small near the prior). Returns the table. Sec. 4.2 of the paper.
    Raises ValueError for another model than expected, or a model of other latents.
    """
    device, store = as_device(device), LatentStore.open(store_path, split="train")
    rows = balanced_rows(store, pairs, seed)
    x_1 = store.read(rows)
    x_0 = sample_noise(seed, np.arange(len(rows)), x_1.shape[1:])
    y = torch.from_numpy(store.labels[rows])
    times = loss_times(time_steps, measured_split(transition_path).value)
    oracle = oracle_velocities(store, x_0, x_1, y, times, device)
    variance = oracle.var(1).flatten(1).mean(1).double().numpy()
    conditional = velocity_target(x_0, x_1)
    squares = {
        "oracle_square": torch.stack([mean_square(target) for target in oracle]),
        "conditional_square": mean_square(conditional),
        "gap": torch.stack([mean_square(conditional - target) for target in oracle]),
    }
    tables, every, clamped = [], [], {}
    for (model, step), path in tqdm(checkpoints.items(), desc="oracle loss", unit="model", disable=None):
        network = load_model(path, device)
        expected = {**(models or {}).get(model, {}), "step": step}
        refuse_other_model(path, network.architecture, network.metadata, store, expected)
        clamped |= {model: network.clamped} if hasattr(network, "clamped") else {}
        errors = np.stack(
            [_errors(network, x_0, x_1, y, t, target, batch_size, device) for t, target in zip(times, oracle)]
        )
        what = f"{path}: squared errors of {model} at step {step} (times, targets, pairs)"
        every.append(finite(errors, what, "check the model's training and the latents"))
        errors = errors[:, :2]
        mean, sem = errors.mean(2), errors.std(2, ddof=1) / np.sqrt(errors.shape[2])
        tables.append(
            pd.DataFrame(
                {
                    "model": model,
                    "step": step,
                    "t": times,
                    "pairs": len(rows),
                    "cfm": mean[:, 0],
                    "cfm_sem": sem[:, 0],
                    "oracle": mean[:, 1],
                    "oracle_sem": sem[:, 1],
                    "gap_sem": (errors[:, 0] - errors[:, 1]).std(1, ddof=1) / np.sqrt(errors.shape[2]),
                    "oracle_variance": variance,
                    "explained": 1 - mean[:, 1] / variance,
                }
            )
        )
    table = pd.concat(tables, ignore_index=True)
    with atomic_write(output) as temporary:
        table.to_csv(temporary, index=False)
    _write_pairs(output_pairs, checkpoints, times, y.numpy(), np.stack(every), squares, clamped)
    for path in (output, output_pairs):
        write_provenance(
            path,
            config={"time_steps": time_steps, "pairs": pairs},
            seed=seed,
            inputs=[Path(path) for path in (transition_path, *checkpoints.values())],
            store_fingerprint=store.fingerprint,
        )
    return table


def loss_times(time_steps, transition):
    """The times of the losses, ascending float64 (T,): a uniform grid, the paper's times, and times that resolve the
    transition."""
    asked = np.concatenate([np.linspace(0, 1, time_steps + 1), np.linspace(0, 1, 11), READ_OFF])
    return resolved_times(asked, [transition], step=RESOLUTION)


def _write_pairs(path, curves, times, labels, errors, squares, clamped):
    """errors: (curves, times, 3, pairs), against both targets, and the models' squares; squares: the targets' own;
    clamped: {foreign model: sentence}, which ``path`` records where there is one."""
    with atomic_write(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update({"clamped": json.dumps(clamped)} if clamped else {})
        file["model"] = [model for model, _ in curves]
        file["step"] = np.array([step for _, step in curves])
        file["t"], file["label"] = times, labels
        every = {name: errors[:, :, place] for place, name in enumerate(("cfm", "oracle", "square"))}
        for name, values in (every | squares).items():
            file.create_dataset(name, data=np.asarray(values, np.float32), compression="gzip", shuffle=True)


def balanced_rows(store, pairs, seed):
    """Rows of the store for ``pairs`` samples, balanced over the classes, sorted: int64 (pairs,).

    If the number of classes does not divide ``pairs``, the seed chooses the classes that get one more. Samples of a
    class repeat only if it has too few. Raises ValueError for fewer than 2 pairs.
    """
    if isinstance(pairs, bool) or not isinstance(pairs, Integral) or pairs < 2:
        raise ValueError(f"pairs is {pairs!r}; expected a whole number, at least 2, for a standard error")
    draw = np.random.default_rng(seed)
    labels = draw.permutation(np.unique(store.labels))
    rows = []
    for position, label in enumerate(labels):
        members = store.class_slice(label)
        wanted = pairs // len(labels) + (position < pairs % len(labels))
        count = members.stop - members.start
        rounds = [draw.permutation(count) for _ in range(-(-wanted // count))]
        rows.append(members.start + np.concatenate([*rounds, np.empty(0, int)])[:wanted])
    return np.sort(np.concatenate(rows)).astype(np.int64)


def oracle_velocities(store, x_0, x_1, y, times, device="cpu"):
    """Class-conditional oracle velocities at x_t of every pair: float32 (times, pairs, C, H, W), on the CPU.

    At t = 1 it is the limit along the pair's own path, x_1 - x_0, because all weight is on x_1.
    """
    velocities = torch.empty(len(times), *x_1.shape)
    for label in torch.unique(y).tolist():
        members = (y == label).nonzero()[:, 0]
        noise, data = x_0[members].to(device), x_1[members].to(device)
        oracle = Oracle(store, label, device=device)
        for index, t in enumerate(times.tolist()):
            velocity = velocity_target(noise, data) if t == 1 else oracle.velocity(interpolate(noise, data, t), t)
            velocities[index, members] = velocity.cpu()
    return velocities


@torch.inference_mode()
def _errors(network, x_0, x_1, y, t, oracle, batch_size, device):
    """Squared errors against the conditional and the oracle target, and squares, mean over dimensions: float64 (3,
    pairs)."""
    found = []
    for start in range(0, len(x_1), batch_size):
        part = slice(start, start + batch_size)
        noise, data = x_0[part].to(device), x_1[part].to(device)
        times = torch.full((len(data),), t, device=device)
        predicted = by_rows(network, interpolate(noise, data, t), times, y[part].to(device)).float()
        targets = torch.stack([velocity_target(noise, data), oracle[part].to(device)])
        errors = (predicted - targets).square().flatten(2).double().mean(2)
        found.append(torch.cat([errors, mean_square(predicted)[None]]).cpu())
    return torch.cat(found, dim=1).numpy()


def mean_square(x):
    """Mean of the squares over all dimensions but the first: (B, ...) to float64 (B,)."""
    return x.flatten(1).square().double().mean(1)
