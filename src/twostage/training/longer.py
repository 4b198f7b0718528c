"""Decides about an old training in the folder of a new one: continue from it, discard it, or refuse.

A training may continue from another's state only if they differ in nothing but the numbers of steps: a step is a
function of (seed, step), so the first steps of a longer training are those of the shorter one. Nothing here imports
torch, because Snakemake announces the decision before it starts a job.
"""

import json
from pathlib import Path

from twostage.storage import name_of

LENGTH = ("steps", "snapshots")  # the keys of a recipe that say how long, not how, it trains


def state_of(output, folder=None):
    """The state folder of a training with the folder ``output``: ``state/`` in it, or below ``folder`` with the name
    of ``output``."""
    return Path(output) / "state" if folder is None else Path(folder) / name_of(output).lstrip("/")


def step_of(path):
    """The step in a file's name, ``checkpoint-0000300.safetensors``: 300."""
    return int(Path(path).stem.rpartition("-")[2])


def differences(theirs, ours, prefix=""):
    """Texts, one per value in which two dicts of dicts differ."""
    for key in sorted({*theirs, *ours}):
        there, here = theirs.get(key), ours.get(key)
        if isinstance(there, dict) and isinstance(here, dict):
            yield from differences(there, here, f"{prefix}{key}.")
        elif there != here:
            yield f"{prefix}{key} is {there!r} there and {here!r} here"


def state_to_go_on_from(state, theirs, ours):
    """(step, None) if the training ``ours`` can continue from a state in the folder ``state``, otherwise (None,
    reason).

    theirs, ours: the recipe of the folder and the requested one. The reason is None too if they differ in more than
    their length, or not at all.
    """
    if theirs == ours or {**theirs, **dict.fromkeys(LENGTH)} != {**ours, **dict.fromkeys(LENGTH)}:
        return None, None
    state = Path(state)
    kept = sorted(map(step_of, state.glob("checkpoint-*.safetensors")))
    if not kept:
        return None, "its last state was not kept: `training.keep_state: true` keeps one"
    if kept[-1] > ours["steps"]:
        return None, f"its state is of step {kept[-1]}, past the {ours['steps']} asked for"
    for step in ours["snapshots"]:
        if step <= kept[-1] and not (state / f"step-{step:07d}.safetensors").exists():
            return None, f"it has no snapshot at step {step}"
    return kept[-1], None


def thrown_away(folder, theirs, ours, reason=None):
    """The sentence that the training which ended in ``folder`` is discarded; theirs, ours: as in ``differences``."""
    because = f"; it cannot be gone on from, because {reason}" if reason else ""
    return f"{folder}: the training that ended here is thrown away ({'; '.join(differences(theirs, ours))}){because}"


def announcement(output, recipe):
    """A sentence on what a job that trains ``recipe`` into the folder ``output`` will do with an ended training there.

    None if there is no training, or none with another recipe. Precision and compilation depend on the device and are
    not compared.
    """
    state = state_of(output, recipe.state_folder)
    try:
        theirs = json.loads((state / "training.json").read_text(encoding="utf-8"))["recipe"]
    except (OSError, ValueError, KeyError):
        return None
    # As in JSON; the file says which precision "auto" meant.
    ours = json.loads(json.dumps({**recipe.numbers(), "precision": theirs.get("precision")}))
    step, reason = state_to_go_on_from(state, theirs, ours)
    if step is not None:
        return f"{output}: a training of {theirs['steps']} steps lies here; it goes on from step {step}"
    over = any((state / name).exists() for name in ("finished", "diverged.json"))
    return thrown_away(output, {"recipe": theirs}, {"recipe": ours}, reason) if over and theirs != ours else None
