"""The one description of every configuration key: meaning, unit, default, allowed values.

The Snakefile calls ``load`` on the configuration while it parses; a wrong key or value ends the run there, with one
line that names the key, the value, what was expected and the closest valid name. ``config/README.md`` is generated
from this package (``python -m twostage.config > config/README.md``).
"""

from pydantic import ValidationError

from twostage.config.blocks import Config, Model
from twostage.config.errors import ConfigError, explain
from twostage.config.places import check_places

__all__ = ["Config", "ConfigError", "Model", "check_places", "load"]


def load(raw):
    """Validate a configuration (a dict as Snakemake reads it) and return a frozen ``Config``.

    Raises ConfigError with one line a mistake: key, value, what was expected, closest valid name.
    """
    try:
        return Config.model_validate({key: value for key, value in raw.items() if key != "pathvars"})
    except ValidationError as error:
        raise ConfigError("\n".join(f"config: {line}" for line in explain(error.errors(), Config))) from None
