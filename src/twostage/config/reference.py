"""config/README.md: every block and every key, from the blocks themselves."""

import json
from typing import get_args, get_origin

from twostage.config.blocks.base import Block, blocks_in
from twostage.config.blocks.files import Checkpoint, File
from twostage.config.blocks.jobs import Resources
from twostage.config.blocks.models import ForeignModel
from twostage.config.checks import RESERVED_MODELS, RESERVED_SPACES
from twostage.config.values import LONGEST_NAME, LONGEST_RUN
from twostage.config.whole import Config
from twostage.model.sizes import SIZES

HEAD = f"""\
# Configuration

Generated from `src/twostage/config/`, together with `schema.json`; tests keep them in step. To write them again:
`python -m twostage.config > config/README.md` and `python -m twostage.config schema > config/schema.json`.

`config.yaml` is the embedded default. `snakemake --cores 1 --configfile config/cifar10.yaml` uses another file in its
place; the two are not merged. `--config seed=1` sets a single key. A mistake ends a run before its first job, with one
line that names the key, its value and what was expected.

Editors complete and check keys when the first line of a file is `# yaml-language-server: $schema=schema.json`.

## How values are written

| value | written as |
| --- | --- |
| whole number | `100000`, `1e5` or `1.0e5`, below 2^63. Not `0042` or `1:30:00`, which YAML reads in base 8 and 60 |
| number | finite, up to 1e30 |
| memory | a number in the key's unit, or text as Snakemake reads it: `64G` (1000^3 bytes), `64GiB`, `512M` |
| time limit | a number of minutes, or text as Snakemake reads it: `2d`, `12h`, `90m` |
| path | as it is, or with `~` and `$VAR`. Not with braces, which Snakemake reads as wildcards |
| list | in brackets, even with one value. No value stands twice |
| name of the run | letters, digits, `_` and `-`. A letter or digit first. At most {LONGEST_RUN} characters |
| name of a latent space or a plan | the same, at most {LONGEST_NAME} characters |
| name of a model | the same without `-`, which separates models in the names of plans |
| what several keys share | YAML's anchors (`&`, `*`, `<<`). They may stand below a top key `x-...`, which is not read |
| a name that looks like a number, a date or yes, no, on, off | in quotes: `run: "2024-01-01"` |

Two names may not differ in upper and lower case alone. Models may not be called {", ".join(RESERVED_MODELS)}; latent
spaces may not be called {", ".join(RESERVED_SPACES)}. A key that stands twice in a file is refused.

## What null means

A key without a value (`S:`) is null. On a command line: `--config 'experiments={{tab1: null}}'`.

| where | meaning |
| --- | --- |
| `spaces.{{name}}` | the latent space is left out |
| `experiments.{{name}}` | the experiment does not run |
| {", ".join(f"`models.{name}`" for name in SIZES)} | the model has the paper's size |
| `flux` | Flux does not run |
| `training.max_grad_norm` | gradients are not scaled down |
| a block with a default, such as `oracle` or `jobs.data` | the block has its defaults |
| a key whose default is `null` below | the key has its default |
| any other key | null is refused |
"""

# Blocks that stand at several places are described once.
TITLES = {
    File: "A file of weights",
    Resources: "jobs.{stage}",
    Checkpoint: "models.{name}.checkpoint.{space}",
    ForeignModel: "models.{name}: with factory",
}


def reference():
    """The text of config/README.md: every block, every key with its meaning, type and default."""
    lines = HEAD.splitlines()
    for block, title in _titles(Config).items():
        lines += [
            "",
            f"## {TITLES.get(block, title)}",
            "",
            " ".join(block.__doc__.split()),
            "",
            "| key | meaning | type | default |",
            "| --- | --- | --- | --- |",
        ]
        schema = block.model_json_schema()["properties"]
        for key, field in block.model_fields.items():
            default = "required" if field.is_required() else _default(field.default)
            lines.append(f"| `{key}` | {field.description} | {_type(schema[key])} | {default} |")
    return "\n".join(lines) + "\n"


def _titles(block, place=""):
    """{block: where it first stands} of a block and of those in it, in the order of the keys."""
    kinds = get_args(block.model_fields["kind"].annotation) if "kind" in block.model_fields else ()
    titles = {block: f"{place}: {', '.join(kinds)}" if kinds else place or "Top level"}
    for key, field in block.model_fields.items():
        name = ".{name}" if get_origin(field.annotation) is dict else ""
        for inner in blocks_in(field.annotation):
            titles = {**titles, **_titles(inner, f"{place}.{key}{name}".removeprefix(".")), **titles}
    return titles


def _default(value):
    return "see below" if isinstance(value, Block) else f"`{json.dumps(value)}`"


def _type(schema):
    if "anyOf" in schema:
        options = dict.fromkeys(_type(option) for option in schema["anyOf"])
        if "number" in options:
            options.pop("whole number", None)
        return " or ".join(options)
    if "enum" in schema:
        return ", ".join(f"`{option}`" for option in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        items = schema.get("items") or {"type": "number"}
        return f"list of {_type(items)}"
    if schema.get("type") == "object":
        return "mapping"
    if "$ref" in schema or "oneOf" in schema or "discriminator" in schema:
        return "block"
    if isinstance(schema.get("type"), list):
        return " or ".join(_type(schema | {"type": kind}) for kind in schema["type"])
    bounds = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    numeric = schema.get("type") in ("integer", "number")
    limits = [f"{sign} {schema[key]:g}" for key, sign in bounds.items() if numeric and key in schema]
    names = {"integer": "whole number", "null": "nothing", "boolean": "true or false", "string": "text"}
    return " ".join([names.get(schema.get("type"), schema.get("type", "value")), ", ".join(limits)]).strip()
