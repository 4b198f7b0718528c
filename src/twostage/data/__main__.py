"""Command line of the data stage: ``python -m twostage.data --help`` lists its commands."""

import argparse
import json
import sys
import warnings
from pathlib import Path

from twostage.startup import quick_start
from twostage.storage import OutputFile, here, name_of


def main(arguments=None):
    """Run one command; a ValueError or OSError becomes one line on stderr and exit code 1."""
    options = _parser().parse_args(arguments)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # about unusual metadata: one line for each of a million files
    try:
        import torch

        from twostage.arithmetic import use_full_precision

        torch.set_num_threads(options.threads)
        use_full_precision()
        options.run(options)
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


# ------------------------------------------------------------------------------------------------------------ commands


def _autoencoder(options):
    import numpy as np

    from twostage.data.autoencoder import train_autoencoder
    from twostage.data.reconstruction import reconstruction_quality
    from twostage.provenance import write_json, write_provenance

    train, held_out = _dataset(options, "train"), _dataset(options, "held_out")
    features = None if options.features is None else np.load(options.features, mmap_mode="r")
    encoder = train_autoencoder(train, options.encoder, options.seed, options.output, options.device, features)
    config = {"dataset": options.dataset, "encoder": options.encoder}
    inputs = [options.features] if options.features else []
    write_provenance(options.output, config=config, seed=options.seed, inputs=inputs)
    report = Path(options.output).with_name("reconstruction.json")
    write_json(
        report, {"train": reconstruction_quality(encoder, train), "held_out": reconstruction_quality(encoder, held_out)}
    )
    write_provenance(report, config=config, seed=options.seed, inputs=[options.output])


def _index(options):
    from twostage.data.index import write_index
    from twostage.provenance import provenance_path, write_provenance

    folders = _folders(options.dataset)
    written, said = write_index(folders, options.output, options.threads, options.dataset.get("classes"))
    if written or not provenance_path(options.output).exists():
        write_provenance(options.output, config={"dataset": folders})
    for sentence in said:
        _warn(sentence)


def _contents(options):
    from dataclasses import asdict

    from twostage.data.copies import write_contents
    from twostage.data.images import Reader
    from twostage.data.index import Index
    from twostage.provenance import write_provenance

    folders, side = _folders(options.dataset), options.dataset.get("image_size")
    if not side:
        raise ValueError("--dataset has no image_size; expected the side of the crop, in pixels")
    reader = Reader(side, options.dataset.get("min_side") or side, options.dataset.get("background") or "white")
    index = options.index[0]
    copies = write_contents(
        folders, Index(index), reader, str(reader), options.output, options.threads, options.dataset.get("classes")
    )
    write_provenance(options.output, config={"dataset": folders | asdict(reader)}, inputs=[index])
    if copies:
        _warn(copies)


def _folders(dataset):
    if dataset.get("name") != "image_folder" or not dataset.get("path"):
        raise ValueError("only class folders have an index; expected image_folder with a path")
    return {key: dataset.get(key) for key in ("path", "held_out_path")}


def _warn(sentence):
    """Print a line with a beginning that makes the workflow show it on the terminal too."""
    print(f"warning: {sentence}", file=sys.stderr)


def _warn_of_copies(dataset):
    from twostage.data.copies import describe_copies

    names = [dataset.name_of(row) for row in range(len(dataset))]
    if copies := describe_copies(names, dataset.contents[:, 0]):
        _warn(copies)


def _encode(options):
    from twostage.data.encode import encode
    from twostage.data.encoders import load_encoder

    encoder = load_encoder(options.encoder, options.weights, options.device)
    runs = [(options.split, options.output, options.statistics)]
    if options.held_out:
        runs.append(("held_out", options.held_out, options.output))
    for split, output, statistics in runs:
        dataset = _dataset(options, split)
        if split == "train" and options.shard[0] == 0 and not options.dataset.get("index"):
            _warn_of_copies(dataset)  # an index warned when it was written
        if dataset.copies_left_out:
            print(f"{dataset.copies_left_out} held-out images equal a training image: left out of the held-out split")
        written = encode(
            dataset,
            encoder,
            output,
            shard=options.shard[0],
            shards=options.shard[1],
            flips=options.flips,
            statistics=statistics,
            normalise=options.normalise,
            batch_size=options.batch_size,
            workers=options.threads,
            seed=options.seed,
        )
        _after_encoding(options, output, split, statistics, written)


def _after_encoding(options, output, split, statistics, written):
    from twostage.data.latents import read_header
    from twostage.provenance import provenance_path, write_provenance

    if not written and provenance_path(output).exists():
        print(f"{output} is already there, made of the same data by the same encoder")
        return
    header = read_header(output)
    if left_out := header.left_out:
        print(f"{output}: {len(left_out)} images left out, listed in its /left_out; the first: {left_out[0]}")
    inputs = [path for path in (*(options.weights or []), statistics) if path]
    config = {"dataset": options.dataset, "encoder": options.encoder, "split": split, "flips": options.flips}
    write_provenance(output, config=config, seed=options.seed, inputs=inputs, fingerprint=header.fingerprint())


def _join(options):
    from twostage.data.encode import join
    from twostage.data.latents import read_header
    from twostage.provenance import provenance_path, write_provenance

    join(options.shards, options.output, options.statistics)
    # The digest of a shard is in its own provenance; hashing all shards again would take longer than the join.
    digests = {}
    for shard in options.shards:
        beside = provenance_path(shard)
        digests[name_of(shard)] = json.loads(beside.read_text(encoding="utf-8"))["sha256"] if beside.exists() else None
    inputs = [options.statistics] if options.statistics else []
    fingerprint = read_header(options.output).fingerprint()
    write_provenance(options.output, inputs=inputs, shards=digests, fingerprint=fingerprint)


def _reconstruction(options):
    from twostage.data.encoders import load_encoder
    from twostage.data.reconstruction import reconstruction_quality
    from twostage.provenance import write_json, write_provenance

    encoder = load_encoder(options.encoder, options.weights, options.device)
    write_json(
        options.output,
        {
            split: reconstruction_quality(encoder, _dataset(options, split), options.batch_size, options.images)
            for split in ("train", "held_out")
        },
    )
    config = {"dataset": options.dataset, "encoder": options.encoder, "images": options.images}
    write_provenance(options.output, config=config, inputs=options.weights or [])


def _download(options):
    from twostage.data.datasets import download_cifar10

    if options.dataset.get("name") != "cifar10" or not options.dataset.get("path"):
        raise ValueError("only cifar10 can be downloaded; expected a data set with name cifar10 and a path")
    download_cifar10(here(options.dataset["path"]))


def _import(options):
    from twostage.data.encoders import load_encoder
    from twostage.data.interchange import import_lightningdit, import_npy, import_repa
    from twostage.data.latents import read_header
    from twostage.provenance import write_provenance

    run = {"lightningdit": import_lightningdit, "repa": import_repa, "npy": import_npy}[options.format]
    if options.labels and options.format != "npy":
        raise ValueError(f"--labels with the format {options.format}, whose files have labels; expected npy")
    about = {"labels": here(options.labels)} if options.labels else {}
    about |= {"unlabelled": True} if options.no_classes else {}
    if options.encoder:
        encoder = load_encoder(options.encoder, options.weights)
        about |= {"encoder": encoder.kind, "encoder_sha256": encoder.sha256}
    about |= {"num_classes": options.classes, "normalise": options.normalise}
    run(here(options.input), options.output, split=options.split, **about)
    config = {"format": options.format, "folder": options.input, "split": options.split, "encoder": options.encoder}
    header = read_header(options.output)
    if header.class_offsets[1] == 0:
        _warn(f"{options.output}: class 0 has no latents; labels count from 0: do these count from 1?")
    inputs = options.weights or []
    write_provenance(options.output, config=config, inputs=inputs, fingerprint=header.fingerprint())


def _export(options):
    from twostage.data.interchange import export_lightningdit, export_repa

    {"lightningdit": export_lightningdit, "repa": export_repa}[options.format](options.store, options.output)


# ----------------------------------------------------------------------------------------------------------- arguments


def _parser():
    parser = argparse.ArgumentParser(prog="python -m twostage.data", description="Images to latents.")
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name, run, summary, output="file to write"):
        added = commands.add_parser(name, help=summary, description=summary)
        added.set_defaults(run=run)
        added.add_argument("--output", required=True, action=OutputFile, help=output)
        added.add_argument("--threads", type=_count, default=1, help="CPU threads")
        return added

    def images(added):
        added.add_argument(
            "--dataset", type=_json, required=True, help='JSON, e.g. {"name": "digits", "held_out": 0.2}'
        )
        added.add_argument("--encoder", type=_json, required=True, help='JSON, e.g. {"kind": "identity"}')
        added.add_argument("--device", default="cpu", help="cpu or cuda")

    def normalise(added):
        added.add_argument(
            "--normalise",
            help='JSON: "all", one std for all channels, or {"mean": ..., "std": ...}; default: by channel',
        )

    def weights(added):
        added.add_argument(
            "--weights", type=here, nargs="+", help="weights file of the encoder; two files if the decoder has its own"
        )
        added.add_argument("--batch-size", type=_count, default=64, help="images per forward pass")

    added = command("autoencoder", _autoencoder, "Train the small KL autoencoder; write reconstruction.json beside it.")
    images(added)
    added.add_argument("--seed", type=int, default=0)
    added.add_argument("--features", help=".npy of the training images' features, for align_weight above 0")

    for name, run, summary in (
        ("index", _index, "Index class folders: write size, digest and class of every image file as CSV."),
        ("contents", _contents, "Find copies: write the digests of the pixels of indexed images as CSV."),
    ):
        added = command(name, run, summary)
        added.add_argument(
            "--dataset", type=_json, required=True, help='JSON, {"name": "image_folder", "path": folder, ...}'
        )
    added.add_argument(
        "--index", required=True, nargs="+", help="CSV that `index` wrote; archives of images may follow it"
    )

    added = command("encode", _encode, "Encode a split, or one shard of it, into a latent store.")
    images(added)
    weights(added)
    added.add_argument("--split", choices=("train", "held_out"), required=True)
    added.add_argument("--statistics", help="training store whose mean and std normalise this one")
    normalise(added)
    added.add_argument("--held-out", help="with --split train: encode the held-out split too, into this file")
    added.add_argument("--shard", type=_shard, default=(0, 1), help="K/N: shard K of N, from 1")
    added.add_argument("--flips", action="store_true", help="encode the mirrored images too")
    added.add_argument("--seed", type=int, default=0, help="seed of the stored sample, for posterior `sample`")

    added = command("join", _join, "Join shards into one store, without copying.")
    added.add_argument("--shards", nargs="+", required=True)
    added.add_argument("--statistics", help="training store whose mean and std normalise this one")

    added = command("reconstruction", _reconstruction, "Reconstruction quality of an encoder on both splits (PSNR).")
    images(added)
    weights(added)
    added.add_argument("--images", type=_count, help="images per split, evenly spaced; by default all of them")

    added = commands.add_parser("download", help="Download CIFAR-10 and check its checksum.")
    added.set_defaults(run=_download, threads=1)
    added.add_argument("--dataset", type=_json, required=True, help='JSON, {"name": "cifar10", "path": folder}')

    added = command("import", _import, "Turn other projects' latents into a latent store.")
    added.add_argument("--format", choices=("lightningdit", "repa", "npy"), required=True)
    added.add_argument("--input", required=True, help="folder of latents; for npy the .npy file, (N, C, H, W)")
    added.add_argument("--labels", help="for npy: .npy of the labels, (N,); by default labels.npy beside the latents")
    added.add_argument("--classes", type=_count, help="number of classes; by default largest label + 1")
    added.add_argument("--no-classes", action="store_true", help="make one class of all latents, without labels")
    added.add_argument("--split", choices=("train", "held_out"), default="train")
    normalise(added)
    added.add_argument(
        "--encoder", type=_json, help='encoder that made the latents, e.g. {"kind": "va-vae"}; with --weights'
    )
    added.add_argument("--weights", type=here, nargs="+", help="weights file of that encoder, or its two files")

    added = command("export", _export, "Write a latent store as other projects' latents.", output="folder to write")
    added.add_argument("--format", choices=("lightningdit", "repa"), required=True)
    added.add_argument("--store", required=True)
    return parser


def _json(text):
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"not JSON ({error}): {text!r}") from None
    if not isinstance(content, dict):
        raise argparse.ArgumentTypeError(f"expected a JSON object: {text!r}")
    return content


def _count(text):
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r}; expected a whole number above 0")
    return int(text)


def _shard(text):
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise argparse.ArgumentTypeError(f"{text!r}; expected K/N, shard K of N, 1 <= K <= N")
    return int(number) - 1, int(of)


def _dataset(options, split):
    from twostage.data.datasets import load_dataset

    description = dict(options.dataset)
    if "name" not in description:
        raise ValueError("--dataset has no `name`; expected digits, image_folder or cifar10")
    return load_dataset(description.pop("name"), split, **description)


if __name__ == "__main__":
    quick_start()
    sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: names of files need not be UTF-8
    sys.exit(main())
