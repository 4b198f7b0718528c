"""Pages and the one environment that fills them: Jinja templates in files, every text in them escaped.

A template lies beside the module that fills it and bears its name; the styles and scripts that it includes lie beside
it as CSS and JavaScript. Whatever a template is given is text on the page, whatever characters it has. The one
exception is a figure's caption, whose markup docutils made.
"""

import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from twostage.provenance import atomic_write, write_provenance

FOLDER = Path(__file__).parent
KINDS = (".html", ".css", ".js")

PAGES = Environment(
    loader=FileSystemLoader(FOLDER),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def render(template, **values):
    """A template, by its path below ``report/``, filled (str). Nothing in the result is fetched, whoever opens it.

    Raises jinja2.UndefinedError where the template names a value that is not given.
    """
    return PAGES.get_template(template).render(values)


def write(output, text, *, config=None, inputs=()):
    """Write a page, atomically, with its provenance."""
    with atomic_write(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    write_provenance(output, config=config, inputs=inputs)


@cache
def digest():
    """Hash of every template, style and script: 12 hex digits. A rule that writes pages carries it as a param."""
    found = hashlib.sha256()
    for path in sorted(path for path in FOLDER.rglob("*") if path.suffix in KINDS):
        found.update(f"{path.relative_to(FOLDER).as_posix()}\n".encode())
        found.update(path.read_bytes())
    return found.hexdigest()[:12]
