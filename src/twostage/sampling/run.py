"""Sampling: run plans with trained models and the oracle, and write images by shards.

Noise and label of sample i depend on (seed, i) alone: bit-identical whatever the batches, shards and devices; the
images then agree up to rounding.
"""

import json
from collections import Counter
from contextlib import ExitStack

import h5py
import numpy as np
import torch
from tqdm import tqdm

from twostage.data.encoders import load_encoder
from twostage.data.latents import LatentStore
from twostage.flow import time_grid
from twostage.model.checkpoints import load_model
from twostage.provenance import atomic_write, sha256, write_provenance
from twostage.sampling.plan import ORACLE, Plan, share_before, step_starts
from twostage.sampling.solver import SOLVERS
from twostage.sampling.starts import noise_of, present_classes, resumed_states, shard_items
from twostage.sampling.store_oracle import StoreOracle
from twostage.sampling.velocity import Guided, ModelVelocity, OracleVelocity

SCHEMA = 1


def sample_plans(
    store_path,
    encoder_spec,
    encoder_weights,
    checkpoints,
    plans,
    transition_path,
    outputs,
    *,
    samples,
    seeds,
    shard=(0, 1),
    batch_size=256,
    device="cpu",
    precision="float32",
    held_out_path=None,
    space=None,
    split=None,
):
    """Run every plan on one shard of the samples and write one HDF5 file a plan.

    store_path: latents.h5 of the training split; held_out_path: that of the held-out split, for plans that resume from
        it. encoder_spec, encoder_weights: what decodes the latents (``twostage.data.encoders.load_encoder``).
    checkpoints: {model name: path of its weights}; plans: {plan name: dict} (``twostage.sampling.plan``).
    transition_path: transition.json, whose "split" stands for the plans' "split"; ``split``, a number, overrides it.
    outputs: {plan name: path of this shard's file}.
    samples, seeds: images a seed, and the seeds; a plan's own ``samples`` takes precedence.
    shard: (k, n), this shard and their number. batch_size: trajectories solved at a time.
    precision: "float32", or "bf16" for the models' autocast. space: the latent space's name, for the record.

    Each file holds /images uint8 (n, H, W, C), /labels, /seed, /index int64 (n,), ordered by seed, then index; plans
    that resume or follow also /followed int64, the row of the image in its split's latent store, and
    /followed_mirrored bool.
    Its attributes say how: the resolved plan (JSON), NFE, guidance, split, weights, encoder, store.
    Plans that begin with the same parts share them. Raises ValueError for a plan that cannot be run.
    """
    split = _split(split, transition_path, plans)
    resolved = {
        name: Plan.from_dict(name, content).validate(checkpoints).resolve(split) for name, content in plans.items()
    }
    missing = [name for name in resolved if name not in outputs]
    if missing:
        raise ValueError(f"no output is named for plan {', '.join(missing)}; expected a path for every plan")
    device = torch.device(device)
    context = _Context(
        stores=_open_stores(store_path, held_out_path, resolved),
        encoder=load_encoder(encoder_spec, encoder_weights, device),
        models=_load_models(checkpoints, resolved, device),
        precision=precision,
        device=device,
    )
    facts = {
        "schema": SCHEMA,
        "space": space or "",
        "split": np.nan if split is None else split,
        "shard": list(shard),
        "seeds": list(seeds),
        "precision": precision,
        "encoder_sha256": context.encoder.sha256 or "",
        "store_fingerprint": context.train.fingerprint,
    }
    weights = {
        name: {"sha256": sha256(checkpoints[name]), "metadata": model.metadata}
        for name, model in context.models.items()
    }
    with ExitStack() as files, torch.inference_mode():
        written = {}
        for name, plan in resolved.items():
            temporary = files.enter_context(atomic_write(outputs[name]))
            items = shard_items(plan.samples or samples, seeds, shard, present_classes(context.train))
            written[name] = _Writer(
                files.enter_context(h5py.File(temporary, "w")), items, plan.follow or plan.start != "prior"
            )
            _describe(written[name].file, plan, plan.samples or samples, facts, weights)
        for group in _groups_of_same_samples(resolved, written):
            _run_group({name: resolved[name] for name in group}, written, context, batch_size)
    for name, plan in resolved.items():
        used = [checkpoints[part.field] for part in plan.parts if part.field != ORACLE]
        inputs = [
            *used,
            *([transition_path] if transition_path else []),
            *([encoder_weights] if encoder_weights else []),
        ]
        write_provenance(
            outputs[name],
            config=plan.to_dict(),
            seed=list(seeds),
            inputs=dict.fromkeys(inputs),
            samples=plan.samples or samples,
            store_fingerprint=context.train.fingerprint,
        )


class _Context:
    """What every plan draws on: stores, models, oracle, encoder, and the fields made of them."""

    def __init__(self, stores, encoder, models, precision, device):
        self.stores = stores
        self.train = stores["train"]
        self.encoder = encoder
        self.models = models
        self.device = device
        self.oracle = StoreOracle(self.train, device)
        self.fields = {name: ModelVelocity(model, precision) for name, model in models.items()}
        self.fields[ORACLE] = OracleVelocity(self.oracle)
        self.classes = present_classes(self.train)

    def field_of(self, part):
        field = self.fields[part.field]
        return field if part.guidance == 1 else Guided(field, part.guidance, part.interval, part.channels)

    def decode(self, x):
        """Images uint8 (n, H, W, C) of normalised latents."""
        return self.encoder.decode(self.train.denormalise(x.float())).cpu().numpy()


class _Writer:
    """The datasets of one shard's file, filled a batch at a time."""

    def __init__(self, file, items, follows):
        self.file = file
        self.items = items
        self.follows = follows
        for name, column in (("seed", 0), ("index", 1), ("labels", 2)):
            file[name] = items[:, column]
        if follows:
            file.create_dataset("followed", (len(items),), dtype=np.int64)
            file.create_dataset("followed_mirrored", (len(items),), dtype=bool)

    def write(self, rows, images, followed):
        """rows: increasing positions of the batch in the file."""
        if "images" not in self.file:
            self.file.create_dataset("images", (len(self.items), *images.shape[1:]), dtype=np.uint8)
        self.file["images"][rows] = images
        if self.follows:
            self.file["followed"][rows], self.file["followed_mirrored"][rows] = followed


def _run_group(plans, written, context, batch_size):
    """Run plans over the same samples, batch by batch; batches hold few classes, so that the oracle loads few."""
    items = written[next(iter(plans))].items
    order = np.argsort(items[:, 2], kind="stable")
    shared = Counter(prefix for plan in plans.values() for prefix in _prefixes(plan))
    batches = range(0, len(order), batch_size)
    with tqdm(total=len(batches) * len(plans), desc="sampling", unit="batch", disable=None) as progress:
        for start in batches:
            rows = np.sort(order[start : start + batch_size])
            known = {}
            for name, plan in plans.items():
                progress.set_postfix_str(name)
                x, followed = _begin(plan, items[rows], context)
                y = torch.from_numpy(items[rows, 2]).to(context.device)
                if plan.follow and followed is None:
                    followed = _follow(plan, x, y, context)
                x = _solve(plan, x, y, context, known, shared)
                written[name].write(rows, context.decode(x), followed)
                progress.update()


def _begin(plan, items, context):
    """State at which the plan starts, on the device, and the images it comes from (None from the prior)."""
    if plan.start == "prior":
        return noise_of(items, context.train.shape[1:]).to(context.device), None
    store = context.stores[plan.start["split"]]
    x, rows = resumed_states(items, store, plan.start["resume"], len(context.classes))
    return x.to(context.device), (rows, np.zeros(len(rows), dtype=bool))


def _solve(plan, x, y, context, known, shared):
    """The state at t = 1. Prefixes that several plans share (Tab. 1's first stages) are solved once a batch."""
    for part, prefix in zip(plan.parts, _prefixes(plan)):
        if prefix not in known:
            edges = time_grid(part.steps, part.start, part.stop, part.shift)
            x = SOLVERS[plan.solver](context.field_of(part), x, edges, y)
            if shared[prefix] > 1:
                known[prefix] = x
        x = known.get(prefix, x)
    return x


def _prefixes(plan):
    """A key for each leading run of the plan's parts: equal keys mean equal states."""
    prefix = (json.dumps([plan.start, plan.solver]),)
    prefixes = []
    for part in plan.parts:
        prefix = (*prefix, part)
        prefixes.append(prefix)
    return prefixes


def _follow(plan, x, y, context):
    """The image in which the oracle, kept on to t = 1, ends: (row of the store, mirrored or not), (n,) each."""
    leading = [part for part in plan.parts if part.field == ORACLE and part.stop <= plan.oracle_stop]
    grids = [time_grid(part.steps, part.start, part.stop, part.shift) for part in leading]
    if plan.oracle_stop < 1:
        steps = max(2, round(plan.steps * (1 - plan.oracle_stop)))
        grids.append(time_grid(steps, plan.oracle_stop, 1.0))
    last = {}
    for edges in grids:
        x = SOLVERS[plan.solver](
            context.fields[ORACLE], x, edges, y, observe=lambda t, _, state, __: last.update(t=t, x=state)
        )
    rows, mirrored = context.oracle.heaviest(last["x"], last["t"], y)
    return rows.numpy(), mirrored.numpy()


def _split(split, transition_path, plans):
    """The number that stands for "split": given, or read from transition.json; None where no plan needs one."""
    if split is not None or transition_path is None:
        return split
    try:
        with open(transition_path) as stream:
            return float(json.load(stream)["split"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{transition_path}: no number 'split' in it ({error!r}); expected a transition.json"
        ) from None


def _open_stores(store_path, held_out_path, plans):
    stores = {"train": LatentStore.open(store_path)}
    resuming = [plan.name for plan in plans.values() if plan.start != "prior" and plan.start["split"] == "held_out"]
    if resuming:
        if held_out_path is None:
            raise ValueError(f"plan {resuming[0]} resumes from held-out images; expected held_out_path, their latents")
        stores["held_out"] = LatentStore.open(held_out_path)
    return stores


def _load_models(checkpoints, plans, device):
    names = dict.fromkeys(part.field for plan in plans.values() for part in plan.parts if part.field != ORACLE)
    return {name: load_model(checkpoints[name], device) for name in names}


def _groups_of_same_samples(plans, written):
    groups = {}
    for name in plans:
        groups.setdefault(len(written[name].items), []).append(name)
    return groups.values()


def _describe(file, plan, samples, facts, weights):
    """Write the attributes that say how the samples were made."""
    weights = {part.field: weights[part.field] for part in plan.parts if part.field != ORACLE}
    starts = step_starts(plan)
    file.attrs.update(
        {
            **facts,
            "name": plan.name,
            "plan": json.dumps(plan.to_dict()),
            "samples": samples,
            "solver": plan.solver,
            "steps": len(starts),
            "nfe": plan.nfe,
            "step_starts": starts,
            "share_before_0.2": share_before(starts, 0.2),
            "share_before_split": share_before(starts, facts["split"]) if facts["split"] > 0 else np.nan,
            "t_switch": plan.oracle_stop if plan.follow else np.nan,
            "t_resume": np.nan if plan.start == "prior" else plan.begins,
            "followed_split": "train" if plan.start == "prior" else plan.start["split"],
            "weights": json.dumps(weights),
        }
    )
