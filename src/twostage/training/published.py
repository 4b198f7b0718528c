"""Imports a published checkpoint instead of a training.

    python -m twostage.training.published --checkpoint lightningdit-xl.pt --latents latents.h5 --output step.safetensors

It is checked against the latents and the configured sizes, then written like the last snapshot of a training.
"""

import argparse
import json
import sys
import warnings

from twostage.data.latents import LatentStore
from twostage.fetch import check_digest
from twostage.model.checkpoints import import_published, save_model
from twostage.model.identity import latents_of
from twostage.provenance import write_provenance
from twostage.sides import size_of
from twostage.storage import OutputFile
from twostage.weights_file import NoEMA


def import_checkpoint(checkpoint, store_path, sizes, output, *, step, sha256=None, weights=None):
    """Write a published checkpoint's weights to ``output``, as ``twostage.model.checkpoints.save_model`` does.

    checkpoint: a file for ``import_published``; sizes: the architecture in the configuration (patch_size, hidden_size,
    depth, num_heads); step: number of steps of its training, for the record; sha256: expected digest; weights: the
    entry to take, None for the EMA (if there is none, the plain weights with a warning).
    Raises ValueError for another file, for other sizes, and for weights that were made for other latents.
    """
    digest = check_digest(checkpoint, sha256)
    model, store = import_published(checkpoint, weights=weights), LatentStore.open(store_path, split="train")
    _, channels, height, width = store.shape
    wanted = {**sizes, "input_size": size_of(height, width), "in_channels": channels, "num_classes": store.num_classes}
    if odd := [name for name, value in wanted.items() if model.architecture[name] != value]:
        found = ", ".join(f"{name} {model.architecture[name]}" for name in odd)
        raise ValueError(
            f"{checkpoint}: a LightningDiT of {found}; expected {', '.join(f'{name} {wanted[name]}' for name in odd)}, "
            f"which the configuration and {store_path} ask for: mend the model's sizes, or name the latent spaces that "
            "the checkpoint is for (`checkpoint: {space: file}`)"
        )
    save_model(output, model, step=step, published={**model.metadata, "sha256": digest}, latents=latents_of(store))
    write_provenance(
        output, config={"architecture": wanted, "step": step}, source=str(checkpoint), source_sha256=digest
    )


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m twostage.training.published", description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", required=True, help="LightningDiT's .pt, SiT-style .pt, or safetensors")
    parser.add_argument("--latents", required=True, help="latent store of the training split")
    parser.add_argument("--architecture", required=True, type=json.loads, help="JSON: patch_size, hidden_size, ...")
    parser.add_argument("--step", required=True, type=int, help="number of steps of its training")
    parser.add_argument("--sha256", help="expected digest of the checkpoint")
    parser.add_argument("--weights", help="entry of the checkpoint to take; by default its EMA")
    parser.add_argument("--output", required=True, action=OutputFile, help="safetensors file to write")
    options = parser.parse_args(arguments)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", NoEMA)
            import_checkpoint(
                options.checkpoint,
                options.latents,
                options.architecture,
                options.output,
                step=options.step,
                sha256=options.sha256,
                weights=options.weights,
            )
        for warning in caught:
            if issubclass(warning.category, NoEMA):
                print(f"warning: {warning.message}", file=sys.stderr)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
