"""Checks before the values': keys that stand twice, numbers that YAML reads differently from people, and nulls."""

import re
from pathlib import Path

import yaml

from twostage.config.errors import ConfigError

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def without_null_text(raw):
    """A configuration with None in place of the text "null": `--config 'spaces={vae: null}'` gives this text."""
    if isinstance(raw, dict):
        return {key: without_null_text(value) for key, value in raw.items()}
    if isinstance(raw, list):
        return [without_null_text(value) for value in raw]
    return None if isinstance(raw, str) and raw.lower() == "null" else raw


def check_files(paths):
    """Raise ConfigError where a YAML file has a key twice (YAML keeps the last one), or a number in base 60 or 8.

    paths: configuration files. A file that cannot be read, or is a template (``__use_yte__``), is left to Snakemake.
    """
    lines = [line for path in paths for line in _lines_on(path)]
    if lines:
        raise ConfigError("\n".join(f"config: {line}" for line in lines))


def _lines_on(path):
    try:
        text = Path(path).read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=_LOADER)
    except (OSError, ValueError, yaml.YAMLError):
        return []
    return [] if "__use_yte__" in text or root is None else list(_lines_in(root, path, "", set()))


def _lines_in(node, path, key, seen):
    if id(node) in seen:  # an alias
        return
    seen.add(id(node))
    where = f"{path}, line {node.start_mark.line + 1}"
    if isinstance(node, yaml.MappingNode):
        first = {}
        for name, value in node.value:
            own, line = f"{key}.{name.value}".lstrip("."), name.start_mark.line + 1
            if own in first and name.value != "<<":
                yield f"{path}, line {line}: the key {own} stands twice, first in line {first[own]}; expected it once"
            first.setdefault(own, line)
            yield from _lines_in(value, path, own, seen)
    elif isinstance(node, yaml.SequenceNode):
        for place, value in enumerate(node.value):
            yield from _lines_in(value, path, f"{key}.{place}", seen)
    elif node.tag == "tag:yaml.org,2002:int" and re.fullmatch(r"[-+]?(\d+(:[0-5]?\d)+|0[0-7_]+)", node.value):
        base = "60" if ":" in node.value else "8"
        yield f"{where}: {key} is {node.value}, which YAML reads in base {base}; expected a decimal number, or quotes"
