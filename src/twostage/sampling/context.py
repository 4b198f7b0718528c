"""What running a plan takes: stores, models, oracle, encoder, and the steps every kind of run is made of."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from twostage.arguments import as_device
from twostage.data.encoders import files_of, load_encoder
from twostage.data.held_out import open_held_out
from twostage.data.latents import LatentStore
from twostage.finite import finite
from twostage.flow import time_grid
from twostage.model.checkpoints import load_model
from twostage.model.identity import refuse_other_model
from twostage.oracle import ClassOracle
from twostage.oracle.gaussian import ClassGaussian
from twostage.provenance import PathLike, sha256
from twostage.sampling.plan import CLOSED_FORM, GAUSSIAN, ORACLE, Part, Plan
from twostage.sampling.solver import SOLVERS, Observer, finite_states
from twostage.sampling.starts import noise_of, present_classes, resumed_states
from twostage.sampling.velocity import Field, Gained, GaussianVelocity, Guided, ModelVelocity, OracleVelocity
from twostage.split import read_split
from twostage.windows import read_windows

Followed: TypeAlias = tuple[Int64[np.ndarray, " n"], Bool[np.ndarray, " n"]]  # rows of a store, mirrored or not


class Context:
    """Resolved plans, and what they draw on.

    store_path: latents.h5 of the training split; held_out_path: that of the held-out split, for plans that resume from
    it; encoder_spec, encoder_weights: what decodes the latents (``twostage.data.encoders.load_encoder``); checkpoints:
    {model name: path of its weights}; plans: {plan name: dict} (``twostage.sampling.plan``); split_path: split.json,
    whose split stands for the plans' "split", needed where a plan names it; windows_path: windows.json, the same for
    intervals that the data name; precision: "float32", or "bf16" for the models' autocast; space: the latent space's
    name, for the record; models: {model name: what is expected of its weights}
    (``twostage.model.identity.refuse_other_model``). Raises ValueError for a plan that cannot be run.

    Has plans: {name: resolved Plan}; split: the ``Split`` that stood for "split", or None; splits: {name: that split
    where the plan names it, else None}; windows: {name: ``Window``} of the data; given: {name: the plan as it
    was written}; train: the training LatentStore; classes: labels that occur in it; fields: {model name, "oracle" or
    "gaussian": velocity field}; oracle: its ``ClassOracle``; gaussian: its ``ClassGaussian``, which fits a class when a
    plan first comes to it; architectures: {model name: its ``LightningDiT.architecture``}; facts: attributes that every
    file of samples records; weights: {model name: {"sha256", "metadata"}}.

    >>> from twostage.data.latents import write_store
    >>> with write_store("latents.h5", 2, (1, 2, 2)) as writer:
    ...     writer.write(0, torch.arange(8.0).reshape(2, 1, 2, 2))
    ...     writer.finish([0, 1], [0, 1], num_classes=2, attributes={"split": "train"})
    >>> plans = {"oracle": {"parts": [{"field": "oracle"}], "steps": 5}}
    >>> context = Context("latents.h5", {"kind": "identity"}, None, checkpoints={}, plans=plans)
    >>> context.plans["oracle"].nfe, context.classes
    (5, array([0, 1]))
    """

    def __init__(
        self,
        store_path: PathLike,
        encoder_spec: Mapping[str, Any],
        encoder_weights: PathLike | Sequence[PathLike] | None,
        checkpoints: Mapping[str, PathLike],
        plans: Mapping[str, Mapping[str, Any]],
        *,
        split_path: PathLike | None = None,
        windows_path: PathLike | None = None,
        device: str | torch.device = "cpu",
        precision: str = "float32",
        held_out_path: PathLike | None = None,
        space: str | None = None,
        models: Mapping[str, Any] | None = None,
    ) -> None:
        self.device = as_device(device)
        self.given = {name: Plan.from_dict(name, content).validate(checkpoints) for name, content in plans.items()}
        self.split = None if split_path is None else read_split(split_path)
        self.splits = {name: self.split if plan.names_split else None for name, plan in self.given.items()}
        time = None if self.split is None else self.split.value
        self.windows = {} if windows_path is None else read_windows(windows_path)
        ends = {name: window.ends for name, window in self.windows.items()}
        self.plans = {name: plan.resolve(time, ends) for name, plan in self.given.items()}
        self.train = LatentStore.open(store_path, split="train")
        self.stores = {"train": self.train}
        if held_out_path is not None:
            self.stores["held_out"] = open_held_out(held_out_path, self.train)
        for plan in self.plans.values():
            if plan.resumes and plan.start["split"] not in self.stores:
                raise ValueError(
                    f"plan {plan.name} resumes from held-out images; expected held_out_path, their latents"
                )
        self.encoder = load_encoder(encoder_spec, encoder_weights, self.device)
        fields = (part.field for plan in self.plans.values() for part in plan.parts)
        names = [name for name in dict.fromkeys(fields) if name not in CLOSED_FORM]
        expected, models = models or {}, {name: load_model(checkpoints[name], self.device) for name in names}
        for name, model in models.items():
            refuse_other_model(checkpoints[name], model.architecture, model.metadata, self.train, expected.get(name))
        self.oracle = ClassOracle(self.train, device=self.device)
        self.architectures = {name: model.architecture for name, model in models.items()}
        self.fields: dict[str, Field] = {name: ModelVelocity(model, precision) for name, model in models.items()}
        self.gaussian = ClassGaussian(self.train, device=self.device)
        self.fields |= {ORACLE: OracleVelocity(self.oracle), GAUSSIAN: GaussianVelocity(self.gaussian)}
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
        files = {"encoder": encoder_weights, "split": split_path, "windows": windows_path, **checkpoints}
        self._files = {name: files_of(paths) for name, paths in files.items()}

    @classmethod
    def of_job(cls, job: Any) -> "Context":
        """The context of a job of workflow/rules/sampling.smk, from Snakemake's object in its script."""
        inputs, params = job.input, job.params
        return cls(
            inputs.latents,
            params.encoder,
            inputs.get("weights"),
            dict(zip(params.models, inputs.snapshots)),
            params.plans,
            split_path=inputs.get("split"),
            windows_path=inputs.get("windows"),
            device=params.device,
            precision=params.precision,
            held_out_path=inputs.held_out,
            space=job.wildcards.space,
            models=params.models,
        )

    def refuse_missing(self, outputs: Mapping[str, PathLike]) -> None:
        """ValueError unless ``outputs`` names a file for every plan."""
        if missing := [name for name in self.plans if name not in outputs]:
            raise ValueError(f"no output is named for plan {', '.join(missing)}; expected a path for every plan")

    def inputs(self, plan: Plan) -> list[PathLike]:
        """Paths that a plan's samples come from, the latents aside (their fingerprint stands for them)."""
        names = ["split"] if self.splits[plan.name] else []
        names += ["windows"] if self.given[plan.name].names_windows else []
        names += ["encoder", *(part.field for part in plan.parts if part.field not in CLOSED_FORM)]
        return list(dict.fromkeys(path for name in names for path in self._files[name]))

    def labels(self, items: Int64[np.ndarray, "n 3"]) -> Int64[Tensor, " n"]:
        """Labels of items (``starts.shard_items``) on the device, (n,) int64."""
        return torch.from_numpy(items[:, 2]).to(self.device)

    def field_of(self, part: Part) -> Field:
        """The velocity field of a part, guided and with a gain where the part asks for it."""
        field = self.fields[part.field]
        if part.guidance != 1:
            field = Guided(field, part.guidance, part.interval, part.channels)
        return field if part.gain is None else Gained(field, *part.gain)

    def classes_of(self, plan: Plan) -> Int64[np.ndarray, " classes"]:
        """Labels that a plan's samples go round: those with training images, and with images to resume from."""
        if not plan.resumes:
            return self.classes
        return np.intersect1d(self.classes, present_classes(self.stores[plan.start["split"]]))

    def begin(self, plan: Plan, items: Int64[np.ndarray, "n 3"]) -> tuple[Float[Tensor, " n *shape"], Followed | None]:
        """The state at which the plan starts, on the device, and the images it resumes from.

        The images are (rows of their split's store, mirrored or not), (n,) each; None where there are none.
        """
        if not plan.resumes:
            noise = noise_of(items, self.train.shape[1:]).to(self.device)
            if plan.start == "prior":
                return noise, None
            return self.gaussian.flow(noise, 0.0, plan.begins, self.labels(items)), None
        store = self.stores[plan.start["split"]]
        x, rows = resumed_states(items, store, plan.start["resume"], len(self.classes_of(plan)))
        return x.to(self.device), (rows, np.zeros(len(rows), dtype=bool))

    def advance(
        self,
        plan: Plan,
        part: Part,
        x: Float[Tensor, " n *shape"],
        items: Int64[np.ndarray, "n 3"],
        observe: Observer | None = None,
    ) -> Float[Tensor, " n *shape"]:
        """The state of the items at the end of a part of the plan, from the state at its start.

        Raises ValueError, by plan, field, seed and index, where it is not finite.
        """
        x = SOLVERS[plan.solver](self.field_of(part), x, _grid(part), self.labels(items), observe)
        return finite_states(x, f"plan {plan.name}, field {part.field}, t = {part.stop:g}", items)

    def follow(self, plan: Plan, x: Float[Tensor, " n *shape"], y: Int64[Tensor, " n"]) -> Followed:
        """The training image in which the oracle, kept on to t = 1 along ``follow_grid``, ends; as in ``begin``."""
        last: dict[str, Any] = {}
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
            mine = chosen.cpu().numpy()  # numpy takes a tensor of one element for a number
            rows[mine] = members.start + index % size
            mirrored[mine] = index >= size
        return rows, mirrored

    def decode(self, x: Float[Tensor, "n channels height width"]) -> UInt8[np.ndarray, "n rows columns colours"]:
        """Images uint8 (n, H, W, C) of normalised latents."""
        return self.encoder.decode(self.train.denormalise(x.float())).numpy()


def follow_grid(plan: Plan) -> tuple[float, ...]:
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
