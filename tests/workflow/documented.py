"""What the documentation tells people to type: commands, Python, configurations, each with the file it stands in."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "results/README.md", "config/README.md", "docs/*.md")
COMMENTED = ("Snakefile", "config/*.yaml", "workflow/profiles/*/*.yaml")

# What a fence may be of; a block of another language would be passed over in silence.
SHELL, PYTHON, CONFIGURATION, OTHER = {"sh", "bash"}, {"python"}, {"yaml"}, {"", "diff"}
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", flags=re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`]+)`")
PROGRAM = r"(?:snakemake|python|make|pip|uv|hf|apptainer|sbatch|\.venv/bin/\w+|\. \.venv/bin/activate)"
COMMAND = re.compile(rf"(?:\w+=\S+ )*{PROGRAM}(?: .*|$)", flags=re.DOTALL)
# Comments: a command begins a line, or follows a colon or two spaces; it ends where two spaces are, or the line.
IN_COMMENT = re.compile(rf"(?:^ ?|: |  ){PROGRAM} (?:(?!  )[^\n;])+", flags=re.MULTILINE)
# Something to type, wherever it stands: what none of the patterns above has found.
TYPED = re.compile(r"\b(?:snakemake (?:-|\w+ --)|python (?:-m|\w+/)|hf download|pip install|apptainer build)")


class Text(NamedTuple):
    """A command or a block of code, and the file that it stands in, relative to the repository."""

    text: str
    file: str


def files(patterns):
    return [path.relative_to(ROOT).as_posix() for pattern in patterns for path in sorted(ROOT.glob(pattern))]


def read(file):
    return (ROOT / file).read_text(encoding="utf-8")


def comments(file):
    """The comments of a YAML or Snakemake file, a line each, without their sign."""
    return "\n".join(re.findall(r"(?:^|\s)#( ?.*)$", read(file), flags=re.MULTILINE))


def logical_lines(text):
    """Lines of a shell, those ending in a backslash joined with the next, without comments and spaces around."""
    joined = re.sub(r" *\\\n\s*", " ", text)
    lines = (re.split(r"(?:^|\s)#(?:\s|$)", line)[0].strip() for line in joined.splitlines())
    return [line for line in lines if line]


def fences(file):
    """[(language, content)] of a page."""
    return [(language, content) for _, language, content in FENCE.findall(read(file))]


def commands_of_page(file):
    text = read(file)
    found = [line for language, content in fences(file) if language in SHELL for line in logical_lines(content)]
    rest = FENCE.sub("\n", text)
    indented = "".join(re.findall(r"(?:^ {4}.*\n?)+", rest, flags=re.MULTILINE))
    found += [line for line in logical_lines(indented) if COMMAND.fullmatch(line)]
    spans = [re.sub(r"\s+", " ", span) for span in SPAN.findall(re.sub(r"^ {4}.*$", "", rest, flags=re.MULTILINE))]
    return found + [span for span in spans if COMMAND.fullmatch(span) and " " in span]


def commands_of_comments(file):
    text = re.sub(r" *\\\n\s*", " ", comments(file))
    return [re.sub(r"^[: ]*", "", found).strip() for found in IN_COMMENT.findall(text)]


def commands():
    """Every command, each once, list of Text."""
    found = [Text(text, file) for file in files(PAGES) for text in commands_of_page(file)]
    found += [Text(text, file) for file in files(COMMENTED) for text in commands_of_comments(file)]
    return list({one.text: one for one in reversed(found)}.values())[::-1]


def python_blocks():
    """Every Python block, list of Text."""
    return [Text(code, file) for file in files(PAGES) for language, code in fences(file) if language in PYTHON]


def configurations():
    """Every block of a configuration, list of Text."""
    return [Text(text, file) for file in files(PAGES) for language, text in fences(file) if language in CONFIGURATION]


def overlooked():
    """Lines in which something to type stands that is in none of ``commands``, list of Text."""
    missing = []
    for file in files(PAGES + COMMENTED):
        page = file.endswith(".md")
        text = re.sub(r"\s+", " ", re.sub(r" *\\\n\s*", " ", read(file) if page else comments(file)))
        for command in commands_of_page(file) if page else commands_of_comments(file):
            text = text.replace(command, "")
        missing += [Text(text[found.start() : found.start() + 80], file) for found in TYPED.finditer(text)]
    return missing
