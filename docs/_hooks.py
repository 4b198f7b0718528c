"""What mkdocs does besides: formulas become MathML, and pages of the repository's root join the site."""

import html
import re
import unicodedata
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent
PAGES = {"contributing.md": "CONTRIBUTING.md", "configuration.md": "config/README.md", "changelog.md": "CHANGELOG.md"}
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)

# Letters that MathML once set by an attribute, which browsers ignore now: Unicode has them as letters of their own.
LETTER = re.compile(r'<mi mathvariant="(double-struck|script)">([A-Z])</mi>')


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
