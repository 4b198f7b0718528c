"""Error messages for a configuration that cannot be run: one line per mistake."""

import json
import re

from twostage.config.blocks.files import File
from twostage.config.blocks.models import PATH, PREDICTS
from twostage.config.locations import Place
from twostage.config.values import as_text
from twostage.own_code import FUNCTION
from twostage.spelling import did_you_mean


class ConfigError(ValueError):
    """A configuration that cannot be run; one line per mistake."""


_TYPES = {
    "float_parsing": "a number",
    "float_type": "a number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping, {name: settings}",
}
_PATTERNS = {
    "^[0-9a-f]{40}$": "a commit, 40 hex digits",
    "^[0-9a-f]{64}$": "64 hex digits, as sha256sum prints them",
    "^[A-Za-z0-9_.]+$": "letters, digits, _ and dots",
    "^(https?|file)://": "an address that begins with https://, http:// or file://",
    FUNCTION: "package.module:function",
    PATH: f"one of {', '.join(PREDICTS)}, or package.module:function",
}


def explain(problems, root):
    """Lines on pydantic's ``problems`` with a configuration whose blocks begin at ``root``.

    One line per key: pydantic's messages on the alternatives of a union are joined by "or", and keys that one block
    lacks are named together.
    """
    lines, told, expected, absent = [], [], {}, {}
    for problem in _once(problems):
        location = problem["loc"]
        if line := _line(problem, root):
            lines.append(line)
            told.append(_key(location, root))
        elif problem["type"] == "missing":
            absent.setdefault(location[:-1], []).append(location)
        else:
            expected.setdefault(_key(location, root), []).append(problem)
    lines += [_lacking(block, keys, root) for block, keys in absent.items()]
    for key, alternatives in expected.items():
        # in a union, the member that was meant
        if key not in told and not any(other.startswith(f"{key}.") for other in [*told, *expected]):
            lines.append(f"{key} is {_expected(alternatives, root)}")
    return lines


def _once(problems):
    """The problems, with those of a bare `checkpoint` only once: it stands for all latent spaces, and pydantic repeats
    its problems for each."""
    seen = set()
    for problem in problems:
        location = problem["loc"]
        place = location.index("checkpoint") if "checkpoint" in location else len(location)
        same = (location[:place], location[place + 2 :], problem["type"], repr(problem["input"]))
        if place == len(location) or same not in seen:
            yield problem
        seen.add(same)


def _line(problem, root):
    """The line on a problem that can be told without the others, else None."""
    location, value, kind = problem["loc"], problem["input"], problem["type"]
    key = _key(location, root)
    if kind == "extra_forbidden":
        names = list(Place(location[:-1], root).block.model_fields)
        return (
            f"unknown key {key}: {_short(value)}; expected one of {', '.join(names)}{did_you_mean(location[-1], names)}"
        )
    if kind == "missing" and isinstance(location[-1], int):
        return f"{_key(location[:-1], root)} is {_short(value)}; expected {location[-1] + 1} items"
    if kind == "value_error":
        return f"{key}: {problem['ctx']['error']}" if key else str(problem["ctx"]["error"])
    if kind == "union_tag_invalid":
        tags = problem["ctx"]["expected_tags"]
        nearest = did_you_mean(value["kind"], [tag.strip("' ") for tag in tags.split(",")])
        return f"{key}.kind is {_short(value['kind'])}; expected one of {tags}{nearest}"
    if kind == "union_tag_not_found":
        return f"{key}.kind is missing; expected a kind of encoder, such as kl"
    if location[-1] == "[key]":
        return f"{_key(location[:-2], root)} has the name {_short(value)}; expected {_expectation(problem, root)}"
    return None


def _lacking(block, keys, root):
    """The line on the keys that a block lacks."""
    if len(keys) == 1:
        return f"{_key(keys[0], root)} is missing; expected {_description(keys[0], root)}"
    wanted = ", ".join(f"{key[-1]} ({_description(key, root)})" for key in keys)
    return f"{_key(block, root) or 'the configuration'} lacks keys; expected {wanted}"


def _expected(alternatives, root):
    """The value of a key, what each alternative of its union accepts, and the closest of the accepted words."""
    value = alternatives[0]["input"]
    wanted = list(dict.fromkeys(_expectation(problem, root) for problem in alternatives))
    if "a number" in wanted:
        wanted = [words for words in wanted if words != "a whole number"]
    literals = [
        word.strip("' ")
        for problem in alternatives
        if problem["type"] == "literal_error"
        for word in problem["ctx"]["expected"].replace(" or ", ",").split(",")
    ]
    field = Place(alternatives[0]["loc"], root).field
    optional = value is None and field is not None and not field.is_required()
    omit = ": leave the key out for its default" if optional else ""
    return f"{_short(value)}; expected {' or '.join(wanted)}{omit}{did_you_mean(value, filter(None, literals))}"


def _key(location, root):
    """The dotted path of a key."""
    return ".".join(Place(location, root).key)


def _expectation(problem, root):
    message, value = problem["msg"].removeprefix("Input should be "), problem["input"]
    if problem["type"] in ("less_than", "less_than_equal", "greater_than", "greater_than_equal"):
        return f"a number {message}"
    if problem["type"] in ("too_short", "too_long"):
        least = problem["type"] == "too_short"
        count = problem["ctx"]["min_length" if least else "max_length"]
        return f"at {'least' if least else 'most'} {'one item' if count == 1 else f'{count} items'}"
    if problem["type"] == "string_type":
        return as_text(value)
    if problem["type"] == "list_type" and isinstance(value, str | int | float):
        spread = isinstance(value, str) and re.fullmatch(r"\d+ *(-|\.\.+|:) *\d+", value)
        return "a list, each item written out: [0, 1, 2]" if spread else f"a list: [{value}]"
    if problem["type"] == "string_pattern_mismatch":
        pattern = problem["ctx"]["pattern"]
        return _PATTERNS.get(pattern, f"text that matches {pattern}")
    if problem["type"] in ("model_type", "model_attributes_type"):
        return _mapping(Place(problem["loc"], root))
    return _TYPES.get(problem["type"], message)


def _mapping(place):
    """Words for the form of a block: a mapping with some of its keys."""
    block = place.block
    if block is None:
        return "a mapping with kind"
    needed = [key for key, field in block.model_fields.items() if field.is_required()]
    first = needed or [*list(block.model_fields)[:3], "..."]
    if issubclass(block, File):
        return f"a path, or a mapping with {', '.join(first)}"
    return f"a mapping{' with' if needed else ' such as {} or one with'} {', '.join(first)}"


def _short(value):
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _description(location, root):
    field = Place(location, root).field
    return field.description[0].lower() + field.description[1:].split(". ")[0] if field else "a value"
