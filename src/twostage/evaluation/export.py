"""Samples for other programs: ADM's npz (``arr_0``, uint8 (N, H, W, 3); ``arr_1``, labels), or PNGs by class."""

import argparse
import csv
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from twostage.evaluation.images import SampledImages
from twostage.provenance import atomic_write, write_provenance
from twostage.storage import OutputFile

TABLE = "labels.csv"


def export_adm(paths, output, *, seed=None, count=None, classes=None, name="samples", batch_size=256):
    """Write the samples of one plan (paths of its shards) as an ADM npz, in the order of seed and index.

    The npz holds ``arr_0``, uint8 (N, H, W, 3), and ``arr_1``, int64 (N,), their labels. seed: only samples of this
    seed; count: at most this many samples; classes: only these classes, by name or label. Grey images get three equal
    channels. Images are streamed; they are never all in memory. Raises ValueError when there are no such samples.
    """
    samples = SampledImages.open(name, paths)
    chosen = _chosen(samples, seed, classes, count)
    shape = (len(chosen), *samples.image_shape[:2], 3)
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    # The same file as np.savez writes, but without the whole array in memory.
    with atomic_write(output) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        with archive.open("arr_0.npy", "w", force_zip64=True) as stream:
            np.lib.format.write_array_header_1_0(stream, header)
            for images in samples.batches(batch_size, chosen):
                stream.write(np.ascontiguousarray(np.broadcast_to(images, (len(images), *shape[1:]))).tobytes())
        with archive.open("arr_1.npy", "w") as stream:
            np.lib.format.write_array(stream, samples.labels[chosen].astype(np.int64))
    write_provenance(output, seed=seed, inputs=list(paths), samples=len(chosen), plan=samples.attributes["plan"])


def export_png(paths, output, *, seed=None, count=None, classes=None, name="samples", batch_size=256):
    """Write samples of one plan as PNGs, ``{output}/{class}/{seed}-{index}.png``, with a table ``labels.csv`` of them.

    Arguments as of ``export_adm``; count: per class. A class's folder has its name, without what is no letter, digit,
    ``-``, ``_`` or ``.``; where names are not known, or two would share a folder, its label stands in front. Columns of
    the table: file, label, class_name, seed, index. The table is written last; it and its provenance name the whole
    export. Raises ValueError when there are no such samples.
    """
    samples = SampledImages.open(name, paths)
    chosen = _chosen(samples, seed, classes)
    if count is not None:
        chosen = np.sort(
            np.concatenate([chosen[samples.labels[chosen] == label][:count] for label in _labels(samples)])
        )
    folders, rows = _folders(samples), []
    for start, images in zip(range(0, len(chosen), batch_size), samples.batches(batch_size, chosen)):
        for row, pixels in zip(chosen[start : start + batch_size], images):
            label = int(samples.labels[row])
            file = f"{folders[label]}/{samples.seed[row]}-{samples.index[row]:06d}.png"
            with atomic_write(Path(output) / file) as temporary:
                Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(temporary, "PNG")
            rows.append((file, label, _name_of(samples, label), int(samples.seed[row]), int(samples.index[row])))
    table = Path(output) / TABLE
    with atomic_write(table) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("file", "label", "class_name", "seed", "index"), *rows])
    write_provenance(table, seed=seed, inputs=list(paths), samples=len(rows), plan=samples.attributes["plan"])


def _chosen(samples, seed, classes, count=None):
    """Positions of the samples that are asked for, in order."""
    keep = np.ones(len(samples), dtype=bool)
    if seed is not None:
        keep &= samples.seed == seed
        if not keep.any():
            known = sorted(set(samples.seed.tolist()))
            raise ValueError(f"plan {samples.name}: no samples of seed {seed}; expected one of {known}")
    if classes:
        keep &= np.isin(samples.labels, [_label_of(samples, given) for given in classes])
    if not keep.any():
        raise ValueError(f"plan {samples.name}: no samples of classes {', '.join(map(str, classes))} in seed {seed}")
    return np.flatnonzero(keep)[:count]


def _label_of(samples, given):
    """The label of a class that is given by its name, or by its label."""
    if str(given) in samples.class_names:
        return samples.class_names.index(str(given))
    labels = _labels(samples)
    if str(given).isdigit() and int(given) in labels:
        return int(given)
    known = ", ".join(str(_name_of(samples, label) or label) for label in labels[:10])
    more = f" and {len(labels) - 10} more" if len(labels) > 10 else ""
    raise ValueError(f"plan {samples.name}: no samples of class {given!r}; expected a name or label: {known}{more}")


def _labels(samples):
    return np.unique(samples.labels).tolist()


def _name_of(samples, label):
    """A class's name; empty where the samples do not say."""
    return samples.class_names[label] if label < len(samples.class_names) else ""


def _folders(samples):
    """{label: name of its folder}"""
    plain = {label: re.sub(r"[^\w.-]+", "-", _name_of(samples, label)).strip(".-") for label in _labels(samples)}
    given = [name.casefold() for name in plain.values()]
    return {
        label: name if name and given.count(name.casefold()) == 1 else f"{label}-{name}".rstrip("-")
        for label, name in plain.items()
    }


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m twostage.evaluation.export",
        description="Samples as ADM's npz, for its evaluator, or as PNGs by class.",
    )
    parser.add_argument("shards", nargs="+", help="the plan's shard-*.h5")
    parser.add_argument("--output", required=True, action=OutputFile, help="npz to write; with --png: folder")
    parser.add_argument("--png", action="store_true", help="write PNGs, in a folder per class, and labels.csv")
    parser.add_argument("--seed", type=int, help="samples of this seed only")
    parser.add_argument("--classes", nargs="+", help="samples of these classes only, by name or label")
    parser.add_argument("--count", type=_count, help="at most this many samples; with --png: per class")
    options = parser.parse_args(arguments)
    export = export_png if options.png else export_adm
    try:
        export(options.shards, options.output, seed=options.seed, count=options.count, classes=options.classes)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _count(text):
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r}; expected a whole number above 0")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
