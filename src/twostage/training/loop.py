"""The training loop, for any number of processes; the same command resumes it."""

import dataclasses
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor
from tqdm import tqdm

from twostage.data.latents import LatentStore
from twostage.data.staging import staged
from twostage.model.checkpoints import load_model, read_header, save_model
from twostage.model.identity import latents_of
from twostage.model.lightningdit import LightningDiT
from twostage.provenance import PathLike, write_json, write_provenance
from twostage.sides import size_of
from twostage.storage import name_of
from twostage.training import TRAINING_VERSION, ahead
from twostage.training.adamw import AdamW
from twostage.training.batches import Batches
from twostage.training.objective import Draw, Draws, Objective
from twostage.training.oracle_target import OracleTarget
from twostage.training.processes import Processes
from twostage.training.recipe import Recipe
from twostage.training.state import StateFolder, refuse_other, with_index
from twostage.training.statistics import Diverged, Statistics
from twostage.training.stop import StopRequest

STATISTICS = "stats.jsonl"
TENSORBOARD = "tensorboard"


def train(
    latents: PathLike,
    architecture: Mapping[str, int],
    recipe: Recipe | Mapping[str, Any],
    output: PathLike,
    *,
    seed: int = 0,
    device: str = "cpu",
    scratch: bool = False,
) -> bool:
    """Train a LightningDiT and write its snapshots; the same call again resumes, or returns at once if it is complete.

    latents: path of a store; architecture: ``patch_size, hidden_size, depth, num_heads`` (the store gives the rest);
    recipe: a Recipe, or a dict for ``Recipe.parse``; output: folder for ``step-*.safetensors`` (EMA weights) and
    ``stats.jsonl``, and for ``tensorboard/`` if the recipe asks for it (in its ``state_folder``, if it names one);
    device: ``cpu``, ``cuda`` or ``auto``; scratch: read the latents from a copy in ``$TMPDIR``.
    Under torchrun every process calls this, and the processes share the batch.

    Returns True if the training is complete. Returns False if a signal (SIGTERM, SIGUSR1), the recipe's wall-clock
    budget or the end of the Slurm job ended this call early; then its state folder has a checkpoint of the last step.
    If ``output`` holds a training that differs only in ``steps`` and ``snapshots``, and its last state was kept (the
    recipe's ``keep_state``), this training continues from there; the final files are the same as without it.
    Raises ValueError for bad arguments and for another training's output, OSError for a locked folder or a full disk,
    Diverged for a loss that is not finite or has exploded, and at once if this training diverged before.
    """
    began = time.monotonic()
    recipe = recipe if isinstance(recipe, Recipe) else Recipe.parse(recipe)
    store = LatentStore.open(latents, split="train")
    sizes = _architecture(architecture, store)
    processes = Processes(device)
    try:
        recipe = recipe.resolved(processes.device.type)
        outputs = Outputs(Path(output), sizes, recipe, seed, store)
        if processes.from_first(processes.first and outputs.complete() and outputs.state.finished()):
            return True
        if processes.first and recipe.remark():
            print(f"warning: {recipe.remark()}", file=sys.stderr, flush=True)
        try:
            local = staged(store) if scratch else nullcontext(store)
            with StopRequest(recipe.minutes, began) as stop, local as outputs.store:
                return _run(outputs, processes, stop)
        finally:
            outputs.state.lock.release()
    finally:
        processes.close()


class Run:
    """Model, EMA, optimiser and batches of one training, and its step."""

    def __init__(
        self, store: LatentStore, sizes: Mapping[str, Any], recipe: Recipe, seed: int, processes: Processes
    ) -> None:
        self.recipe, self.processes, self.device = recipe, processes, processes.device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = LightningDiT(**sizes, class_drop=0.0)  # ``Draws`` drops classes, reproducibly
        self.model = model.to(self.device).train()
        self.model.checkpoint_activations = recipe.activation_checkpointing
        self.weights = {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}
        self.ema = {name: weight.detach().clone() for name, weight in self.weights.items()}
        self.optimizer = AdamW(self.weights, lr=recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay)
        share = processes.share(recipe.batch_size, recipe.accumulate)
        size = share // recipe.accumulate
        self.parts = [slice(start, start + size) for start in range(0, share, size)]
        self.batches = Batches(store, recipe.batch_size, seed, recipe.memory_mb, processes.rank, processes.count)
        shape = (recipe.batch_size, *store.shape[1:])
        self.draws = Draws(seed, shape, recipe.time, recipe.class_drop, self.device)
        supervised = recipe.target == "oracle"
        self.oracle = OracleTarget(store, processes, recipe.class_drop, recipe.time) if supervised else None
        self.objective = Objective(store.num_classes, recipe.cosine_loss)

    def prepare(self) -> None:
        """Compile the model and join the processes, after the weights are in place."""
        self.compiled = self.recipe.compile and self._compile()
        self.network = self.processes.parallel(self.model)

    def _compile(self):
        """Compile the blocks by a pass through the model; returns whether it worked. If not, the blocks are
        unchanged."""
        self.model.compile_blocks()
        count = self.parts[0].stop
        x, t = torch.zeros((count, *self.draws.shape[1:]), device=self.device), torch.zeros(count, device=self.device)
        reason = None
        try:
            with self._autocast():
                velocity = self.model(x, t, torch.zeros(count, dtype=torch.int64, device=self.device))
            velocity.float().sum().backward()
        except (
            Exception
        ) as error:  # many kinds, such as no C++ compiler or no Triton; other errors come again in a step
            reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        self.optimizer.drop_gradients()
        if not self.processes.any(reason is not None):
            return True
        self.model.uncompile_blocks()
        if self.processes.first:
            reason = reason or "another process could not"
            print(f"warning: the model is not compiled, and so slower: {reason}", file=sys.stderr, flush=True)
        return False

    def _autocast(self):
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16")

    def stream(self, start: int, stop: int) -> Iterator[ahead.Batch]:
        """Yield this process's share of the batch of each step from start to stop - 1, an ``ahead.Batch``."""
        return ahead.stream(self.batches, self.draws, self.oracle, start, stop, self.device)

    def step(
        self,
        x_1: Float32[Tensor, "batch channels height width"],
        labels: Int64[Tensor, " batch"],
        draw: Draw,
        target: Float32[Tensor, "batch channels height width"] | None,
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """One optimiser step on this process's share of a batch: (mean squared error, gradient norm).

        Nothing here waits for a GPU.
        """
        recipe = self.recipe
        total: Any = 0.0
        for part in self.parts:
            last = part is self.parts[-1]
            with nullcontext() if last else self.processes.unsynchronised(self.network):
                with self._autocast():
                    batch = x_1[part], labels[part], draw.part(part), None if target is None else target[part]
                    loss, squared = self.objective.loss(self.network, *batch)
                (loss / len(self.parts)).backward()
            total = total + squared / len(self.parts)
        gradients: Any = [weight.grad for weight in self.weights.values()]
        norm = torch.nn.utils.get_total_norm(gradients)
        if recipe.max_grad_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(self.weights.values(), recipe.max_grad_norm, norm)
        self.optimizer.step()
        self.optimizer.drop_gradients()
        with torch.no_grad():
            torch._foreach_lerp_(list(self.ema.values()), list(self.weights.values()), 1 - recipe.ema)
        return total, norm

    def log(self) -> dict[str, float]:
        """Further values for the log: with an oracle target, the seconds that it took since the last line."""
        return {"oracle_seconds": self.oracle.stopwatch.taken()} if self.oracle else {}

    def state(self) -> dict[str, Tensor]:
        """Everything that a resumed training needs beyond recipe and data, as tensors on the CPU."""
        groups = {
            "model": self.weights,
            "ema": self.ema,
            "exp_avg": self.optimizer.exp_avg,
            "exp_avg_sq": self.optimizer.exp_avg_sq,
        }
        return {f"{group}.{name}": t.detach().cpu() for group, named in groups.items() for name, t in named.items()}

    @torch.no_grad()
    def restore(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Restore the ``state`` of after ``step`` steps."""
        for name, weight in self.weights.items():
            weight.copy_(tensors[f"model.{name}"])
            self.ema[name].copy_(tensors[f"ema.{name}"])
        moments = ({name: tensors[f"{moment}.{name}"] for name in self.weights} for moment in ("exp_avg", "exp_avg_sq"))
        self.optimizer.restore(step, *moments)

    def snapshot(self) -> dict[str, Tensor]:
        """State dict of the EMA model."""
        return {**self.model.state_dict(), **self.ema}

    def describe(self, step: int) -> str:
        """A step's learning rate and batch, for the message of a training that diverged."""
        rows = self.batches.indices(step).tolist()
        return (
            f"learning rate {self.recipe.lr:g}; rows of the batch: {rows}. The newest checkpoint is from before; "
            "a smaller learning rate or stronger clipping (max_grad_norm) is a new training, in another output"
        )


def _run(outputs, processes, stop):
    recipe = outputs.recipe
    if processes.from_first(processes.first and outputs.take()):
        if processes.first:
            outputs.finish()
        return True
    run = Run(outputs.store, outputs.sizes, recipe, outputs.seed, processes)
    start = outputs.resume(run, processes)
    run.prepare()
    stop.expect_save(4 * sum(weight.nbytes for weight in run.weights.values()))

    board = (outputs.state.folder if outputs.state.apart else outputs.folder) / TENSORBOARD
    log = Statistics(
        outputs.state.path(STATISTICS) if processes.first else None, start, board if recipe.tensorboard else None
    )
    if processes.first and run.oracle:
        print(run.oracle.remark(), file=sys.stderr, flush=True)
    if processes.first:
        outputs.state.note("start", step=start, repeated=log.repeated, processes=processes.count, compiled=run.compiled)
    on_gpu = run.device.type == "cuda"
    try:
        progress = tqdm(total=recipe.steps, initial=start, unit="step", disable=None if processes.first else True)
        for step, batch in enumerate(run.stream(start, recipe.steps), start=start):
            log.add(*run.step(*batch))
            done = step + 1
            progress.update()
            last = done == recipe.steps
            leave = not last and processes.any(stop.requested())
            snapshot = done in recipe.snapshots
            checkpoint = leave or (recipe.keep_state if last else done % recipe.checkpoint_every == 0)
            if not on_gpu:
                log.check(run.describe)
            if snapshot or checkpoint or last or done % recipe.log_every == 0:
                log.end_line(processes, recipe.lr, recipe.batch_size, **run.log())
                # A step is saved only after its numbers were checked. Otherwise a line from a GPU may arrive later.
                with outputs.state.writing(log.path):
                    log.write(run.describe, keep=0 if snapshot or checkpoint or last or not on_gpu else 1)
            if processes.first:
                outputs.state.lock.touch()
                if snapshot:
                    outputs.write_snapshot(done, run.snapshot())
                if checkpoint:
                    with stop.timed_save():
                        outputs.state.save(done, run.state())
            if leave:
                if processes.first:
                    outputs.state.note("leave", step=done, reason=stop.reason)
                    print(f"{stop.reason}: checkpoint of step {done} written; run again to resume", file=sys.stderr)
                processes.meet()
                return False
        progress.close()
    except Diverged as error:
        raise outputs.diverged(error) from None
    finally:
        log.close()
        run.batches.close()
    if processes.first:
        outputs.finish()
    return True


class Outputs:
    """The files of a training: snapshots and statistics, by way of the state folder."""

    def __init__(self, folder: Path, sizes: Mapping[str, Any], recipe: Recipe, seed: int, store: LatentStore) -> None:
        self.folder, self.sizes, self.recipe, self.seed, self.store = folder, sizes, recipe, seed, store
        self.state = StateFolder(folder, recipe.state_folder)
        self.names = {step: f"step-{step:07d}.safetensors" for step in recipe.snapshots}
        self.fingerprint = {
            "architecture": sizes,
            "recipe": recipe.numbers(),
            "seed": seed,
            "data": {"fingerprint": store.fingerprint, "shape": list(store.shape), "flips": store.has_flips},
            "version": TRAINING_VERSION,
        }
        if store.index:
            self.fingerprint["data"]["index"] = store.index

    def complete(self) -> bool:
        """Whether every output of this training is in its place. ValueError for an output of another training.

        Snapshots at other steps are left alone, because a workflow manager deletes only the files that it declares now.
        """
        if self.state.goes_on(self.fingerprint) is not None:
            return False
        paths = [self.folder / name for name in self.names.values()]
        for path in paths:
            if path.is_file():
                try:
                    _, metadata = read_header(path)
                except ValueError:  # it was damaged later: it is made again
                    return False
                refuse_other(with_index(metadata.get("training", {}), self.fingerprint), self.fingerprint, path)
        return all(path.is_file() for path in (*paths, self.folder / STATISTICS))

    def take(self) -> bool:
        """Lock the state folder and bind it to this training; returns True if nothing is left to train."""
        self.state.acquire()
        if self.complete():
            return True
        if self.state.goes_on(self.fingerprint) is not None:
            self._adopt()
        self.state.claim(self.fingerprint)
        self._publish()
        if self.state.finished() and self.complete():
            return True
        self.state.reopen()
        return False

    def resume(self, run: Run, processes: Processes) -> int:
        """Put the newest intact checkpoint into ``run``, in every process; returns the number of steps done.

        A checkpoint that lies past a missing snapshot is not used.
        """
        missing = min((step for step, name in self.names.items() if not self.state.path(name).exists()), default=None)
        found = self.state.newest(before=missing) if processes.first else None
        step = processes.from_first(found[0] if found else 0)
        if step and not processes.first:
            found = self.state.load(step)
        if found:
            run.restore(*found)
        return step

    def _publish(self):
        for name in (*self.names.values(), STATISTICS):
            if self.state.path(name).exists():
                self.state.publish(name)

    def _adopt(self):
        """Take over the folder of a training with fewer steps: its snapshots are marked as this training's."""
        for path in self.state.folder.glob("step-*.safetensors"):
            if path.name not in self.names.values():
                path.unlink()
        for step, name in self.names.items():
            if self.state.path(name).exists():
                self._save(step, load_model(self.state.path(name)).state_dict())
        self.state.bind(self.fingerprint)

    def write_snapshot(self, step: int, weights: Mapping[str, Tensor]) -> None:
        name = self.names[step]
        with self.state.writing(self.folder / name):
            self._save(step, weights)
            self.state.publish(name)
            self.state.publish(STATISTICS)

    def _save(self, step, weights):
        said = {"step": step, "training": self.fingerprint, "latents": latents_of(self.store)}
        save_model(self.state.path(self.names[step]), weights, self.sizes, **said)

    def diverged(self, error: Diverged) -> Diverged:
        """Leave a marker of the divergence, at which the next attempt ends; returns the error for now and then."""
        marker = self.state.diverged
        message = f"{error}. To try the same once more, delete {marker}"
        write_json(marker, {"message": message})
        return Diverged(message)

    def finish(self) -> None:
        """Put the last outputs in place with their provenance, and close the state folder."""
        self._publish()
        for name in (*self.names.values(), STATISTICS):
            write_provenance(
                self.folder / name,
                config={"architecture": self.sizes, "recipe": dataclasses.asdict(self.recipe)},
                seed=self.seed,
                latents={"path": name_of(self.store.path), "fingerprint": self.store.fingerprint},
                training_version=TRAINING_VERSION,
            )
        self.state.finish(keep=self.recipe.keep_state)


def _architecture(sizes, store):
    """The constructor's arguments; latent size, channels and classes are the store's. ValueError for wrong keys."""
    wanted = ("patch_size", "hidden_size", "depth", "num_heads")
    if sorted(sizes) != sorted(wanted):
        raise ValueError(f"architecture has {sorted(sizes)}; expected exactly {', '.join(wanted)}")
    for name, value in sizes.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"architecture: {name} is {value!r}; expected a whole number, at least 1")
    _, channels, height, width = store.shape
    return {"input_size": size_of(height, width), "in_channels": channels, "num_classes": store.num_classes, **sizes}
