"""Models against both targets by t: the mean squared error to the CFM target and to the oracle (Figs. 7 and 9).

Beside the absolute errors stands the share of the oracle velocity's variance that a model explains at each t: near the
prior every error is small because the oracle itself hardly varies once x_t is known.
"""

import csv

import numpy as np
import torch
from tqdm import tqdm

from twostage.data.latents import LatentStore
from twostage.flow import interpolate, sample_noise, velocity_target
from twostage.model.checkpoints import load_model
from twostage.oracle import Oracle
from twostage.provenance import atomic_write, write_provenance

COLUMNS = (
    "model",
    "step",
    "t",
    "pairs",
    "cfm",
    "cfm_sem",
    "oracle",
    "oracle_sem",
    "oracle_variance",
    "explained",
)
BATCH = 256


def measure_oracle_loss(latents, checkpoints, output, *, time_steps=50, pairs=256, seed=0, device="cpu"):
    """Write a CSV with a row for each (model, step, t): mean squared errors with their standard errors.

    latents: path of the training store; checkpoints: {(model, step): path of ``save_model``}; output: the CSV;
    time_steps: intervals of the time grid (``loss_times``); pairs: (x_0, x_1), balanced over the classes and drawn
    by ``seed`` alone, so that every model and every t sees the same ones. Class-conditional, without guidance.

    Columns: ``cfm``, ``oracle`` (mean over pairs and dimensions of the squared error to x_1 - x_0 and to u*),
    ``cfm_sem``, ``oracle_sem`` (standard errors over pairs), ``oracle_variance`` (mean over pairs and dimensions of the
    squared deviation of u* from its mean at that t), ``explained`` (1 - oracle / oracle_variance).
    Raises ValueError for a model that does not fit the latents.
    """
    store = LatentStore.open(latents)
    times = loss_times(time_steps)
    rows = balanced_rows(store.labels, pairs, seed)
    x_1 = store.read(rows)
    x_0 = sample_noise(seed, range(len(rows)), store.shape[1:])
    labels = torch.from_numpy(store.labels[rows])
    targets = oracle_velocities(store, x_0, x_1, labels, times, device)
    variances = [float(target.double().var(0, correction=0).mean()) for target in targets]

    with atomic_write(output) as temporary, open(temporary, "w", newline="") as stream:
        table = csv.DictWriter(stream, COLUMNS)
        table.writeheader()
        for (name, step), path in tqdm(checkpoints.items(), desc="models", disable=None):
            model = load_model(path, device)
            _check_fits(model, store, path)
            for t, target, variance in zip(times, targets, variances):
                cfm, oracle = _errors(model, x_0, x_1, t, labels, target, device)
                table.writerow(
                    {
                        "model": name,
                        "step": step,
                        "t": t,
                        "pairs": len(rows),
                        "cfm": float(cfm.mean()),
                        "cfm_sem": _sem(cfm),
                        "oracle": float(oracle.mean()),
                        "oracle_sem": _sem(oracle),
                        "oracle_variance": variance,
                        "explained": 1 - float(oracle.mean()) / variance,
                    }
                )
    write_provenance(
        output,
        config={"time_steps": time_steps, "pairs": pairs},
        seed=seed,
        inputs=list(checkpoints.values()),
        latents={"path": str(latents), "fingerprint": store.fingerprint},
    )


def loss_times(time_steps):
    """Times k / time_steps on [0, 1), then 1 - 1 / (4 time_steps) in place of t = 1, where u* is not defined."""
    return [step / time_steps for step in range(time_steps)] + [1 - 0.25 / time_steps]


def balanced_rows(labels, count, seed):
    """Rows of ``count`` samples, int64 sorted, as many of each class as can be; rows repeat when a class runs out.

    labels: (N,) of the store. Which classes get one more when the count does not come out even is random.
    """
    random = np.random.default_rng([seed, 0])
    classes = random.permutation(np.unique(labels))
    rows = []
    for rank, label in enumerate(classes):
        wanted = count // len(classes) + (rank < count % len(classes))
        members = random.permutation(np.flatnonzero(labels == label))
        rows.append(np.resize(members, wanted))
    return np.sort(np.concatenate(rows))


def oracle_velocities(store, x_0, x_1, labels, times, device):
    """Class-conditional oracle velocity of each pair at each time: float32 (times, pairs, C, H, W) on the CPU."""
    targets = torch.empty(len(times), *x_1.shape)
    for label in tqdm(labels.unique().tolist(), desc="oracle", disable=None):
        members = labels == label
        oracle = Oracle(store, label, device=device)
        for place, t in enumerate(times):
            x_t = interpolate(x_0[members], x_1[members], t)
            targets[place, members] = oracle.velocity(x_t.to(device), t).cpu()
    return targets


@torch.no_grad()
def _errors(model, x_0, x_1, t, labels, target, device):
    """Squared errors to both targets, mean over dimensions: two float64 (pairs,)."""
    x_t = interpolate(x_0, x_1, t)
    velocity = torch.cat(
        [
            model(part.to(device), torch.full((len(part),), t, device=device), y.to(device)).cpu()
            for part, y in zip(x_t.split(BATCH), labels.split(BATCH))
        ]
    )
    errors = (velocity - velocity_target(x_0, x_1), velocity - target)
    return tuple(error.double().square().flatten(1).mean(1) for error in errors)


def _sem(values):
    """Standard error of the mean; zero for a single value, of which nothing is known."""
    return float(values.std()) / len(values) ** 0.5 if len(values) > 1 else 0.0


def _check_fits(model, store, path):
    sizes = model.architecture
    theirs = (sizes["in_channels"], sizes["input_size"], sizes["input_size"], sizes["num_classes"])
    if theirs != (*store.shape[1:], store.num_classes):
        raise ValueError(
            f"{path}: made for latents {theirs[:3]} of {theirs[3]} classes; expected those of {store.path}: "
            f"{store.shape[1:]} of {store.num_classes}"
        )
