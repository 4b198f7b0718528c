"""The one description of every configuration key: meaning, unit, default, allowed values.

The Snakefile calls ``load`` on the configuration while it parses; a wrong key or value ends the run there, with one
line that names the key, the value, what was expected and the closest valid name. ``config/README.md`` is generated
from this package (``python -m twostage.config > config/README.md``).
"""

import re

from pydantic import ValidationError

from twostage.config import checks
from twostage.config.blocks.models import Model
from twostage.config.errors import ConfigError, explain
from twostage.config.places import check_places
from twostage.config.whole import UNREAD, Config
from twostage.config.written import check_files, without_null_text

__all__ = ["Config", "ConfigError", "Model", "check_files", "check_places", "load"]


def load(raw):
    """Validate a configuration (a dict as Snakemake reads it) and return a frozen ``Config``.

    Keys that begin with ``x-`` are not read; they can hold YAML anchors. Raises ConfigError with one line per mistake:
    key, value, what was expected, closest valid name.
    """
    raw = {key: value for key, value in without_null_text(raw).items() if not re.match(UNREAD, str(key))}
    try:
        config = Config.model_validate(raw)
        lines = checks.problems(config)
    except ValidationError as error:
        lines = explain(error.errors(), Config)
    if lines:
        raise ConfigError("\n".join(f"config: {line}" for line in lines))
    return config
