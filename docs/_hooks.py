"""What mkdocs does besides: formulas become MathML, docstrings' examples code, and pages of the root join the site."""

import html
import re
import unicodedata
from pathlib import Path

from latex2mathml.converter import convert
from markdown import Extension
from markdown.preprocessors import Preprocessor
from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent
PAGES = {"contributing.md": "CONTRIBUTING.md", "configuration.md": "config/README.md", "changelog.md": "CHANGELOG.md"}
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)

# Letters that MathML once set by an attribute, which browsers ignore now: Unicode has them as letters of their own.
LETTER = re.compile(r'<mi mathvariant="(double-struck|script)">([A-Z])</mi>')


class _Fences(Preprocessor):
    """A docstring's example, from ``>>>`` to the next empty line, as a block of code; else it is a quotation."""

    def run(self, lines):
        inside = False
        for line in [*lines, ""]:
            if not inside and line.startswith(">>> "):
                inside = True
                yield "```pycon"
            elif inside and not line.strip():
                inside = False
                yield "```"
            yield line


class _Examples(Extension):
    def extendMarkdown(self, md):
        md.preprocessors.register(_Fences(md), "examples", priority=40)  # before blocks of code are looked for: 25


def on_config(config):
    config.markdown_extensions.append(_Examples())


def on_files(files, config):
    """Pages that live outside docs/, their links to docs/ made relative to it."""
    for name, path in PAGES.items():
        text = (ROOT / path).read_text().replace("](docs/", "](").replace("](config/README.md", "](configuration.md")
        files.append(File.generated(config, name, content=text))
    return files


def on_page_content(content, **_):
    """Formulas as MathML, which browsers draw themselves."""
    return FORMULA.sub(_mathml, content)


def _mathml(found):
    display = "block" if found[1] == "div" else "inline"
    return LETTER.sub(_letter, convert(html.unescape(found[2]).strip(), display=display))


def _letter(found):
    name = f"{found[1].upper()} CAPITAL {found[2]}"
    for prefix in ("", "MATHEMATICAL "):
        try:
            return f"<mi>{unicodedata.lookup(prefix + name)}</mi>"
        except KeyError:
            continue
    return found[0]
