"""What running a plan takes: stores, models, oracle, encoder, and the steps every kind of run is made of."""

import numpy as np
import torch

from twostage.arguments import as_device
from twostage.data.encoders import files_of, load_encoder
from twostage.data.held_out import open_held_out
from twostage.data.latents import LatentStore
from twostage.finite import finite
from twostage.flow import time_grid
from twostage.model.checkpoints import load_model
from twostage.model.identity import refuse_other_model
from twostage.oracle import ClassOracle
from twostage.provenance import sha256
from twostage.sampling.plan import ORACLE, Plan
from twostage.sampling.solver import SOLVERS, finite_states
from twostage.sampling.starts import noise_of, present_classes, resumed_states
from twostage.sampling.velocity import Guided, ModelVelocity, OracleVelocity
from twostage.split import read_split


class Context:
    """Resolved plans, and what they draw on.

    store_path: latents.h5 of the training split; held_out_path: that of the held-out split, for plans that resume from
    it; encoder_spec, encoder_weights: what decodes the latents (``twostage.data.encoders.load_encoder``); checkpoints:
    {model name: path of its weights}; plans: {plan name: dict} (``twostage.sampling.plan``); split_path: split.json,
    whose split stands for the plans' "split", needed where a plan names it; precision: "float32", or "bf16" for the
    models' autocast; space: the latent space's name, for the record; models: {model name: what is expected of its
    weights} (``twostage.model.identity.refuse_other_model``). Raises ValueError for a plan that cannot be run.

    Has plans: {name: resolved Plan}; split: the ``Split`` that stood for "split", or None; splits: {name: that split
    where the plan names it, else None}; given: {name: the plan as it was written}; train: the training LatentStore;
    classes: labels that occur in it; fields: {model name or "oracle": velocity field}; oracle: its ``ClassOracle``;
    facts: attributes that every file of samples records; weights: {model name: {"sha256", "metadata"}}.
    """

    def __init__(
        self,
        store_path,
        encoder_spec,
        encoder_weights,
        checkpoints,
        plans,
        *,
        split_path=None,
        device="cpu",
        precision="float32",
        held_out_path=None,
        space=None,
        models=None,
    ):
        self.device = as_device(device)
        self.given = {name: Plan.from_dict(name, content).validate(checkpoints) for name, content in plans.items()}
        self.split = None if split_path is None else read_split(split_path)
        self.splits = {name: self.split if plan.names_split else None for name, plan in self.given.items()}
        self.plans = {name: plan.resolve(self.split and self.split.value) for name, plan in self.given.items()}
        self.train = LatentStore.open(store_path, split="train")
        self.stores = {"train": self.train}
        if held_out_path is not None:
            self.stores["held_out"] = open_held_out(held_out_path, self.train)
        for plan in self.plans.values():
            if plan.start != "prior" and plan.start["split"] not in self.stores:
                raise ValueError(
                    f"plan {plan.name} resumes from held-out images; expected held_out_path, their latents"
                )
        self.encoder = load_encoder(encoder_spec, encoder_weights, self.device)
        names = dict.fromkeys(part.field for plan in self.plans.values() for part in plan.parts if part.field != ORACLE)
        expected, models = models or {}, {name: load_model(checkpoints[name], self.device) for name in names}
        for name, model in models.items():
            refuse_other_model(checkpoints[name], model.architecture, model.metadata, self.train, expected.get(name))
        self.oracle = ClassOracle(self.train, device=self.device)
        self.fields = {name: ModelVelocity(model, precision) for name, model in models.items()}
        self.fields[ORACLE] = OracleVelocity(self.oracle)
        self.classes = present_classes(self.train)
        self.weights = {
            name: {"sha256": sha256(checkpoints[name]), "metadata": model.metadata} for name, model in models.items()
        }
        self.facts = {
            "space": space or "",
            "precision": precision,
            "encoder_sha256": self.encoder.sha256 or "",
            "store_fingerprint": self.train.fingerprint,
            "index": self.train.index or "unknown",
        }
        files = {"encoder": encoder_weights, "split": split_path, **checkpoints}
        self._files = {name: files_of(paths) for name, paths in files.items()}

    def refuse_missing(self, outputs):
        """ValueError unless ``outputs`` names a file for every plan."""
        if missing := [name for name in self.plans if name not in outputs]:
            raise ValueError(f"no output is named for plan {', '.join(missing)}; expected a path for every plan")

    def inputs(self, plan):
        """Paths that a plan's samples come from, the latents aside (their fingerprint stands for them)."""
        names = ["split"] if self.splits[plan.name] else []
        names += ["encoder", *(part.field for part in plan.parts if part.field != ORACLE)]
        return list(dict.fromkeys(path for name in names for path in self._files[name]))

    def labels(self, items):
        """Labels of items (``starts.shard_items``) on the device, (n,) int64."""
        return torch.from_numpy(items[:, 2]).to(self.device)

    def field_of(self, part):
        """The velocity field of a part, guided where the part asks for it."""
        field = self.fields[part.field]
        return field if part.guidance == 1 else Guided(field, part.guidance, part.interval, part.channels)

    def classes_of(self, plan):
        """Labels that a plan's samples go round: those with training images, and with images to resume from."""
        if plan.start == "prior":
            return self.classes
        return np.intersect1d(self.classes, present_classes(self.stores[plan.start["split"]]))

    def begin(self, plan, items):
        """The state at which the plan starts, on the device, and the images it resumes from.

        The images are (rows of their split's store, mirrored or not), (n,) each; None from the prior.
        """
        if plan.start == "prior":
            return noise_of(items, self.train.shape[1:]).to(self.device), None
        store = self.stores[plan.start["split"]]
        x, rows = resumed_states(items, store, plan.start["resume"], len(self.classes_of(plan)))
        return x.to(self.device), (rows, np.zeros(len(rows), dtype=bool))

    def advance(self, plan, part, x, items, observe=None):
        """The state of the items at the end of a part of the plan, from the state at its start.

        Raises ValueError, by plan, field, seed and index, where it is not finite.
        """
        x = SOLVERS[plan.solver](self.field_of(part), x, _grid(part), self.labels(items), observe)
        return finite_states(x, f"plan {plan.name}, field {part.field}, t = {part.stop:g}", items)

    def follow(self, plan, x, y):
        """The training image in which the oracle, kept on to t = 1 along ``follow_grid``, ends; as in ``begin``."""
        last = {}
        remember = lambda t, _, state, __: last.update(t=t, x=state)  # noqa: E731
        SOLVERS[plan.solver](self.fields[ORACLE], x, follow_grid(plan), y, remember)
        finite(last["x"], f"plan {plan.name}: states that follow the oracle", "check the latents and the start")
        return self._heaviest(last["x"], last["t"], y)

    def _heaviest(self, x, t, y):
        """The training latent of largest posterior weight in each sample's class, as in ``begin``."""
        rows, mirrored = np.empty(len(y), dtype=np.int64), np.empty(len(y), dtype=bool)
        for label in y.unique().tolist():
            chosen = y == label
            index = self.oracle.oracle(label).log_weights(x[chosen], t).argmax(1).cpu().numpy()
            members = self.train.class_slice(label)
            size = members.stop - members.start
            rows[chosen.cpu()] = members.start + index % size
            mirrored[chosen.cpu()] = index >= size
        return rows, mirrored

    def decode(self, x):
        """Images uint8 (n, H, W, C) of normalised latents."""
        return self.encoder.decode(self.train.denormalise(x.float())).numpy()


def follow_grid(plan):
    """Edges that the oracle takes when it is kept on to t = 1: its leading parts' own, then the plan's uniform steps.

    A tuple, rounded far below a step, so that plans which go the same way are seen to.
    """
    leading = [part for part in plan.parts if part.field == ORACLE and part.stop <= plan.oracle_stop]
    grids = [_grid(part) for part in leading]
    if plan.oracle_stop < 1:
        steps = max(2, round(plan.steps * (1 - plan.oracle_stop)))
        grids.append(time_grid(steps, plan.oracle_stop, 1.0))
    edges = torch.cat([grids[0][:1], *(grid[1:] for grid in grids)])
    return tuple(round(edge, 12) for edge in edges.tolist())


def _grid(part):
    return time_grid(part.steps, part.start, part.stop, part.shift)
