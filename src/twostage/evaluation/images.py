"""Images to evaluate: splits of the data set, and the samples of a plan."""

import json
from dataclasses import dataclass

import numpy as np
import torch

from twostage.data.datasets import load_dataset
from twostage.data.encode import images_ahead
from twostage.hdf5 import opened, read_texts

SPLIT = ("split", "split_source", "split_low", "split_high")  # in the files of plans that name the split
RECORDED = (
    "solver",
    "steps",
    "nfe",
    "evaluations",
    "network_flops",
    *SPLIT,
    "share_before_0.2",
    "t_switch",
    "t_resume",
)


def load_split(dataset, split):
    """A split of the data set that ``dataset``, a dict of its name and options, describes."""
    options = dict(dataset)
    return load_dataset(options.pop("name"), split, **options)


def dataset_batches(dataset, batch_size, rows=None):
    """Yield the images of a data set in order, as uint8 (n, H, W, C) arrays of at most ``batch_size`` images.

    rows: int (n,), the images to take; None: all.

    As many threads as torch has read ahead: a single one decodes photographs far more slowly than a GPU computes their
    features. Unusable images are left out, as from the latents, up to the share ``dataset.max_corrupt``; beyond it a
    ValueError names the image.
    """
    problems, rows = [], np.arange(len(dataset)) if rows is None else rows
    for images, _, found in images_ahead(dataset, rows, batch_size, torch.get_num_threads()):
        problems += found
        if len(problems) > dataset.max_corrupt * len(dataset):
            raise ValueError(f"{problems[-1]}. Repair or remove the file, or raise max_corrupt")
        if len(images):
            yield images


@dataclass(frozen=True)
class SampledImages:
    """The samples of one plan, over all its shards. Images stay in the files until they are asked for.

    seed, index, labels: int64 (n,); followed: row in the latent store of the image whose trajectory a sample follows,
    int64 (n,), or None; mirrored: bool (n,) or None; attributes: those of the first shard, with ``plan`` and
    ``weights`` read from JSON; places: (path, row in the file) of each sample, sorted by seed, then index; class_names:
    one text per label, empty for files of an earlier version, which do not have them.
    """

    name: str
    seed: np.ndarray
    index: np.ndarray
    labels: np.ndarray
    followed: np.ndarray | None
    mirrored: np.ndarray | None
    attributes: dict
    image_shape: tuple
    places: tuple
    class_names: list

    @classmethod
    def open(cls, name, paths):
        """Open a plan's shards. Raises ValueError, with its name, for a file that cannot be read or a missing shard."""
        columns = {key: [] for key in ("seed", "index", "labels", "followed", "followed_mirrored", "file", "row")}
        headers = []
        for number, path in enumerate(paths):
            try:
                with opened(path) as file:
                    headers.append((dict(file.attrs), file["images"].shape[1:], read_texts(file, "class_names")))
                    rows = len(file["images"])
                    for key in columns.keys() - {"file", "row"}:
                        if key in file:
                            columns[key].append(file[key][:])
            except (OSError, KeyError) as error:
                if not _exists(path):
                    raise
                raise ValueError(f"{path} is not a whole file of samples ({error}); sample it again") from None
            columns["file"].append(np.full(rows, number))
            columns["row"].append(np.arange(rows))
        columns = {key: np.concatenate(parts) if parts else None for key, parts in columns.items()}
        order = np.lexsort((columns["index"], columns["seed"]))
        columns = {key: None if values is None else values[order] for key, values in columns.items()}
        attributes, image_shape, class_names = headers[0]
        expected = int(attributes["samples"]) * len(attributes["seeds"])
        if len(order) != expected:
            raise ValueError(
                f"plan {name}: {len(order)} samples in {len(paths)} files; expected {expected} (are all shards listed?)"
            )
        written = [key for key in ("plan", "given", "weights") if key in attributes]
        attributes = attributes | {key: json.loads(attributes[key]) for key in written}
        return cls(
            name,
            *(columns[key] for key in ("seed", "index", "labels", "followed", "followed_mirrored")),
            attributes,
            tuple(image_shape),
            (tuple(map(str, paths)), columns["file"], columns["row"]),
            class_names,
        )

    def __len__(self):
        return len(self.seed)

    def facts(self):
        """Columns of a table that say how the samples were made, so that nobody has to read it from a plan's name.

        The attributes in ``RECORDED``, NaN where the samples lack them; step_starts (JSON list); kind; fields, weights
        (one text each), guidance (the largest scale), shift, gain and stop of the parts; interval: where guidance acts,
        as the plan was written ("split" stands for the split, "transition" and "class" for windows of the data). A plan
        with a single guided part also has interval_low and interval_high, its times. A plan with two parts has stage_1
        and stage_2, their fields, and split_at, the time between them. A plan with a single part has model and step:
        its field, and the training step in a field ``model@step`` (NaN: the last one); and gain_alpha and gain_beta.
        """
        parts, given = (self.attributes.get(key, self.attributes["plan"])["parts"] for key in ("plan", "given"))
        guided = [part for part in parts if part.get("guidance", 1) != 1]
        written = [part for part in given if part.get("guidance", 1) != 1]
        weights = self.attributes["weights"]
        facts = {key: self.attributes.get(key, np.nan) for key in RECORDED} | {
            "step_starts": json.dumps([float(time) for time in self.attributes.get("step_starts", ())]),
            "fields": " > ".join(part["field"] for part in parts),
            "weights": "; ".join(f"{field}: {_weights_in_words(record)}" for field, record in weights.items()),
            "guidance": max((part["guidance"] for part in guided), default=1.0),
            "interval": "; ".join(_interval(part.get("interval", (0, 1))) for part in written),
            "shift": "; ".join(_exact(part.get("shift", 1)) for part in parts),
            "gain": "; ".join(map(_gain_in_words, parts)) if any("gain" in part for part in parts) else "",
            "stops": "; ".join(_exact(part["stop"]) for part in parts),
            "kind": self.attributes["plan"].get("kind", ""),
        }
        low, high = guided[0].get("interval", (0, 1)) if len(guided) == 1 else (np.nan, np.nan)
        facts |= {"interval_low": low, "interval_high": high}
        if len(parts) == 2:
            facts |= {"stage_1": parts[0]["field"], "stage_2": parts[1]["field"], "split_at": parts[0]["stop"]}
        if len(parts) == 1:
            model, _, step = parts[0]["field"].partition("@")
            facts |= {"model": model, "step": int(step) if step else np.nan}
            gain = parts[0].get("gain", {})
            facts |= {f"gain_{key}": gain.get(key, np.nan) for key in ("alpha", "beta")}
        return facts

    def images(self, positions):
        """The images at ``positions`` (int array, any order) among the sorted samples: uint8 (n, H, W, C)."""
        paths, files, rows = self.places
        images = np.empty((len(positions), *self.image_shape), dtype=np.uint8)
        for number in np.unique(files[positions]):
            mine = np.flatnonzero(files[positions] == number)
            wanted, back = np.unique(rows[positions[mine]], return_inverse=True)
            low, high = wanted[0], wanted[-1] + 1
            with opened(paths[number]) as file:
                # Rows close together are read as one slice: HDF5 is slow at long lists of rows.
                if high - low <= 4 * len(wanted):
                    found = file["images"][low:high][wanted - low]
                else:
                    found = file["images"][wanted]
            images[mine] = found[back]
        return images

    def batches(self, batch_size, positions=None):
        """The images at ``positions`` (all, in order) as uint8 arrays of at most ``batch_size``."""
        positions = np.arange(len(self)) if positions is None else positions
        for start in range(0, len(positions), batch_size):
            yield self.images(positions[start : start + batch_size])


def _weights_in_words(record):
    """EMA decay, training step and digest of a model's weights."""
    metadata = record["metadata"]
    decay = metadata.get("ema", metadata.get("training", {}).get("recipe", {}).get("ema"))
    entry = metadata.get("published", metadata).get("weights")  # of an imported checkpoint
    words = [f"EMA {decay:g}" if decay is not None else {None: "", "ema": "EMA"}.get(entry, f"entry {entry}")]
    words += [f"step {metadata['step']}"] if "step" in metadata else []
    return ", ".join([*filter(None, words), f"sha256 {record['sha256'][:12]}"])


def _interval(given):
    """An interval as it was written, "lo-hi", or the name of a window of the data."""
    return given if isinstance(given, str) else "-".join(map(_exact, given))


def _exact(number):
    """A number in the fewest digits that tell it from any other; text stays as it is."""
    if isinstance(number, str):
        return number
    short = f"{number:g}"
    return short if float(short) == number else repr(float(number))


def _gain_in_words(part):
    """alpha, then beta, of a part's gain; "none" of a part without one."""
    gain = part.get("gain")
    return f"{_exact(gain['alpha'])}, {_exact(gain['beta'])}" if gain else "none"


def _exists(path):
    try:
        with open(path, "rb"):
            return True
    except OSError:
        return False
