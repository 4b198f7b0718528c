"""What a user reads of a configuration that cannot be run: one line a mistake."""

import difflib
import json

from pydantic import BaseModel


class ConfigError(ValueError):
    """A configuration that cannot be run; one line a mistake."""


def closest(name, names):
    """A hint to the name that is most like ``name``, or nothing."""
    match = difflib.get_close_matches(str(name), list(names), n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else ""


_UNION_TAGS = {"identity", "kl", "sd-vae", "va-vae", "tiny"}
_TYPES = {
    "float_parsing": "a number",
    "float_type": "a number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_parsing": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "too_short": "at least one item",
}


def explain(problems, root):
    """Lines on pydantic's ``problems`` with a configuration whose blocks begin at ``root``.

    One line a key: what pydantic says of each alternative of a union is joined by "or".
    """
    lines, expected = [], {}
    for problem in problems:
        key = _key(problem["loc"])
        if problem["type"] == "extra_forbidden":
            names = _valid_names(problem["loc"][:-1], root)
            nearest = closest(problem["loc"][-1], names)
            lines.append(f"unknown key {key}: {_short(problem['input'])}; expected one of {', '.join(names)}{nearest}")
        elif problem["type"] == "missing":
            lines.append(f"{key} is missing; expected {_description(problem['loc'], root)}")
        elif problem["type"] == "value_error":
            message = str(problem["ctx"]["error"])
            lines.append(f"{key}: {message}" if key else message)
        elif problem["type"] == "union_tag_invalid":
            tags = problem["ctx"]["expected_tags"]
            kind = problem["input"]["kind"]
            nearest = closest(kind, [tag.strip("' ") for tag in tags.split(",")])
            lines.append(f"{key}.kind is {_short(kind)}; expected one of {tags}{nearest}")
        else:
            expected.setdefault(key, []).append(problem)
    for key, alternatives in expected.items():
        value = alternatives[0]["input"]
        wanted = " or ".join(dict.fromkeys(_expectation(problem) for problem in alternatives))
        literals = [
            word.strip("' ")
            for problem in alternatives
            for word in problem.get("ctx", {}).get("expected", "").replace(" or ", ",").split(",")
        ]
        lines.append(f"{key} is {_short(value)}; expected {wanted}{closest(value, filter(None, literals))}")
    return lines


def _key(location):
    """The dotted path of a key as the user wrote it, without pydantic's names of union members."""
    parts = [str(part) for part in location if part not in _UNION_TAGS]
    while parts and (parts[-1].startswith(("literal[", "constrained-", "function-")) or parts[-1] in ("float", "int")):
        parts.pop()
    return ".".join(parts)


def _expectation(problem):
    message = problem["msg"].removeprefix("Input should be ")
    if problem["type"] in ("less_than", "less_than_equal", "greater_than", "greater_than_equal"):
        return f"a number {message}"
    if problem["type"] == "string_pattern_mismatch":
        return f"text that matches {problem['ctx']['pattern']}"
    return _TYPES.get(problem["type"], message)


def _short(value):
    text = json.dumps(value, default=repr)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _block_at(location, root):
    """The block that a location of an error points into; None where it is not a block."""
    block = root
    for part in location:
        if isinstance(part, int) or block is None:
            return None
        if isinstance(block, dict):
            block = block["values"]
            continue
        if part in _UNION_TAGS:
            continue
        field = block.model_fields.get(part)
        block = _inner(field.annotation, location) if field else None
    return block


def _inner(annotation, location):
    """The block class inside an annotation such as Block, Block | None, dict[str, Block], or the encoders' union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    arguments = getattr(annotation, "__args__", ())
    if getattr(annotation, "__origin__", None) is dict:
        return {"values": _inner(arguments[1], location)}
    blocks = [found for argument in arguments if (found := _inner(argument, location))]
    tagged = [block for block in blocks if isinstance(block, type) and _has_tag(block, location)]
    return (tagged or blocks or [None])[0]


def _has_tag(block, location):
    kind = block.model_fields.get("kind")
    return kind is not None and any(part in getattr(kind.annotation, "__args__", ()) for part in location)


def _valid_names(location, root):
    block = _block_at(location, root)
    return list(block.model_fields) if isinstance(block, type) else []


def _description(location, root):
    block = _block_at(location[:-1], root)
    field = block.model_fields.get(location[-1]) if isinstance(block, type) else None
    return field.description[0].lower() + field.description[1:] if field else "a value"
