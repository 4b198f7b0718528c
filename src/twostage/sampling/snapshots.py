"""Samples of every snapshot from the same noise and labels: they show what the model had learned at each step."""

import h5py
import numpy as np
import torch
from tqdm import tqdm

from twostage.data.encoders import load_encoder
from twostage.data.latents import LatentStore
from twostage.flow import time_grid
from twostage.model.checkpoints import load_model
from twostage.model.identity import refuse_other_model
from twostage.provenance import atomic_write, write_provenance
from twostage.sampling.solver import SOLVERS, finite_states
from twostage.sampling.starts import noise_of, present_classes, shard_items
from twostage.sampling.velocity import ModelVelocity

SAMPLES = 8


def sample_snapshots(
    store_path, encoder_spec, encoder_weights, checkpoints, output, *, steps, solver, seed, models=None, device="cpu"
):
    """Write an HDF5 file with the same few samples of every snapshot, without guidance.

    store_path: latents.h5 of the training split; encoder_spec, encoder_weights: the encoder that decodes the latents
    (``twostage.data.encoders.load_encoder``); checkpoints: {(model, step): path}; steps: of the uniform grid on [0, 1];
    solver: a name in ``SOLVERS``; seed: of the noise; models: {model: expected facts of its files}
    (``twostage.model.identity``).

    The file holds /images uint8 (snapshots, SAMPLES, H, W, C), /model and /step (snapshots,), /labels (SAMPLES,): the
    first classes that occur in the store, one sample each. Where the latent space has no decoder (kind ``none``) it
    holds no /images.
    """
    store = LatentStore.open(store_path, split="train")
    encoder = load_encoder(encoder_spec, encoder_weights, device) if encoder_spec["kind"] != "none" else None
    items = shard_items(SAMPLES, [seed], (0, 1), present_classes(store))
    noise = noise_of(items, store.shape[1:]).to(device)
    y, times = torch.from_numpy(items[:, 2]).to(device), time_grid(steps, 0.0, 1.0)
    images = []
    with torch.inference_mode():
        for (name, step), path in tqdm(checkpoints.items(), desc="samples", unit="snapshot", disable=None):
            model, expected = load_model(path, device), {**(models or {}).get(name, {}), "step": step}
            refuse_other_model(path, model.architecture, model.metadata, store, expected)
            x = SOLVERS[solver](ModelVelocity(model), noise, times, y)
            finite_states(x, path, items)
            if encoder:
                images.append(encoder.decode(store.denormalise(x.float())).numpy())
    with atomic_write(output) as temporary, h5py.File(temporary, "w") as file:
        if encoder:
            file["images"] = np.stack(images)
        file["labels"] = items[:, 2]
        file["model"] = [model for model, _ in checkpoints]
        file["step"] = np.array([step for _, step in checkpoints])
    write_provenance(
        output,
        config={"steps": steps, "solver": solver, "guidance": 1},
        seed=seed,
        inputs=list(checkpoints.values()),
        store_fingerprint=store.fingerprint,
    )
