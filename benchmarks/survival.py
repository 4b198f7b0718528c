"""A training on digits, killed a hundred times with SIGKILL, against one that nothing disturbed.

    python benchmarks/survival.py

The command line runs again and again and is killed at a random moment, while it starts, steps, writes a checkpoint or
publishes a snapshot; the last time it may finish. Then its weights must be those of the undisturbed training, byte for
byte, and nothing else may lie in its folder. Needs about ten minutes of one core; exit code 1 when anything differs.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from twostage.data.datasets import load_dataset
from twostage.data.encode import encode
from twostage.data.encoders import load_encoder

ARCHITECTURE = {"patch_size": 2, "hidden_size": 32, "depth": 2, "num_heads": 2}
RECIPE = {"batch_size": 64, "lr": 3e-3, "ema": 0.99}


def command(latents, output, recipe):
    """The command line that trains."""
    return [
        *(sys.executable, "-m", "twostage.training", "--latents", latents, "--output", output, "--device", "cpu"),
        *("--architecture", json.dumps(ARCHITECTURE), "--recipe", json.dumps(recipe)),
    ]


def moment_of(output):
    """What a killed training was about, from what it left: a word for the table."""
    state = output / "state"
    if not state.exists():
        return "before its state folder"
    if list(state.glob(".checkpoint*")):
        return "writing a checkpoint"
    if list(state.glob(".step*")) or list(output.glob(".step*")):
        return "writing a snapshot"
    return "starting or stepping"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--checkpoint-every", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    recipe = {**RECIPE, "steps": options.steps, "checkpoint_every": options.checkpoint_every}
    recipe["snapshots"] = list(range(options.steps // 20, options.steps, options.steps // 20))
    draw = random.Random(options.seed)

    with tempfile.TemporaryDirectory() as folder:
        latents, quiet, killed = (Path(folder) / name for name in ("latents.h5", "undisturbed", "killed"))
        encode(load_dataset("digits", "train"), load_encoder({"kind": "identity"}, None, "cpu"), latents)
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        begin = time.monotonic()
        subprocess.run(command(latents, quiet, recipe), check=True, **silent)
        alone = time.monotonic() - begin
        begin = time.monotonic()
        subprocess.run(command(latents, quiet, recipe), check=True, **silent)
        at_once = time.monotonic() - begin
        print(f"undisturbed: {alone:.1f} s for {options.steps} steps; again, when finished: {at_once:.2f} s, exit 0")

        moments, begin = Counter(), time.monotonic()
        while moments.total() < options.kills:
            victim = subprocess.Popen(command(latents, killed, recipe), **silent)
            try:
                code = victim.wait(draw.uniform(0, 2 * at_once))
            except subprocess.TimeoutExpired:
                victim.kill()
                code = victim.wait()
            if code == 0:
                break
            if code != -signal.SIGKILL:
                sys.exit(f"the training ended by itself with exit code {code}; expected 0 or to be killed")
            moments[moment_of(killed)] += 1
        subprocess.run(command(latents, killed, recipe), check=True, **silent)
        kills = ", ".join(f"{count} {moment}" for moment, count in moments.most_common())
        print(f"killed {moments.total()} times in {time.monotonic() - begin:.1f} s ({kills})")

        files = {path.name for path in quiet.rglob("*")}
        strays = {path.name for path in killed.rglob("*")} ^ files
        weights = sorted(quiet.glob("*.safetensors"))
        differ = [path.name for path in weights if path.read_bytes() != (killed / path.name).read_bytes()]
        print(
            f"{len(weights) - len(differ)} of {len(weights)} snapshots bit-identical; stray or missing files: {strays}"
        )
        sys.exit(1 if differ or strays else 0)


if __name__ == "__main__":
    main()
