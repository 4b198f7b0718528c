"""The state folder of a training: resumable checkpoints, and the outputs until they are complete.

It lies beside the outputs as ``state/`` and is not an output itself, because a workflow manager deletes the declared
outputs of a job that failed. Snapshots and statistics are written into it, and the outputs are links to them, so that a
later attempt can put them back. After the end of a training, the links and the events stay: a workflow manager that was
killed counts the outputs as unfinished when it is started again, and deletes them; days of training would be lost.
"""

import contextlib
import hashlib
import json
import os
import shutil
import sys
import time
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from twostage.finite import finite_weights
from twostage.provenance import atomic_write, write_json
from twostage.training.lock import Lock, identity
from twostage.training.longer import differences, state_of, state_to_go_on_from, step_of, thrown_away
from twostage.training.statistics import Diverged

SCHEMA = "twostage.training.state/1"
EVENTS = "events.jsonl"
FINISHED = "finished"
DIVERGED = "diverged.json"
CLAIM = "training.json"
KEPT = 2  # resumable checkpoints: the newest, and the one before it in case the newest is damaged


class StateFolder:
    """``state_of(output, folder)``: take it with ``acquire``, then save, load and publish; ``finish`` closes it.

    In a folder of its own, copies of the outputs stay: the outputs may be lost on their way to a storage.
    """

    def __init__(self, output, folder=None):
        self.output, self.apart = Path(output), folder is not None
        self.folder = state_of(output, folder)
        self.lock = Lock(self.folder)

    def acquire(self):
        """Lock the folder, and remove files that a killed process left incomplete."""
        self.lock.acquire()
        for folder in (self.output, self.folder):
            for pattern in (".*.tmp", ".tmp*"):  # the second: files that safetensors' writer has not renamed yet
                for leftover in folder.glob(pattern):
                    leftover.unlink(missing_ok=True)

    # ------------------------------------------------------------------------------------------------- checkpoints

    def claim(self, fingerprint):
        """Bind the folder to a training.

        Files of another training that finished or diverged are removed, with a message. Raises ValueError, with the
        differences, if the folder belongs to a training that did neither; Diverged if this training diverged before.
        """
        theirs = self._claim(fingerprint)
        over = self.finished() or self.diverged.exists()
        if theirs is not None and theirs != fingerprint and over:
            _, reason = self._state_for(fingerprint)
            print(thrown_away(self.output, theirs, fingerprint, reason), file=sys.stderr, flush=True)
            self._clear()
        elif theirs is not None:
            refuse_other(theirs, fingerprint, self.folder)
            if self.diverged.exists():
                raise Diverged(json.loads(self.diverged.read_text(encoding="utf-8"))["message"])
            return
        self.bind(fingerprint)

    def bind(self, fingerprint):
        """Record to which training this folder belongs."""
        write_json(self.folder / CLAIM, fingerprint)

    def goes_on(self, fingerprint):
        """The step from which this training continues another one with fewer steps in the folder; None if it cannot."""
        return self._state_for(fingerprint)[0]

    def _state_for(self, fingerprint):
        theirs = self._claim(fingerprint)
        if theirs is None or {**theirs, "recipe": None} != {**fingerprint, "recipe": None}:
            return None, None
        return state_to_go_on_from(self.folder, theirs["recipe"], fingerprint["recipe"])

    def _claim(self, fingerprint):
        """The fingerprint of the folder's training, None if it has none; fingerprint: the one it is compared with."""
        try:
            return with_index(json.loads((self.folder / CLAIM).read_text(encoding="utf-8")), fingerprint)
        except FileNotFoundError:
            return None

    @property
    def diverged(self):
        """The file that a diverged training leaves, so that a retry does not repeat it."""
        return self.folder / DIVERGED

    def save(self, step, tensors):
        """Write a checkpoint of ``step`` finished steps, then remove all but the newest ``KEPT``.

        If it cannot be written, raises OSError; the older checkpoints stay untouched.
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
        """Turn a failed write into an OSError that names the file and the checkpoint from which to continue."""
        try:
            yield
        except (OSError, SafetensorError) as error:
            older = self._checkpoints()
            left = f"the checkpoint of step {step_of(older[-1])} is intact" if older else "no checkpoint is lost"
            raise OSError(
                f"{path} could not be written ({error}); {left}. Make room, then run the same command"
            ) from error

    def newest(self, before=None):
        """(step, tensors) of the newest intact checkpoint, or None; a damaged one is skipped with a message.

        before: skip checkpoints of this step and later ones.
        """
        for path in reversed(self._checkpoints()):
            if before is not None and step_of(path) >= before:
                continue
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
        return sorted(self.folder.glob("checkpoint-*.safetensors"), key=step_of)

    # ------------------------------------------------------------------------------------------------------ events

    def note(self, event, **facts):
        """Append a line to ``events.jsonl``: the event, its time, and the process, job and GPUs."""
        facts |= {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **identity()}
        with open(self.folder / EVENTS, "a", encoding="utf-8") as stream:
            stream.write(json.dumps({"event": event, **facts, "gpus": os.environ.get("CUDA_VISIBLE_DEVICES")}) + "\n")

    # ----------------------------------------------------------------------------------------------------- outputs

    def path(self, name):
        """The path at which an output is written before it is published."""
        return self.folder / name

    def publish(self, name):
        """Put an output of the state folder in its place, under the same name; as a link if the file system has
        links."""
        source, target = self.path(name), self.output / name
        with contextlib.suppress(FileNotFoundError):
            if os.path.samefile(source, target):
                return
        with atomic_write(target) as temporary:
            try:
                os.link(source, temporary)
            except OSError:
                shutil.copyfile(source, temporary)

    def finished(self):
        """Whether no training is unfinished here: the last one ended with all its outputs, or there was none."""
        return (self.folder / FINISHED).exists() or not self.folder.exists()

    def reopen(self):
        """Remove the mark of a finished training, because outputs of it are missing and will be made again."""
        (self.folder / FINISHED).unlink(missing_ok=True)

    def finish(self, keep=False):
        """Mark the training as finished and remove files that only an unfinished one needs; links to outputs stay.

        keep: keep the newest checkpoint, and everything that a longer training needs from this one.
        """
        self.note("finish")
        (self.folder / FINISHED).touch()
        for path in self._checkpoints()[: -1 if keep else None]:
            path.unlink(missing_ok=True)
        for path in self.folder.iterdir():
            published = self.output / path.name
            if not (keep or self.apart) and published.exists() and not os.path.samefile(path, published):
                path.unlink()  # a copy, because the file system has no links: not worth its space
        self.lock.release()

    def _clear(self):
        self.reopen()
        for path in self.folder.iterdir():
            if path.name not in (self.lock.path.name, EVENTS):
                path.unlink()


def with_index(theirs, ours):
    """The fingerprint ``theirs``, with our index of the images if it has none, as in trainings of earlier versions."""
    if "data" not in theirs or "data" not in ours or "index" not in ours["data"]:
        return theirs
    return theirs | {"data": {"index": ours["data"]["index"]} | theirs["data"]}


def refuse_other(theirs, ours, place):
    """Raise ValueError with the differences of two fingerprints, if there are any."""
    found = list(differences(theirs, ours))
    if found:
        raise ValueError(
            f"{place} belongs to another training: {'; '.join(found)}. "
            "Choose another output folder, or delete this one to start afresh"
        )


def _read(path):
    with safe_open(path, "pt") as file:
        header = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    digest = header.pop("digest", None)
    if digest != _digest(tensors, header):
        raise ValueError("its digest does not match its content")
    return int(header["step"]), finite_weights(tensors, path, "train it again")


def _digest(tensors, header):
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
