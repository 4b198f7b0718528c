"""A figure's caption (reStructuredText with Jinja, as Snakemake takes it) as HTML."""

from pathlib import Path
from types import SimpleNamespace

from docutils.core import publish_parts
from jinja2 import Environment


def caption(path, config):
    """The caption as HTML (str), its ``snakemake.config`` filled from ``config`` (dict); "" where there is no file."""
    path = Path(path)
    if not path.is_file():
        return ""
    template = Environment(trim_blocks=True, lstrip_blocks=True).from_string(path.read_text())
    text = template.render(snakemake=SimpleNamespace(config=config))
    return publish_parts(text, writer="html", settings_overrides={"report_level": 5})["body"]
