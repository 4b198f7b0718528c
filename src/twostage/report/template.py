"""The environment that fills all pages: Jinja templates in files; every text is escaped.

A template lies beside the module that fills it and has the module's name; the styles and scripts that it includes lie
beside it as CSS and JavaScript. Every value of a template becomes plain text on the page, whatever its characters. The
one exception is a figure's caption, whose markup docutils made.
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
    """The filled template (str), by its path below ``report/``. The page needs nothing from the network.

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


def markdown_table(heading, *rows):
    """A table in Markdown (str), its cells as they are."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [heading, ["---"] * len(heading), *rows])
