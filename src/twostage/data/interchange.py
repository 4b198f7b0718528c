"""Latents of other projects into the store and back: LightningDiT's safetensors, REPA's npy files; and plain arrays.

Formats: LightningDiT's ``extract_features.py`` and ``ImgLatentDataset``, REPA's ``dataset_tools.py encode`` and
``CustomDataset``.
"""

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from twostage.data.copies import digest
from twostage.data.latents import LatentStore, write_store
from twostage.fetch import refuse_stand_in
from twostage.finite import finite
from twostage.flow import sample_noise
from twostage.provenance import atomic_write, write_json
from twostage.unlabelled import EVERYTHING

FLOATING = {"F64", "F32", "F16", "BF16"}  # names in safetensors
BLOCK = 256  # rows held in memory at a time
MOST_CLASSES = 1 << 24  # more than any data set has; a table of them takes 128 MiB


def import_lightningdit(
    folder, output, *, num_classes=None, multiplier=1.0, encoder="va-vae", encoder_sha256="unknown", split="train",
    image_size=256, posterior="sample", unlabelled=False, normalise=None,
):  # fmt: skip
    """Import latents of LightningDiT (``latents_rank*_shard*.safetensors`` in ``folder``) into the store ``output``.

    If the folder has ``latents_stats.pt``, it normalises the store as in LightningDiT: (z - mean) / std * multiplier;
    otherwise the exact statistics do; or what ``normalise`` says (``twostage.data.latents.statistics_of``).
    num_classes: by default largest label + 1. unlabelled: all latents are one class, and no labels are read (likewise
    in the other formats). The other arguments describe the latents (LightningDiT stores one unseeded sample of the
    posterior). ``source`` counts the samples in the order of the files. Raises ValueError, before anything is written,
    for files that are damaged or disagree, for labels that are not whole numbers from 0 to num_classes - 1, and for
    statistics that cannot normalise.
    """
    from safetensors import SafetensorError, safe_open

    folder = Path(folder)
    files = sorted(folder.glob("latents_rank*_shard*.safetensors"))
    if not files:
        raise ValueError(f"{folder}: no latents_rank*_shard*.safetensors; expected the folder that LightningDiT wrote")
    labels, shapes = [], set()
    for path in files:
        try:
            with safe_open(path, "pt") as file:
                names = [name for name in ("latents", "latents_flip") if name in file.keys()]  # noqa: SIM118 (not a dict)
                sizes = [tuple(file.get_slice(name).get_shape()) for name in names]
                if unlabelled:
                    labels.append(np.zeros(sizes[0][:1] if sizes else 0, dtype=np.int64))
                else:
                    labels.append(_labels(path, _as_numpy(file.get_tensor("labels"))))
                kinds = {file.get_slice(name).get_dtype() for name in names}
        except (OSError, SafetensorError) as error:
            raise ValueError(f"{path}: not LightningDiT's latents ({error}); extract them again") from None
        if "latents" not in names:
            raise ValueError(f"{path}: no latents; expected what LightningDiT wrote: extract them again")
        if any(size[:1] != (len(labels[-1]),) for size in sizes):
            raise ValueError(f"{path}: {(sizes[0] or (1,))[0]} latents for {len(labels[-1])} labels; expected as many")
        if len(set(sizes)) > 1 or len(sizes[0]) != 4 or 0 in sizes[0][1:] or not kinds <= FLOATING:
            raise ValueError(
                f"{path}: {' and '.join(names)} are {', '.join(sorted(kinds))} of shape "
                f"{' and '.join(map(str, sizes))}; expected floating numbers (n, C, H, W), mirrored ones alike"
            )
        shapes.add((tuple(names), sizes[0][1:]))
        if len(shapes) > 1:
            raise ValueError(
                f"{path}: other latents than {files[0]}; expected the same shape, and flips in all or none"
            )
    (names, shape), counts = shapes.pop(), [len(part) for part in labels]

    def blocks():
        first = 0
        for path, count in zip(files, counts):
            with safe_open(path, "pt") as file:
                for start in range(0, count, BLOCK):
                    rows = slice(start, min(start + BLOCK, count))
                    tensors = {name: file.get_slice(name)[rows].float() for name in names}
                    numbers = range(rows.start, rows.stop)
                    for name, tensor in tensors.items():
                        finite(tensor, f"{path}: {name}", "extract the latents again", numbers)
                    yield first + start, list(tensors.values())
            first += count

    attributes = {
        "encoder": encoder, "encoder_sha256": encoder_sha256, "posterior": posterior, "split": split,
        "image_size": image_size, "dataset": "lightningdit latents",
    }  # fmt: skip
    stats, normalisation = folder / "latents_stats.pt", None
    if stats.is_file():
        try:
            loaded = torch.load(stats, map_location="cpu", weights_only=True)
            mean, std = (loaded[key].double().reshape(-1).numpy() for key in ("mean", "std"))
        except Exception as error:  # pickle's, zip's and torch's own
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ValueError(f"{stats}: no statistics ({reason}); expected tensors `mean` and `std`") from None
        if mean.shape != (shape[0],) or std.shape != (shape[0],):
            raise ValueError(f"{stats}: statistics of {mean.size} channels; expected {shape[0]}, as the latents have")
        for name, values in (("mean", mean), ("std", std)):
            finite(values, f"{stats}: {name}", "extract the latents again")
        if not (std > 0).all() or not 0 < multiplier < math.inf:
            raise ValueError(f"{stats}: std is {std.min():g} at least, multiplier {multiplier}; expected both above 0")
        normalisation = mean, std / multiplier
    elif multiplier != 1.0:
        raise ValueError(f"{stats}: no such file; a multiplier of {multiplier} needs the statistics that it goes with")
    flips = len(names) == 2
    _write_sorted(
        output, np.concatenate(labels), shape, blocks(), flips, num_classes, attributes, files, normalise,
        normalisation, unlabelled=unlabelled,
    )  # fmt: skip


def export_lightningdit(store, folder, shard_size=10_000):
    """Export a store (path or LatentStore) as LightningDiT's latents and statistics to ``folder``, class by class.

    Raises ValueError for a store without flips: LightningDiT's loader reads mirrored latents half of the time.
    """
    from safetensors.torch import save

    store = store if isinstance(store, LatentStore) else LatentStore.open(store)
    if not store.has_flips:
        raise ValueError(f"{store.path}: no latents of mirrored images, which LightningDiT reads; encode with flips")
    folder = Path(folder)
    for number, start in enumerate(range(0, len(store), shard_size)):
        rows = slice(start, min(start + shard_size, len(store)))
        tensors = {
            "latents": store.read(rows, normalised=False),
            "latents_flip": store.read(rows, normalised=False, flipped=True),
            "labels": torch.from_numpy(store.labels[rows].copy()),
        }
        with atomic_write(folder / f"latents_rank00_shard{number:03d}.safetensors") as temporary:
            temporary.write_bytes(save(tensors, {"total_size": str(rows.stop - rows.start), "dtype": "torch.float32"}))
    statistics = {key: getattr(store, key).float().reshape(1, -1, 1, 1) for key in ("mean", "std")}
    with atomic_write(folder / "latents_stats.pt") as temporary:
        torch.save(statistics, temporary)


def import_repa(
    folder, output, *, posterior="mean", seed=0, num_classes=None, encoder="sd-vae", encoder_sha256="unknown",
    split="train", image_size=256, unlabelled=False, normalise=None,
):  # fmt: skip
    """Import latents of REPA (``*/img-mean-std-*.npy`` and ``dataset.json`` in ``folder``) into the store ``output``.

    Each file holds the mean, then the standard deviation of a posterior: (2 C, H, W), unscaled. posterior: "mean", or
    "sample" for mean + std * noise. The noise depends on ``seed`` and the file's place in the sorted list; files with
    equal content take the noise of the first of them, so that copies stay copies. Raises ValueError for files that are
    damaged, disagree, or have no label, for labels that are not whole numbers from 0 to num_classes - 1, and for
    standard deviations below 0.
    """
    folder = Path(folder)
    if posterior not in ("mean", "sample"):
        raise ValueError(f"posterior is {posterior!r}; expected mean or sample")
    files = sorted(folder.rglob("img-mean-std-*.npy"))
    if not files:
        raise ValueError(f"{folder}: no img-mean-std-*.npy; expected the folder of latents (vae-sd) that REPA wrote")
    names = [path.relative_to(folder).as_posix() for path in files]
    labels = np.zeros(len(files), dtype=np.int64) if unlabelled else _repa_labels(folder / "dataset.json", names)
    shape = _repa_file(files[0]).shape
    if len(shape) != 3 or shape[0] % 2 or 0 in shape:
        raise ValueError(f"{files[0]}: shape {shape}; expected (2 C, H, W), mean and standard deviation")
    channels, firsts = shape[0] // 2, {}

    def blocks():
        for start in range(0, len(files), BLOCK):
            chosen = range(start, min(start + BLOCK, len(files)))
            values = torch.stack([torch.from_numpy(_repa_file(files[index], shape)) for index in chosen])
            mean, std = values.split(channels, dim=1)
            if (std < 0).any():
                first = int((std < 0).flatten(1).any(1).nonzero()[0, 0])
                raise ValueError(
                    f"{files[chosen[first]]}: a standard deviation below 0; expected (2 C, H, W), the means first"
                )
            if posterior == "sample":
                numbers = [firsts.setdefault(digest(file), index) for file, index in zip(values.numpy(), chosen)]
                mean = mean + std * sample_noise(seed, numbers, mean.shape[1:])
            yield start, [mean]

    attributes = {
        "encoder": encoder, "encoder_sha256": encoder_sha256, "split": split, "image_size": image_size,
        "posterior": posterior if posterior == "mean" else f"sample, seed {seed}", "dataset": "repa latents",
    }  # fmt: skip
    _write_sorted(
        output, labels, (channels, *shape[1:]), blocks(), False, num_classes, attributes, files, normalise,
        unlabelled=unlabelled,
    )  # fmt: skip


def _repa_labels(path, names):
    """Labels int64 (n,) of latent files, from REPA's dataset.json."""
    try:
        table = dict(json.loads(path.read_text(encoding="utf-8"))["labels"])
        labels = np.array([table[name] for name in names])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: no label for each latent file ({error!r})") from None
    return _labels(path, labels)


def export_repa(store, folder):
    """Export a store (path or LatentStore) as REPA's npy files and ``dataset.json`` to ``folder``, class by class.

    The standard deviations are written as zeros, because the store keeps one latent per image, not its distribution;
    REPA's mean + std * noise then gives exactly that latent. ``dataset.json`` is written last, so a folder without it
    is incomplete.
    """
    store = store if isinstance(store, LatentStore) else LatentStore.open(store)
    folder, labels, row = Path(folder), [], 0
    for start in range(0, len(store), BLOCK):
        for latent in store.read(slice(start, min(start + BLOCK, len(store))), normalised=False).numpy():
            name = f"{row:08d}"[:5] + f"/img-mean-std-{row:08d}.npy"
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            np.save(folder / name, np.concatenate([latent, np.zeros_like(latent)]))
            labels.append([name, int(store.labels[row])])
            row += 1
    write_json(folder / "dataset.json", {"labels": labels})


def import_npy(
    path, output, *, labels=None, num_classes=None, encoder="unknown", encoder_sha256="unknown", split="train",
    image_size=0, unlabelled=False, normalise=None,
):  # fmt: skip
    """Import a plain array of latents, ``.npy`` float (N, C, H, W), unscaled, into the store ``output``.

    labels: ``.npy`` of whole numbers (N,), from 0 on; by default ``labels.npy`` beside the latents. The array is
    mapped, not read as a whole; the store holds float32. ``source`` counts the rows of the array. Raises ValueError,
    with the file's name, for arrays of another kind, arrays that disagree, and values that are not finite.
    """
    path = Path(path)
    latents = _array(path)
    if latents.ndim != 4 or 0 in latents.shape or latents.dtype.kind != "f":
        raise ValueError(f"{path}: {_described(latents)}; expected floats of shape (N, C, H, W)")
    if unlabelled:
        found, files = np.zeros(len(latents), dtype=np.int64), [path]
    else:
        labels_path = Path(labels) if labels else path.with_name("labels.npy")
        found, files = _npy_labels(labels_path, len(latents), num_classes), [path, labels_path]

    def blocks():
        for start in range(0, len(latents), BLOCK):
            rows = np.array(latents[start : start + BLOCK], dtype=np.float32)
            finite(rows, f"{path}: latents", "make the file again", range(start, start + len(rows)))
            yield start, [torch.from_numpy(rows)]

    attributes = {
        "encoder": encoder, "encoder_sha256": encoder_sha256, "posterior": "unknown", "split": split,
        "image_size": image_size, "dataset": "npy latents",
    }  # fmt: skip
    _write_sorted(
        output, found, latents.shape[1:], blocks(), False, num_classes, attributes, files, normalise,
        unlabelled=unlabelled,
    )  # fmt: skip


def _npy_labels(path, count, num_classes):
    """Labels int64 (count,) of a .npy."""
    found = _array(path)
    if found.shape != (count,) or found.dtype.kind not in "iu":
        raise ValueError(f"{path}: {_described(found)}; expected whole numbers of shape ({count},), one per latent")
    found = np.array(found, dtype=np.int64)
    if found.min() < 0 or (num_classes and found.max() >= num_classes):
        upper = f" to {num_classes - 1}" if num_classes else ""
        raise ValueError(f"{path}: labels {found.min()} to {found.max()}; expected 0{upper} at least")
    return found


def _array(path):
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected a .npy")
    refuse_stand_in(path)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        reason = str(error).splitlines()[0]
        if "pickle" in reason or "Python objects" in reason:
            reason = "it holds no numbers, but text or pickled objects: save the array of numbers with np.save"
        raise ValueError(f"{path}: not a readable npy file ({reason})") from None
    if not isinstance(array, np.ndarray):
        raise ValueError(
            f"{path}: a zip, as an npz or torch's .pt is; expected one array, an .npy, as np.save writes it"
        )
    return array


def _described(array):
    return f"{array.dtype} of shape {array.shape}"


def imported_shape(form, path):
    """Shape (C, H, W) of latents in a format (``lightningdit``, ``repa`` or ``npy``), from one header.

    Raises ValueError if there are none.
    """
    path = Path(path)
    if form == "npy":
        return _array(path).shape[1:]
    patterns = {"lightningdit": "latents_rank*_shard*.safetensors", "repa": "**/img-mean-std-*.npy"}
    files = sorted(path.glob(patterns[form]))
    if not files:
        raise ValueError(f"{path}: no latents of the format {form}")
    if form == "repa":
        channels, height, width = _array(files[0]).shape
        return channels // 2, height, width
    from safetensors import safe_open

    with safe_open(files[0], "pt") as file:
        return tuple(file.get_slice("latents").get_shape()[1:])


def imported_count(form, path):
    """Number of latents of a format, mirrored ones not counted, from their headers; ValueError where there are none."""
    path = Path(path)
    if form == "npy":
        return len(_array(path))
    if form == "repa":
        return len(list(path.glob("**/img-mean-std-*.npy")))
    from safetensors import safe_open

    count = 0
    for file in path.glob("latents_rank*_shard*.safetensors"):
        with safe_open(file, "pt") as opened:
            count += opened.get_slice("latents").get_shape()[0]
    return count


def _as_numpy(tensor):
    return (tensor.double() if tensor.is_floating_point() else tensor).numpy()  # numpy has no bfloat16


def _labels(path, labels):
    """Labels as int64 (n,), n >= 1. ValueError where they are no whole numbers, 0 or above."""
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(labels) == 0 or labels.min() < 0:
        low = f" from {labels.min()}" if labels.size and labels.dtype.kind in "iuf" else ""
        raise ValueError(f"{path}: labels are {labels.dtype} {labels.shape}{low}; expected whole numbers (n,) from 0")
    return labels.astype(np.int64)


def _repa_file(path, shape=None):
    try:
        values = np.load(path)
        if values.dtype.kind != "f":
            raise ValueError(f"{values.dtype}, not floating numbers")
        values = values.astype(np.float32)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path}: not a readable npy file ({error})") from None
    if shape is not None and values.shape != shape:
        raise ValueError(f"{path}: shape {values.shape}; expected {shape}, as the first file has")
    return finite(values, f"{path}: mean and standard deviation", "extract the latents again")


def _write_sorted(
    output, labels, shape, blocks, flips, num_classes, attributes, files, normalise=None, normalisation=None,
    unlabelled=False,
):  # fmt: skip
    """Write blocks (first row, [latents] or [latents, flips]) of samples in any order as a store sorted by class.

    normalise: what is asked for; normalisation: (mean, std) that came with the files, if nothing is.
    """
    attributes = attributes | ({"normalise": normalise} if normalise else {})
    normalisation = None if normalise else normalisation
    num_classes = num_classes or int(labels.max()) + 1
    if labels.max() >= num_classes:
        raise ValueError(f"{files[0].parent}: a label is {labels.max()}; expected 0 to {num_classes - 1}")
    if num_classes > MOST_CLASSES:
        raise ValueError(f"{files[0].parent}: a label is {labels.max()}; expected the classes' numbers, from 0 on")
    order = np.argsort(labels, kind="stable")
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    digest = hashlib.sha256(json.dumps([(path.name, path.stat().st_size) for path in files]).encode())
    digest.update(labels.tobytes())
    progress = tqdm(total=len(labels), desc="import", unit="latent", disable=None)
    with write_store(output, len(labels), shape, flips=flips) as writer, progress:
        for first, tensors in blocks:
            count = len(tensors[0])
            place = places[first : first + count]
            inside = np.argsort(place)
            ends = np.flatnonzero(np.diff(place[inside]) != 1) + 1
            for run in np.split(inside, ends):  # neighbours in the store, written in one piece
                rows = torch.from_numpy(run)
                writer.write(int(place[run[0]]), *(tensor[rows] for tensor in tensors))
            progress.update(count)
        if not (normalise or normalisation) and (constant := np.flatnonzero(writer.moments.std == 0)).size:
            raise ValueError(
                f"{files[0].parent}: latent channel {constant[0]} is constant; expected channels that vary, to "
                "normalise by"
            )
        attributes = {**attributes, "dataset_fingerprint": digest.hexdigest(), "index": "none"}
        names = [EVERYTHING] if unlabelled else None
        writer.finish(labels[order], order, num_classes, attributes, normalisation, class_names=names)
