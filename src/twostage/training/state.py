"""The state folder of a training: resumable checkpoints, and the outputs until they are complete.

It lies beside the outputs as ``state/`` and is no output itself, because a workflow manager deletes the declared
outputs of a job that failed. Snapshots and statistics are written into it and linked out, so that a later try can put
them back. Nothing of it remains once the training is complete.
"""

import contextlib
import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from twostage.provenance import atomic_write, write_json
from twostage.training.lock import Lock

SCHEMA = "twostage.training.state/1"
KEPT = 2  # resumable checkpoints: the newest, and the one before in case the newest is damaged


class StateFolder:
    """``<output>/state``: take it with ``acquire``, then save, load and publish; ``finish`` removes it."""

    def __init__(self, output):
        self.output = Path(output)
        self.folder = self.output / "state"
        self.lock = Lock(self.folder)

    def acquire(self):
        """Lock the folder, and sweep up what a killed process left half written."""
        self.lock.acquire()
        for folder in (self.output, self.folder):
            for leftover in folder.glob(".*.tmp"):
                leftover.unlink(missing_ok=True)
        shutil.rmtree(self._discarded, ignore_errors=True)

    # ------------------------------------------------------------------------------------------------- checkpoints

    def claim(self, fingerprint):
        """Bind the folder to a training, as it is found for the first time.

        Raises ValueError, with the differences, when it belongs to another one.
        """
        path = self.folder / "training.json"
        if path.exists():
            refuse_other(json.loads(path.read_text()), fingerprint, self.folder)
        else:
            write_json(path, fingerprint)

    def save(self, step, tensors):
        """Write a checkpoint of ``step`` finished steps, then drop all but the newest ``KEPT``.

        Raises OSError, the older checkpoints untouched, when it cannot be written.
        """
        path = self._checkpoint(step)
        header = {"schema": SCHEMA, "step": str(step)}
        header["digest"] = _digest(tensors, header)
        with self.writing(path), atomic_write(path) as temporary:
            save_file(tensors, temporary, metadata=header)
        for old in self._checkpoints()[:-KEPT]:
            old.unlink(missing_ok=True)

    @contextlib.contextmanager
    def writing(self, path):
        """Raise OSError that says what could not be written, and what there is to go on from, for any such failure."""
        try:
            yield
        except (OSError, SafetensorError) as error:
            older = self._checkpoints()
            left = f"the checkpoint of step {_step_of(older[-1])} is intact" if older else "no checkpoint is lost"
            raise OSError(
                f"{path} could not be written ({error}); {left}. Make room, then run the same command"
            ) from error

    def newest(self):
        """(step, tensors) of the newest intact checkpoint, or None; a damaged one is passed over, saying so."""
        for path in reversed(self._checkpoints()):
            try:
                return _read(path)
            except (OSError, SafetensorError, KeyError, ValueError) as error:
                print(f"{path} is damaged ({error}); falling back to the one before", file=sys.stderr, flush=True)
        return None

    def load(self, step):
        """(step, tensors) of one checkpoint."""
        return _read(self._checkpoint(step))

    def _checkpoint(self, step):
        return self.folder / f"checkpoint-{step:07d}.safetensors"

    def _checkpoints(self):
        return sorted(self.folder.glob("checkpoint-*.safetensors"))

    # ----------------------------------------------------------------------------------------------------- outputs

    def path(self, name):
        """Where an output is written before it is published."""
        return self.folder / name

    def publish(self, name):
        """Put an output of the state folder in its place, under the same name; a link where they exist."""
        source, target = self.path(name), self.output / name
        with contextlib.suppress(FileNotFoundError):
            if os.path.samefile(source, target):
                return
        with atomic_write(target) as temporary:
            try:
                os.link(source, temporary)
            except OSError:
                shutil.copyfile(source, temporary)

    def finish(self):
        """Remove the folder: first out of the way in one stroke, then piece by piece."""
        os.replace(self.folder, self._discarded)
        shutil.rmtree(self._discarded, ignore_errors=True)
        self.lock.release()

    @property
    def _discarded(self):
        return self.output / ".state-finished"


def refuse_other(theirs, ours, place):
    """Raise ValueError that lists where two fingerprints differ."""
    differences = list(_differences(theirs, ours))
    if differences:
        raise ValueError(
            f"{place} belongs to another training: {'; '.join(differences)}. "
            "Choose another output folder, or delete this one to start afresh"
        )


def _differences(theirs, ours, prefix=""):
    for key in sorted({*theirs, *ours}):
        there, here = theirs.get(key), ours.get(key)
        if isinstance(there, dict) and isinstance(here, dict):
            yield from _differences(there, here, f"{prefix}{key}.")
        elif there != here:
            yield f"{prefix}{key} is {there!r} there and {here!r} here"


def _read(path):
    with safe_open(path, "pt") as file:
        header = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    digest = header.pop("digest", None)
    if digest != _digest(tensors, header):
        raise ValueError("its digest does not match its content")
    return int(header["step"]), tensors


def _digest(tensors, header):
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _step_of(path):
    return int(path.stem.rpartition("-")[2])
