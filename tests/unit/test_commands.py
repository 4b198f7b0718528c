"""Commands that make latents and models keep their text: another text would make Snakemake run them again."""

import ast
import hashlib
import re
from pathlib import Path

import pytest

RULES = Path(__file__).parents[2] / "workflow/rules"
# What these commands made may have taken a thousand GPU-hours; another digest here makes it again, for everyone.
DIGESTS = {
    "data.smk": {
        "autoencoder": "b778d871c2f5",
        "encode": "d073a7aada0c",
        "encode_shard": "5352716b6ceb",
        "join": "0fb924aed01d",
        "import_latents": "9e116b322b6a",
    },
    "training.smk": {"train_{model}": "18abc16f77d4", "import_{model}": "df054db7248e"},
}


def commands(file):
    """{rule: its command} of a rules file."""
    found, name = {}, None
    lines = iter((RULES / file).read_text().splitlines())
    for line in lines:
        if named := re.match(r'\s*rule (\w+):|\s*f"(\w+_\{model\})",?$', line):
            name = named[1] or named[2]
        elif line.strip() == "shell:":
            text = [part.strip() for part in iter(lambda: next(lines, "").strip(), "")]
            found[name] = ast.literal_eval("(" + "\n".join(text) + ")")
    return found


@pytest.mark.parametrize(("file", "rule"), [(file, rule) for file, rules in DIGESTS.items() for rule in rules])
def test_the_text_of_a_command_is_what_it_was(file, rule):
    assert hashlib.sha256(commands(file)[rule].encode()).hexdigest()[:12] == DIGESTS[file][rule]
