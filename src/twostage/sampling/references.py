"""Whom a model follows: its velocity against the oracle's, the Gaussian's and the conditional target, pair by pair.

On three kinds of paths, from the same noise and for the same class: the straight ones of training images and of
held-out images, and the model's own trajectories. What lies on straight paths is the same for all models.
"""

import math
from functools import reduce

import h5py
import numpy as np
import torch
from tqdm import tqdm

from twostage.arguments import as_device
from twostage.data.held_out import open_held_out
from twostage.data.latents import LatentStore
from twostage.finite import finite
from twostage.flow import interpolate, time_grid
from twostage.model.checkpoints import load_model
from twostage.model.identity import refuse_other_model
from twostage.oracle import Oracle
from twostage.oracle.gaussian import Gaussian
from twostage.provenance import atomic_write, write_provenance
from twostage.sampling.solver import SOLVERS, finite_states
from twostage.sampling.starts import noise_of, present_classes, shard_items
from twostage.sampling.velocity import ModelVelocity

TRAIN, HELD_OUT, OWN = "train", "held_out", "own"
REFERENCES = ("oracle", "gaussian", "conditional")
HELD_MB = 4096  # of states and velocities of all models, for as many pairs as fit
BYTES = 4


def measure_references(
    store_path,
    checkpoints,
    output,
    *,
    held_out_path=None,
    samples,
    seeds,
    times,
    steps,
    solver,
    batch_size=256,
    precision="float32",
    models=None,
    device="cpu",
):
    """Write an HDF5 file of every model's squared errors, mean over dimensions, on every pair, without guidance.

    store_path, held_out_path: latents.h5 of the training split and of the held-out one (None: no such paths);
    checkpoints: {(model, step): path}; samples, seeds: pairs of noise and image per seed, and the seeds; times: number
    of the step starts to look at; steps, solver: of the models' own trajectories on the uniform grid over [0, 1];
    batch_size: pairs at a time at most; precision: of the models; models: {model: what is expected of its files}
    (``twostage.model.identity``).

    The file holds ``model`` and ``step`` (curves,), ``t`` (times,), ``label`` (pairs,). Of each kind of path
    (``train``, ``held_out`` and ``own``): ``{kind}_oracle``, ``{kind}_gaussian`` and ``{kind}_conditional`` float32
    (curves, times, pairs), errors against the class's oracle velocity, against its Gaussian's, both made from the
    training latents, and against x_1 - x_0, which on the model's own trajectory is its end minus its start.
    ``{kind}_apart``: the squared distance between oracle and Gaussian there, (times, pairs), of ``own`` (curves, times,
    pairs).
    Raises ValueError for another model than expected, and where no class has both training and held-out images.
    """
    device, train = as_device(device), LatentStore.open(store_path, split="train")
    stores = {TRAIN: train} | ({} if held_out_path is None else {HELD_OUT: open_held_out(held_out_path, train)})
    classes = reduce(np.intersect1d, map(present_classes, stores.values()))
    if not len(classes):
        raise ValueError(f"{held_out_path}: no class of it has training images; expected one at least")
    items = shard_items(samples, seeds, (0, 1), classes)
    items = items[np.argsort(items[:, 2], kind="stable")]  # few classes at a time
    rows = {kind: _drawn_rows(items[:, 2], store, seeds[0]) for kind, store in stores.items()}
    grid = time_grid(steps, 0.0, 1.0)
    starts = chosen_starts(steps, times)
    size = min(batch_size, pairs_at_once(len(checkpoints), len(starts), len(stores), math.prod(train.shape[1:])))
    settings = {"grid": grid, "starts": starts, "solver": solver, "precision": precision, "models": models or {}}
    parts = []
    with torch.inference_mode():
        for first in tqdm(range(0, len(items), size), desc="references", unit="batch", disable=None):
            part = slice(first, first + size)
            images = {kind: store.read(rows[kind][part]).to(device) for kind, store in stores.items()}
            velocities, states, ends = _of_models(items[part], images, checkpoints, train, device, **settings)
            parts.append(_errors(items[part], images, velocities, states, ends, train, grid[starts].tolist(), device))
    found = {name: np.concatenate([part[name] for part in parts], axis=-1) for name in parts[0]}
    for name, values in found.items():
        finite(values, f"errors {name} (curves, times, pairs)", "check the models' training and the latents")
    with atomic_write(output) as temporary, h5py.File(temporary, "w") as file:
        file["model"] = [model for model, _ in checkpoints]
        file["step"] = np.array([step for _, step in checkpoints])
        file["t"], file["label"] = grid[starts].numpy(), items[:, 2]
        for name, values in found.items():
            file.create_dataset(name, data=values, compression="gzip", shuffle=True)
    write_provenance(
        output,
        config={"samples": samples, "times": times, "steps": steps, "solver": solver, "precision": precision},
        seed=list(seeds),
        inputs=list(checkpoints.values()),
        store_fingerprint=train.fingerprint,
    )


def chosen_starts(steps, times):
    """Numbers of at most ``times`` of a grid's step starts, evenly, the first and the last among them: int64 (T,)."""
    return np.unique(np.linspace(0, steps - 1, min(times, steps)).round().astype(np.int64))


def pairs_at_once(curves, times, kinds, dim):
    """Pairs whose states and velocities of all models fit into ``HELD_MB``; kinds: of straight paths."""
    return max(1, HELD_MB * (1 << 20) // (BYTES * dim * curves * times * (2 + kinds)))


def _drawn_rows(labels, store, seed):
    """Rows of ``store``, int64 (n,): an image of each label, drawn by the seed; a class that is used up begins anew."""
    draw, rows = np.random.default_rng(seed), np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members, mine = store.class_slice(int(label)), np.flatnonzero(labels == label)
        count = members.stop - members.start
        rounds = [draw.permutation(count) for _ in range(-(-len(mine) // count))]
        rows[mine] = members.start + np.concatenate(rounds)[: len(mine)]
    return rows


def _of_models(items, images, checkpoints, train, device, *, grid, starts, solver, precision, models):
    """What the models do: {kind: velocities}, and on their own trajectories the states, all float32 (curves, times, n,
    C, H, W), and their ends (curves, n, C, H, W); on the CPU."""
    y, noise = torch.from_numpy(items[:, 2]).to(device), noise_of(items, train.shape[1:]).to(device)
    shape = len(checkpoints), len(starts), *noise.shape
    velocities = {kind: torch.empty(shape) for kind in (*images, OWN)}
    states, ends = torch.empty(shape), torch.empty(shape[0], *noise.shape)
    place_of = {float(grid[start]): place for place, start in enumerate(starts)}
    for curve, ((model, step), path) in enumerate(checkpoints.items()):
        network = load_model(path, device)
        refuse_other_model(
            path, network.architecture, network.metadata, train, {**models.get(model, {}), "step": step}
        )  # fmt: skip
        field = ModelVelocity(network, precision)
        for kind, x_1 in images.items():
            for t, place in place_of.items():
                velocities[kind][curve, place] = field(interpolate(noise, x_1, t), t, y).cpu()

        def observe(t, _, x, velocity, curve=curve):
            if (place := place_of.get(t)) is not None:
                states[curve, place], velocities[OWN][curve, place] = x.cpu(), velocity.cpu()

        end = SOLVERS[solver](field, noise, grid, y, observe)
        ends[curve] = finite_states(end, path, items).cpu()
    return velocities, states, ends


def _errors(items, images, velocities, states, ends, train, times, device):
    """{dataset: float32 (..., n)} of the file, for some pairs."""
    noise, curves, count = noise_of(items, train.shape[1:]), len(ends), len(items)
    found = {
        f"{kind}_{name}": np.empty((curves, len(times), count), np.float32)
        for kind in velocities
        for name in REFERENCES
    }
    found |= {f"{kind}_apart": np.empty((len(times), count), np.float32) for kind in images}
    found[f"{OWN}_apart"] = np.empty((curves, len(times), count), np.float32)
    for label in np.unique(items[:, 2]):
        mine = np.flatnonzero(items[:, 2] == label)
        oracle = Oracle(train, int(label), device=device)
        gaussian = Gaussian(oracle.samples)
        x_0 = noise[mine].to(device)
        for place, t in enumerate(times):
            for kind, velocity in velocities.items():
                if kind == OWN:
                    x_t, straight = states[:, place, mine].to(device), ends[:, mine].to(device) - x_0
                else:
                    x_1 = images[kind][mine]
                    x_t, straight = interpolate(x_0, x_1, t), x_1 - x_0
                flat = x_t.reshape(-1, *x_0.shape[1:])
                exact, closed = (each.velocity(flat, t).reshape(x_t.shape) for each in (oracle, gaussian))
                ours = velocity[:, place, mine].to(device)
                for name, target in zip(REFERENCES, (exact, closed, straight)):
                    found[f"{kind}_{name}"][:, place, mine] = _mean_square(ours - target)
                found[f"{kind}_apart"][..., place, mine] = _mean_square(exact - closed)
    return found


def _mean_square(x):
    """Mean over a latent's dimensions: (..., C, H, W) to numpy (...,)."""
    return x.flatten(-3).square().double().mean(-1).cpu().numpy()
