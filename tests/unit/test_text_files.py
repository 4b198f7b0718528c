"""Text files are UTF-8 whatever the machine's locale: the same names, the same bytes."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    path.relative_to(ROOT).as_posix() for folder in ("src", "workflow") for path in ROOT.glob(f"{folder}/**/*.py")
)
SNAKEFILES = (*ROOT.glob("workflow/**/*.smk"), ROOT / "Snakefile", ROOT / "workflow/Snakefile")
RULES = sorted(path.relative_to(ROOT).as_posix() for path in SNAKEFILES)


def text_calls(tree):
    """Calls that open a text file: ``open`` in a text mode, ``read_text``, ``write_text``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", None))
            if name in ("read_text", "write_text"):
                yield node
            elif name == "open" and isinstance(node.func, ast.Name):
                mode = next((k.value for k in node.keywords if k.arg == "mode"), [*node.args, None, None][1])
                if not (isinstance(mode, ast.Constant) and "b" in mode.value):
                    yield node


@pytest.mark.parametrize("module", MODULES)
def test_every_text_file_is_opened_with_its_encoding(module):
    calls = text_calls(ast.parse((ROOT / module).read_text(encoding="utf-8")))
    silent = [call.lineno for call in calls if not {"encoding", None} & {k.arg for k in call.keywords}]
    assert not silent, f'{module}: lines {silent} open a text file in the encoding of the locale; add encoding="utf-8"'


@pytest.mark.parametrize("rules", RULES)
def test_rules_open_text_files_with_their_encoding(rules):
    text = (ROOT / rules).read_text(encoding="utf-8")
    assert not [call for call in re.findall(r"\b(?:open|read_text|write_text)\([^\n]*", text) if "encoding" not in call]


def test_pages_are_the_same_in_an_ascii_locale(tmp_path):
    code = "import sys; from twostage.report.pages import interactive; interactive.write(sys.argv[1], {})"
    made = []
    for number, settings in enumerate(
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONUTF8": "1"})
    ):
        path = tmp_path / f"{number}.html"
        subprocess.run([sys.executable, "-c", code, str(path)], env={**os.environ, **settings}, check=True)
        made.append(path.read_bytes())
    assert made[0] == made[1]
    assert "λ" in made[0].decode("utf-8")
