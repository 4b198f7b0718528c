"""A figure's caption (reStructuredText with Jinja, as Snakemake takes it) as HTML."""

import re
from pathlib import Path
from types import SimpleNamespace

from docutils.core import publish_parts
from jinja2 import Environment

_SETTINGS = {"report_level": 5, "raw_enabled": False, "file_insertion_enabled": False}


def caption(path, config):
    """The caption as HTML (str), its ``snakemake.config`` filled from ``config`` (dict); "" if there is no file.

    Values of the configuration are plain text: they make no markup and insert no file.
    """
    path = Path(path)
    if not path.is_file():
        return ""
    template = Environment(trim_blocks=True, lstrip_blocks=True, finalize=_as_text).from_string(
        path.read_text(encoding="utf-8")
    )
    text = template.render(snakemake=SimpleNamespace(config=config))
    return publish_parts(text, writer="html", settings_overrides=_SETTINGS)["body"]


def _as_text(value):
    """A value of the configuration on one line, with all characters escaped that could begin markup.

    Captions escape the underscores of names themselves, because Snakemake escapes nothing.
    """
    if not isinstance(value, str):
        return value
    return re.sub(r"[^\w\s.,;:-]|_", r"\\\g<0>", " ".join(value.replace(r"\_", "_").split()))
