"""Checks of everything on the disk that a configuration names: folders of images and latents, files of weights."""

import os
from pathlib import Path

import numpy as np

from twostage.config import checks
from twostage.config.errors import ConfigError
from twostage.data.archive import SUFFIX, is_archive
from twostage.data.folders import class_folders, refuse_single_images
from twostage.fetch import refuse_stand_in
from twostage.own_code import source_of
from twostage.sides import in_words, sides_of


def check_places(config, estimating=False, stored=False):
    """Raise ConfigError, one line per mistake, where something on the disk that the configuration names is missing.

    estimating: for `estimate`, which needs no weights and latents, and no images where their numbers are given.
    stored: the run's files lie in a storage. What is in it is not looked at here.
    """
    counted = config.data.images and config.data.held_out_images
    lines = [*_stay_behind(config)] if stored else []
    if config.data.name == "image_folder" and not (estimating and counted) and not (stored and _in_storage(config)):
        lines += _images(config, estimating)
    if not (estimating or stored):
        lines += [*_latents(config), *_weights(config)]
    if not estimating:
        lines += _functions(config)
    if not stored:
        lines += _encoders(config)
    if lines:
        raise ConfigError("\n".join(f"config: {line}" for line in lines))


def _in_storage(config):
    """Whether images lie in the storage: as archives, since a relative path names a file there."""
    return not all(os.path.isabs(path) for path in (config.data.path, config.data.held_out_path) if path)


def _stay_behind(config):
    """Lines on what the configuration names and no job would find in a storage, or on the volumes of all machines."""
    volume = "with a storage, expected the absolute path of a folder on a volume that every job mounts"
    if config.data.name == "image_folder":
        for key in ("path", "held_out_path"):
            path = getattr(config.data, key)
            if path and not os.path.isabs(path) and not path.lower().endswith(SUFFIX):
                yield f"data.{key} is {path!r}; {volume}, or a .zip archive in the storage"
    for key, file in config.files_by_key().items():
        if os.path.isabs(file.place):
            inside = f"weights/{Path(file.place).name}"
            yield f"{key} is {file.place!r}; with a storage, expected a path in it, such as {inside}"
    if config.flux and not os.path.isabs(config.flux.model):
        yield f"flux.model is {config.flux.model!r}; {volume}"
    if config.training.state_folder and not os.path.isabs(config.training.state_folder):
        yield f"training.state_folder is {config.training.state_folder!r}; {volume}"


def _images(config, estimating):
    """Lines on folders of images that are missing, have no classes, or have different classes."""
    instead = ", or data.images and data.held_out_images, which `estimate` uses" if estimating else ""
    classes = {}
    for key in ("path", "held_out_path"):
        folder = getattr(config.data, key)
        if folder is None:
            continue
        if not (Path(folder).is_dir() or is_archive(folder)):
            kind = "an archive" if folder.lower().endswith(SUFFIX) else "a folder"
            yield f"data.{key} is {folder!r}; expected {kind} that exists{instead}"
            continue
        try:
            if not config.data.unlabelled:
                classes[key] = set(class_folders(folder))
            if key == "path":
                refuse_single_images(folder, config.data.classes)
        except ValueError as error:
            yield f"data.{key}: {error}"
    if len(classes.get("path", ())) == 1:
        for key in checks.class_windows(config):
            yield (
                f"{key} names 'class', where the class is decided, and data.path is {config.data.path!r}; expected two "
                "class folders or more, or another interval"
            )
    both = [path for path in (config.data.path, config.data.held_out_path) if path and Path(path).is_dir()]
    if config.data.unlabelled and len(both) == 2 and Path(both[0]).resolve() in Path(both[1]).resolve().parents:
        yield (
            f"data.held_out_path is {config.data.held_out_path!r}, inside data.path, from which all images below are "
            "read; expected a folder beside it"
        )
    elif len(both) == 2 and (config.data.unlabelled or len(classes) == 2) and os.path.samefile(*both):
        yield (
            f"data.held_out_path is {config.data.held_out_path!r}, the folder of data.path; expected other images, or "
            "no held_out_path: data.held_out then splits them off"
        )
    if len(classes) == 2 and all(classes.values()) and classes["path"] != classes["held_out_path"]:
        odd = min(classes["path"] ^ classes["held_out_path"])
        yield (
            f"data.held_out_path is {config.data.held_out_path!r}; expected the classes of data.path: the class folder "
            f"{odd!r} is in one of them only"
        )


def _encoders(config):
    """Lines on images that do not fit an encoder, by its file, where its kind alone does not decide."""
    for name, space in config.spaces.items():
        if space.encoder.kind in ("autoencoder-kl", "tiny"):
            from twostage.data.structure import structure_of  # where rules are only read, there may be no safetensors

            taken, factor = structure_of(space.weight_files[0].place)
            given = checks.CHANNELS.get(config.data.name)
            if taken and given and taken != given:
                yield checks.channels(config, name, taken)
            elif factor and factor != checks.FACTORS.get(space.encoder.kind):
                yield from checks.sides(name, space, config.data.image_size, factor)


def _latents(config):
    """Lines on latents that are missing, or on folders that hold none in the given format."""
    unlabelled = config.data.unlabelled
    files = {
        "lightningdit": "latents_rank*_shard*.safetensors",
        "repa": "**/img-mean-std-*.npy" if unlabelled else "dataset.json",
    }
    for name, space in config.spaces.items():
        if space.imported is None:
            continue
        key, path = f"spaces.{name}.encoder.latents.path is {space.imported.path!r}", Path(space.imported.path)
        pattern = files.get(space.imported.format)
        if pattern and not path.is_dir():
            yield f"{key}; expected a folder that exists"
        elif pattern and not any(path.glob(pattern)):
            yield f"{key}; expected {pattern} in it, format {space.imported.format}"
        elif not pattern and not path.is_file():
            yield f"{key}; expected a file that exists"
        elif not pattern:
            labels = space.imported.labels or str(path.with_name("labels.npy"))
            if not unlabelled and not Path(labels).is_file():
                yield f"spaces.{name}.encoder.latents.labels is {labels!r}; expected a file that exists, beside {path}"
            yield from _array(name, space, path, config.data.image_size)


def _array(name, space, path, image_size):
    """Lines on a plain array of latents that, by its header, fits no model."""
    try:
        shape = np.load(path, mmap_mode="r").shape
    except (ValueError, EOFError, OSError, AttributeError):
        return  # the job will say what is wrong with it
    height, width = sides_of(image_size)
    if len(shape) == 4 and shape[2] * width != shape[3] * height:
        alike = "H and W alike" if height == width else f"H and W as {in_words(image_size)}, data.image_size"
        other = "" if height != width else "; where images are not square, data.image_size says so"
        yield (
            f"spaces.{name}.encoder.latents.path is {str(path)!r} of shape {shape}; expected (N, C, H, W), {alike}: "
            f"where the channels stand last, move them{other}"
        )
    elif len(shape) == 4 and (shape[2] % space.patch_size or shape[3] % space.patch_size):
        sides = f"side {shape[2]}" if shape[2] == shape[3] else f"sides {shape[2]} x {shape[3]}"
        yield (
            f"spaces.{name}.patch_size is {space.patch_size}; expected a divisor of the latents' {sides} "
            f"({path}, of shape {shape})"
        )


def _functions(config):
    """Lines on functions of the user's own code that are not there. Nothing is imported for this."""
    for name in config.foreign:
        for key in ("factory", "path"):
            function = getattr(config.models[name], key)
            try:
                if ":" in function:
                    source_of(function)
            except (ValueError, OSError) as error:
                yield f"models.{name}.{key} is {error}; expected package.module:function"


def _weights(config):
    """Lines on files of weights, and on a folder of Flux, that are missing and cannot be fetched."""
    seen, own = set(), {f"models.{name}.weights" for name in config.foreign}
    for key, file in config.files_by_key().items():
        if file.place not in seen and not os.path.exists(file.place) and not file.repo and not file.url:
            yield (
                f"{key} is {file.place!r}; no such file, and no place to fetch it from; expected a file that exists, "
                "or `url`, or `repo`, `revision` and `file`"
            )
        elif file.place not in seen and key in own and os.path.isdir(file.place):
            yield (
                f"{key} is {file.place!r}, a folder; expected a file, whose digest is recorded; a folder may be named "
                "in the model's `options`"
            )
        elif file.place not in seen and os.path.isfile(file.place) and os.path.getsize(file.place):
            try:
                refuse_stand_in(file.place)
            except (ValueError, OSError) as error:
                yield f"{key}: {error}"
        seen.add(file.place)
    if config.flux and Path(config.flux.model).is_dir() and not Path(config.flux.model, "model_index.json").exists():
        yield f"flux.model is {config.flux.model!r}; expected a folder with model_index.json, as diffusers writes it"
