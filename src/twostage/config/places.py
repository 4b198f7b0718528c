"""Whether the folders that a configuration names are there."""

from pathlib import Path

from twostage.config.errors import ConfigError


def check_places(config, estimating=False):
    """Raise ConfigError where a folder of images or latents that the configuration names is not there.

    estimating: `estimate` does without the folders where the numbers of images are given.
    """
    if estimating and config.data.images and config.data.held_out_images:
        return
    instead = ", or data.images and data.held_out_images, which `estimate` reckons with" if estimating else ""
    folders = {
        f"spaces.{name}.encoder.latents.path": space.imported.path
        for name, space in config.spaces.items()
        if space.imported
    }
    if config.data.name == "image_folder":
        folders |= {f"data.{key}": getattr(config.data, key) for key in ("path", "held_out_path")}
    for key, folder in folders.items():
        if folder is not None and not Path(folder).is_dir():
            raise ConfigError(f"config: {key} is {folder!r}; expected a folder that exists{instead}")
