"""Encoding a data set into a latent store: as a whole, or in shards that are joined without copying."""

import os
from pathlib import Path

import h5py
import numpy as np
import torch
from tqdm import tqdm

from twostage.data.index import refuse_other_index
from twostage.data.latents import (
    IDENTITY_ATTRIBUTES,
    ChannelMoments,
    LatentStore,
    read_header,
    statistics_of,
    write_attributes,
    write_contents,
    write_errors,
    write_index,
    write_left_out,
    write_store,
)
from twostage.flow import sample_noise
from twostage.hdf5 import write_texts
from twostage.provenance import atomic_write
from twostage.read_ahead import read_ahead
from twostage.sides import in_words


def encode(
    dataset, encoder, output, *, shard=0, shards=1, flips=False, statistics=None, normalise=None, batch_size=64,
    workers=1, seed=0,
):  # fmt: skip
    """Encode one shard of a data set (all of it, with one shard) into the store ``output``.

    The class-sorted list of images is cut into ``shards`` runs of almost equal length, so the shards in order are
    sorted by class. flips: encode the mirrored images too. statistics: path of the training split's store, whose mean
    and std then normalise this one; without it ``normalise`` does (``twostage.data.latents.statistics_of``). workers:
    threads that read images while the encoder works. seed: for an encoder with posterior "sample", which stores one
    fixed sample per latent.
    Copies of one image get latents that are equal bit for bit. For this, all copies take the noise of the first of them
    in the split (number 2 i for image i, 2 i + 1 for its mirror image), and an image with copies goes through the
    encoder alone, because a GPU's rounding may depend on an image's place in its chunk. An image without copies has the
    noise of its own number.
    Unusable images are left out, up to the share ``dataset.max_corrupt`` of the split, and listed in the store
    (``/left_out``). Returns True, or False if ``output`` exists already, whole and made from the same; so a restart
    encodes only what is missing.
    Raises ValueError for an unusable image beyond that share; then nothing is left at ``output``.
    """
    if not (0 <= shard < shards <= len(dataset)):
        raise ValueError(f"shard {shard + 1} of {shards}; expected 1 to {shards}, and at most {len(dataset)} shards")
    rows = np.array_split(np.argsort(dataset.labels, kind="stable"), shards)[shard]
    shape = encoder.latent_shape(dataset.image_shape)
    attributes = {
        "encoder": encoder.kind,
        "encoder_sha256": encoder.sha256,
        "posterior": encoder.posterior if encoder.posterior == "mean" else f"sample, seed {seed}",
        "split": dataset.split,
        "image_size": _size_in_store(*dataset.image_shape[:2]),
        "dataset": dataset.name,
        "dataset_fingerprint": dataset.fingerprint,
        "index": dataset.index or "unknown",
        "shard": f"{shard + 1}/{shards}",
        "may_be_left_out": int(dataset.max_corrupt * len(dataset)),
        **({"normalise": normalise} if normalise else {}),
    }
    normalisation = None if statistics is None else _train_statistics(statistics, attributes)
    if _is_there(output, attributes, normalisation, flips):
        return False
    contents = dataset.contents[:, : 1 + flips]
    numbers, repeated = _noise_numbers(contents)
    problems, source = [], []
    progress = tqdm(total=len(rows), desc=f"encode {shard + 1}/{shards}", unit="image", disable=None)
    with write_store(output, len(rows), shape, flips=flips) as writer, progress:
        for images, kept, unusable in images_ahead(dataset, rows, batch_size, workers):
            problems += unusable
            _refuse_too_many(problems, attributes["may_be_left_out"])
            progress.update(len(kept) + len(unusable))
            if len(kept):
                images = torch.from_numpy(images)
                plain, mirrored = (
                    _latents(encoder, turned, numbers[kept, column], repeated[kept, column], shape, seed)
                    if column <= flips
                    else None
                    for column, turned in enumerate((images, images.flip(2)))
                )
                writer.write(sum(map(len, source)), plain, mirrored)
                source.append(kept)
        if not source:
            raise ValueError(f"{problems[-1]}. No image of shard {shard + 1} of {shards} can be used")
        source = np.concatenate(source)
        writer.finish(
            dataset.labels[source], source, len(dataset.classes), attributes, normalisation, problems,
            contents[source], dataset.classes,
        )  # fmt: skip
    return True


def _size_in_store(height, width):
    """A number as in every store of square images; else text, because attributes are compared."""
    return height if height == width else in_words((height, width))


def _is_there(output, attributes, normalisation, flips):
    """Whether ``output`` is a whole store with these attributes, normalisation and flips."""
    try:
        header = read_header(output)
    except ValueError:
        return False
    found = header.attributes
    found = {"index": attributes["index"]} | found  # a store of an earlier version has no index
    same = all(found.get(key) == value for key, value in attributes.items()) and flips == (
        "latents_flip" in header.parts
    )
    same = same and header.contents is not None and found.get("normalise") == attributes.get("normalise")
    mean, std = normalisation or statistics_of(attributes.get("normalise"), found["mean"], found["std"])
    return same and np.array_equal(found["normalise_mean"], mean) and np.array_equal(found["normalise_std"], std)


def _train_statistics(path, attributes):
    train = LatentStore.open(path, split="train")
    if train.attributes["encoder_sha256"] != attributes["encoder_sha256"]:
        raise ValueError(f"{path}: made by another encoder; expected the training store of the same encoder")
    refuse_other_index("the images to encode", attributes.get("index"), path, train.index)
    return train.mean.numpy(), train.std.numpy()


def _refuse_too_many(problems, allowed):
    if len(problems) > allowed:
        known = f"; max_corrupt allows {allowed} to be left out, this is number {allowed + 1}" if allowed else ""
        raise ValueError(f"{problems[allowed]}{known}. Repair or remove the file, or raise max_corrupt")


def _noise_numbers(contents):
    """For images and mirrored images, the numbers of their noise, and whether they have copies: two arrays (N,
    columns).

    contents: content ids (N, columns), mirrored images in the second column, if any.
    """
    columns = contents.shape[1]
    _, first, group, count = np.unique(contents, return_index=True, return_inverse=True, return_counts=True)
    row, column = np.divmod(first, columns)
    group = group.reshape(contents.shape)
    return (2 * row + column)[group], (count > 1)[group]


def _latents(encoder, images, numbers, repeated, shape, seed):
    """Latents float32 (n, C, h, w) of a batch. ``numbers`` (n,) give the noise; images that are ``repeated`` (n,) are
    encoded alone."""
    noise = sample_noise(seed, numbers, shape) if encoder.posterior == "sample" else None
    latents = torch.empty((len(images), *shape))
    for rows in [np.flatnonzero(~repeated), *np.flatnonzero(repeated)[:, None]]:
        if len(rows):
            rows = torch.from_numpy(rows)
            latents[rows] = encoder.encode(images[rows], None if noise is None else noise[rows]).float()
    return latents


def images_ahead(dataset, rows, batch_size, threads):
    """Yield ``dataset.readable_images`` for the batches of ``rows``, in order; threads read a few batches ahead."""
    batches = np.array_split(rows, range(batch_size, len(rows), batch_size))
    return read_ahead(dataset.readable_images, batches, threads=threads, depth=threads)


def join(shards, output, statistics=None):
    """Join shard files, in any order, into the store ``output``, which refers to them (HDF5 virtual data sets).

    The joined file names its shards relative to its own folder. statistics: as for ``encode``. Raises ValueError for
    a shard that is missing, damaged, there twice, or of another encoder, data set or split than the first.
    """
    output = Path(output)
    if not shards:
        raise ValueError("no shards to join; expected at least one file")
    headers = sorted(((_position(header), header) for header in map(read_header, shards)), key=lambda pair: pair[0])
    positions, headers = zip(*headers)
    first, moments = headers[0], ChannelMoments(headers[0].shape[1])
    if [number for number, _ in positions] != list(range(1, positions[0][1] + 1)) or len(
        {of for _, of in positions}
    ) > 1:
        found = ", ".join(header.attributes["shard"] for header in headers)
        raise ValueError(f"shards {found}; expected each of 1 to {positions[0][1]} once: encode the missing ones")
    for header in headers:
        _same_origin(first, header)
        moments.merge(header.moments.count, header.moments.mean, header.moments.squares)
    left_out = [line for header in headers for line in header.left_out]
    _refuse_too_many(left_out, first.attributes["may_be_left_out"])
    attributes = {key: first.attributes[key] for key in (*IDENTITY_ATTRIBUTES, "image_size", "dataset")}
    attributes["index"] = first.attributes.get("index", "unknown")
    attributes |= {key: first.attributes[key] for key in ("normalise",) if key in first.attributes}
    normalisation = None if statistics is None else _train_statistics(statistics, attributes)
    with atomic_write(output) as temporary, write_errors(output), h5py.File(temporary, "w") as file:
        for name in first.parts:
            total = sum(header.shape[0] for header in headers)
            layout = h5py.VirtualLayout((total, *first.shape[1:]), "<f4")
            layout.dcpl.set_obj_track_times(False)  # the same shards make the same file, to the byte
            start = 0
            for header in headers:
                relative = os.path.relpath(header.path.resolve(), output.parent.resolve())
                layout[start : start + header.shape[0]] = h5py.VirtualSource(relative, name, header.shape, "<f4")
                start += header.shape[0]
            file.create_virtual_dataset(name, layout)
        labels, source = (
            np.concatenate([getattr(header, name) for header in headers]) for name in ("labels", "source")
        )
        write_index(file, labels, source, len(first.class_offsets) - 1)
        write_attributes(file, moments, attributes, normalisation)
        write_left_out(file, left_out)
        write_texts(file, "class_names", first.class_names)
        if all(header.contents is not None for header in headers):
            columns = [np.concatenate([header.contents[name] for header in headers]) for name in first.contents]
            write_contents(file, np.stack(columns, 1), "latents_flip" in first.parts)


def _position(header):
    number, _, of = header.attributes.get("shard", "1/1").partition("/")
    return int(number), int(of)


def _same_origin(first, header):
    for key in (*IDENTITY_ATTRIBUTES, "normalise"):
        if header.attributes.get(key) != first.attributes.get(key):
            raise ValueError(
                f"{header.path}: {key} is {header.attributes.get(key)}; expected {first.attributes.get(key)}, as "
                f"{first.path} has: encode that shard again"
            )
    refuse_other_index(header.path, header.attributes.get("index"), first.path, first.attributes.get("index"))
    if header.shape[1:] != first.shape[1:] or set(header.parts) != set(first.parts):
        raise ValueError(f"{header.path}: other latent shape or flips than {first.path}; encode that shard again")
