"""Sampling: run plans with trained models and the oracle, and write images by shards.

Noise and label of sample i depend on (seed, i) alone. They are bit-identical whatever the batches, shards and devices;
the images then agree up to rounding.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import h5py
import numpy as np
import torch
from tqdm import tqdm

from twostage.hdf5 import write_texts
from twostage.provenance import PathLike, atomic_write, write_provenance
from twostage.sampling.context import Context, follow_grid
from twostage.sampling.cost import evaluations_of, network_flops
from twostage.sampling.plan import CLOSED_FORM, Plan, prefixes, share_before, step_starts
from twostage.sampling.starts import shard_items

SCHEMA = 1


def sample_plans(
    context: Context,
    outputs: Mapping[str, PathLike],
    *,
    samples: int,
    seeds: Sequence[int],
    shard: Sequence[int] = (0, 1),
    batch_size: int = 256,
) -> None:
    """Run every plan of a ``Context`` on one shard of the samples, and write one HDF5 file per plan.

    outputs: {plan name: path of this shard's file}; samples, seeds: images per seed, and the seeds; a plan's own
    ``samples`` takes precedence; shard: (k, n), this shard and their number; batch_size: trajectories solved at a time.

    Each file holds /images uint8 (n, H, W, C), /labels, /seed, /index int64 (n,), ordered by seed, then index, and
    /class_names, one text per label. Files of plans that resume or follow also hold /followed int64, the row of the
    image in its split's latent store, and /followed_mirrored bool.
    The attributes record the resolved plan (JSON), the plan as it was written (JSON, ``given``), NFE, evaluations of
    each field and operations of the networks for one sample (``twostage.sampling.cost``), step starts, weights, encoder
    and store; where the plan names the split, its value, source and interval; and the ``windows`` (JSON) that the plan
    names, with their source.
    Leading parts that plans have in common are solved once. Raises ValueError for a plan without an output, and for
    states that are not finite.
    """
    context.refuse_missing(outputs)
    with ExitStack() as files, torch.inference_mode():
        written = {}
        for name, plan in context.plans.items():
            temporary = files.enter_context(atomic_write(outputs[name]))
            items = shard_items(plan.samples or samples, seeds, shard, context.classes_of(plan))
            file = files.enter_context(h5py.File(temporary, "w"))
            written[name] = _Writer(file, items, plan.follow or plan.resumes)
            write_texts(file, "class_names", context.train.class_names)
            file.attrs.update({"shard": list(shard), "seeds": list(seeds), "samples": plan.samples or samples})
            file.attrs.update(attributes_of(plan, context))
        for group in _groups_of_same_samples(written):
            _run_group(group, written, context, batch_size)
    for name, plan in context.plans.items():
        write_provenance(
            outputs[name],
            config=plan.to_dict(),
            seed=list(seeds),
            inputs=context.inputs(plan),
            samples=plan.samples or samples,
            store_fingerprint=context.train.fingerprint,
        )


def attributes_of(plan: Plan, context: Context) -> dict[str, Any]:
    """The attributes that record how the samples of a plan were made."""
    starts = step_starts(plan)
    weights = {part.field: context.weights[part.field] for part in plan.parts if part.field not in CLOSED_FORM}
    split = context.splits[plan.name]
    windows = {name: asdict(context.windows[name]) for name in context.given[plan.name].names_windows}
    return (
        context.facts
        | (split.attributes() if split else {})
        | ({"windows": json.dumps(windows)} if windows else {})
        | {
            "schema": SCHEMA,
            "name": plan.name,
            "plan": json.dumps(plan.to_dict()),
            "given": json.dumps(context.given[plan.name].to_dict()),
            "solver": plan.solver,
            "steps": len(starts),
            "nfe": plan.nfe,
            "evaluations": json.dumps(evaluations_of(plan)),
            "network_flops": network_flops(plan, context.architectures),
            "step_starts": starts,
            "share_before_0.2": share_before(starts, 0.2),
            "t_switch": plan.oracle_stop if plan.follow else np.nan,
            "t_resume": plan.begins if plan.resumes else np.nan,
            "followed_split": plan.start["split"] if plan.resumes else "train",
            "weights": json.dumps(weights),
        }
    )


class _Writer:
    """The datasets of one shard's file, filled batch by batch."""

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


def _run_group(names, written, context, batch_size):
    """Run plans over the same samples, batch by batch; batches hold few classes, so that the oracle loads few.

    Parts that plans have in common are solved once per batch: leading parts (Tab. 1's first stages), and the oracle's
    trajectory to the image that it follows (Fig. 5).
    """
    plans = {name: context.plans[name] for name in names}
    items = written[names[0]].items
    order = np.argsort(items[:, 2], kind="stable")
    shared = Counter(prefix for plan in plans.values() for prefix in prefixes(plan))
    batches = range(0, len(order), batch_size)
    with tqdm(total=len(batches) * len(plans), desc="sampling", unit="batch", disable=None) as progress:
        for start in batches:
            rows = np.sort(order[start : start + batch_size])
            y = context.labels(items[rows])
            known = {}
            for name, plan in plans.items():
                progress.set_postfix_str(name)
                x, followed = context.begin(plan, items[rows])
                if plan.follow and followed is None:
                    way = (plan.solver, follow_grid(plan))
                    if way not in known:
                        known[way] = context.follow(plan, x, y)
                    followed = known[way]
                for part, prefix in zip(plan.parts, prefixes(plan)):
                    x = known[prefix] if prefix in known else context.advance(plan, part, x, items[rows])
                    if shared[prefix] > 1:
                        known[prefix] = x
                written[name].write(rows, context.decode(x), followed)
                progress.update()


def _groups_of_same_samples(written):
    groups = {}
    for name, writer in written.items():
        groups.setdefault(writer.items.tobytes(), []).append(name)
    return groups.values()
