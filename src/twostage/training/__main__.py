"""Command line: ``python -m twostage.training``. The same command again resumes; a complete training ends at once.

Exit codes: 0 the training is complete; 85 it left early with a checkpoint (SIGTERM, SIGUSR1, the wall-clock budget or
the end of the Slurm job) and must be run again; 1 bad input, a full disk, a folder in use, or a loss that diverged.
Under torchrun the exit code is torchrun's own, 1 for every code except 0; then the checkpoint in the state folder
tells whether to start again.
"""

import argparse
import json
import os
import sys

from twostage.startup import quick_start

REQUEUE = 85


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m twostage.training", description=__doc__.splitlines()[0])
    parser.add_argument("--latents", required=True, help="latent store of the training split")
    parser.add_argument(
        "--architecture", required=True, type=_json, metavar="JSON", help="patch_size, hidden_size, depth, num_heads"
    )
    parser.add_argument(
        "--recipe",
        required=True,
        type=_json,
        action="append",
        metavar="JSON",
        help='settings that differ from the paper\'s, e.g. {"steps": 600}; several are merged',
    )
    parser.add_argument("--output", required=True, help="folder for step-*.safetensors and stats.jsonl")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of a node, shared by its processes")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--gpus", type=int, default=0, help="GPUs of all nodes; torchrun starts one process per GPU")
    parser.add_argument("--nodes", type=int, default=1, help="nodes of the Slurm job; joined by srun and torchrun")
    parser.add_argument("--scratch", action="store_true", help="copy the latents to $TMPDIR first, and read them there")
    parser.add_argument(
        "--wait",
        type=float,
        default=0,
        metavar="MINUTES",
        help="how long to wait for another training of this output; also the time limit of a job if Slurm does not "
        "tell it",
    )
    options = parser.parse_args(arguments)

    from twostage.training.launch import launch
    from twostage.training.lock import Lock
    from twostage.training.longer import state_of
    from twostage.training.stop import announce_end

    announce_end(options.wait)
    recipe = {key: value for settings in options.recipe for key, value in settings.items()}
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        try:
            if options.wait:
                Lock(state_of(options.output, recipe.get("state_folder"))).wait(60 * options.wait)
            if max(options.gpus, options.nodes) > 1:
                words = sys.argv[1:] if arguments is None else arguments
                return launch(options.gpus, options.nodes, options.threads, words)
        except (ValueError, OSError) as error:
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
            return 1

    import torch

    from twostage.arithmetic import use_full_precision
    from twostage.training.loop import train
    from twostage.training.processes import by_torchrun, keep_freed_memory
    from twostage.training.statistics import Diverged

    torch.set_num_threads(max(1, options.threads // by_torchrun("LOCAL_WORLD_SIZE", 1)))
    keep_freed_memory()
    use_full_precision()
    try:
        complete = train(
            options.latents,
            options.architecture,
            recipe,
            options.output,
            seed=options.seed,
            device=options.device,
            scratch=options.scratch,
        )
    except (ValueError, OSError, Diverged) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0 if complete else REQUEUE


def _json(text):
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"is {text}; expected a JSON object")
    return value


if __name__ == "__main__":
    quick_start()
    sys.exit(main())
