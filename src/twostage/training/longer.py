"""What becomes of a training that lies where another is asked for: gone on from, thrown away, or in the way.

Only numbers of steps may differ where one training goes on from another's state: a step is a function of (seed, step),
so that the first steps of a longer training are those of the shorter one. Nothing here imports torch: Snakemake says
the same before it starts a job.
"""

import json
from pathlib import Path

LENGTH = ("steps", "snapshots")  # of a recipe: how far it goes, not how


def step_of(path):
    """The step in a file's name, ``checkpoint-0000300.safetensors``: 300."""
    return int(Path(path).stem.rpartition("-")[2])


def differences(theirs, ours, prefix=""):
    """Texts, one for each value in which two dicts of dicts differ."""
    for key in sorted({*theirs, *ours}):
        there, here = theirs.get(key), ours.get(key)
        if isinstance(there, dict) and isinstance(here, dict):
            yield from differences(there, here, f"{prefix}{key}.")
        elif there != here:
            yield f"{prefix}{key} is {there!r} there and {here!r} here"


def state_to_go_on_from(state, theirs, ours):
    """(step, None) when the training ``ours`` goes on from a state in the folder ``state``, else (None, reason).

    theirs, ours: recipes, the folder's and the one asked for. The reason is None too where they differ in more than
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
    """The sentence that says so, of what ended in ``folder``; theirs, ours: as in ``differences``."""
    because = f"; it cannot be gone on from, because {reason}" if reason else ""
    return f"{folder}: the training that ended here is thrown away ({'; '.join(differences(theirs, ours))}){because}"


def announcement(output, recipe):
    """What a job that trains ``recipe`` (a ``Recipe``) into the folder ``output`` will make of an ended training there.

    None where there is none, or none of another recipe. Precision and compilation are the device's and not compared.
    """
    state = Path(output) / "state"
    try:
        theirs = json.loads((state / "training.json").read_text(encoding="utf-8"))["recipe"]
    except (OSError, ValueError, KeyError):
        return None
    # As JSON has them; the file says which precision "auto" was.
    ours = json.loads(json.dumps({**recipe.numbers(), "precision": theirs.get("precision")}))
    step, reason = state_to_go_on_from(state, theirs, ours)
    if step is not None:
        return f"{output}: a training of {theirs['steps']} steps lies here; it goes on from step {step}"
    over = any((state / name).exists() for name in ("finished", "diverged.json"))
    return thrown_away(output, {"recipe": theirs}, {"recipe": ours}, reason) if over and theirs != ours else None
