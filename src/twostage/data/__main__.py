"""Command line of the data stage: ``python -m twostage.data {autoencoder,encode,join,download,...}``."""

import argparse
import json
import sys
from pathlib import Path


def main(arguments=None):
    """Run one command; a ValueError or OSError becomes one line on stderr and exit code 1."""
    options = _parser().parse_args(arguments)
    try:
        import torch

        torch.set_num_threads(options.threads)
        options.run(options)
    except (ValueError, OSError) as error:
        print(f"error: {_one_line(error)}", file=sys.stderr)
        return 1
    return 0


def _one_line(error):
    return " ".join(str(error).split())


def _parser():
    parser = argparse.ArgumentParser(prog="python -m twostage.data", description="Images to latents.")
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name, run, summary):
        added = commands.add_parser(name, help=summary, description=summary)
        added.set_defaults(run=run)
        added.add_argument("--threads", type=int, default=1, help="CPU threads")
        return added

    def images(added):
        added.add_argument(
            "--dataset", type=_json, required=True, help='JSON, e.g. {"name": "digits", "held_out": 0.2}'
        )
        added.add_argument("--encoder", type=_json, required=True, help='JSON, e.g. {"kind": "identity"}')
        added.add_argument("--device", default="cpu", help="cpu or cuda")
        added.add_argument("--output", required=True)

    added = command("autoencoder", _autoencoder, "Train the small KL autoencoder.")
    images(added)
    added.add_argument("--seed", type=int, default=0)

    added = command("encode", _encode, "Encode a split, or one shard of it, into a latent store.")
    images(added)
    added.add_argument("--weights", help="weights file of the encoder")
    added.add_argument("--split", choices=("train", "held_out"), required=True)
    added.add_argument("--statistics", help="training store whose mean and std normalise this one")
    added.add_argument("--shard", type=_shard, default=(0, 1), help="K/N: shard K of N, from 1")
    added.add_argument("--flips", action="store_true", help="encode the mirrored images too")
    added.add_argument("--batch-size", type=int, default=64)
    added.add_argument("--seed", type=int, default=0, help="of the stored sample, for posterior `sample`")

    added = command("join", _join, "Join shards into one store, without copying.")
    added.add_argument("--shards", nargs="+", required=True)
    added.add_argument("--statistics", help="training store whose mean and std normalise this one")
    added.add_argument("--output", required=True)

    added = command("download", _download, "Download CIFAR-10, its checksum checked.")
    added.add_argument("--dataset", type=_json, required=True)
    return parser


def _json(text):
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"not JSON ({error}): {text!r}") from None
    if not isinstance(content, dict):
        raise argparse.ArgumentTypeError(f"expected a JSON object: {text!r}")
    return content


def _shard(text):
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise argparse.ArgumentTypeError(f"{text!r}; expected K/N, shard K of N, 1 <= K <= N")
    return int(number) - 1, int(of)


def _load(options, split):
    from twostage.data.datasets import load_dataset

    dataset = dict(options.dataset)
    if "name" not in dataset:
        raise ValueError("--dataset has no `name`; expected digits, image_folder or cifar10")
    dataset.pop("max_corrupt", None)
    return load_dataset(dataset.pop("name"), split, **dataset)


def _autoencoder(options):
    from twostage.data.autoencoder import train_autoencoder
    from twostage.data.reconstruction import reconstruction_quality
    from twostage.provenance import write_json, write_provenance

    train = _load(options, "train")
    encoder = train_autoencoder(train, options.encoder, options.seed, options.output, options.device)
    config = {"dataset": options.dataset, "encoder": options.encoder}
    write_provenance(options.output, config=config, seed=options.seed)
    quality = {
        split: reconstruction_quality(encoder, dataset)
        for split, dataset in (("train", train), ("held_out", _load(options, "held_out")))
    }
    report = Path(options.output).with_name("reconstruction.json")
    write_json(report, quality)
    write_provenance(report, config=config, seed=options.seed, inputs=[options.output])


def _encode(options):
    from twostage.data.encode import encode
    from twostage.data.encoders import load_encoder
    from twostage.provenance import write_provenance

    encode(
        _load(options, options.split),
        load_encoder(options.encoder, options.weights, options.device),
        options.output,
        shard=options.shard[0],
        shards=options.shard[1],
        flips=options.flips,
        statistics=options.statistics,
        batch_size=options.batch_size,
        workers=options.threads,
        seed=options.seed,
        max_corrupt=options.dataset.get("max_corrupt") or 0.0,
    )
    inputs = [path for path in (options.weights, options.statistics) if path]
    config = {"dataset": options.dataset, "encoder": options.encoder, "split": options.split, "flips": options.flips}
    write_provenance(options.output, config=config, seed=options.seed, inputs=inputs)


def _join(options):
    from twostage.data.encode import join
    from twostage.provenance import write_provenance

    join(options.shards, options.output, options.statistics)
    write_provenance(options.output, shards=[str(path) for path in options.shards])


def _download(options):
    from twostage.data.datasets import download_cifar10

    if options.dataset.get("name") != "cifar10" or not options.dataset.get("path"):
        raise ValueError("only cifar10 can be downloaded; expected a data set with name cifar10 and a path")
    download_cifar10(options.dataset["path"])


if __name__ == "__main__":
    sys.exit(main())
