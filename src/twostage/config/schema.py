"""config/schema.json: the blocks as a JSON schema (draft 2020-12), from which editors complete and check keys.

It describes the form of a file; only ``load`` checks that the blocks agree. Some types admit null or text beside a
mapping, because ``load`` accepts these in place of a block: null for its defaults, or a bare path. Blocks stand where
they are used, without references: the Snakemake workflow catalogue makes its table of all keys from the same file,
under the name workflow/schemas/config.schema.yaml, and follows none.
"""

import json

from twostage.config.blocks.base import Block, blocks_in, blocks_within
from twostage.config.blocks.models import ForeignModel, Model
from twostage.config.blocks.spaces import Space
from twostage.config.whole import UNREAD, Config
from twostage.model.sizes import SIZES

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema():
    """The text of config/schema.json."""
    whole = _as_read(Config.model_json_schema())
    described = {**whole["$defs"], Config.__name__: whole}
    optional = {Space, Model}
    for block in blocks_within(Config):
        for key, field in block.model_fields.items():
            value = described[block.__name__]["properties"][key]
            if isinstance(field.default, Block):
                optional.add(type(field.default))
                value["default"] = field.default.model_dump(mode="json", exclude_defaults=True)
            elif "$ref" in value and field.default is None:
                optional |= {*blocks_in(field.annotation)}
            if value.get("default") in (None, {}):
                value.pop("default", None)
    for block in optional:
        described[block.__name__] |= _or_null({"type": described[block.__name__]["type"]})
    _name_sizes(whole)
    whole["required"].remove("data")  # where all latents are imported
    whole["patternProperties"] = {UNREAD: {}}
    whole = _inlined(whole, whole.pop("$defs"))
    return json.dumps({"$schema": DIALECT, "title": "A run of twostage", **whole}, indent=1, ensure_ascii=False) + "\n"


def _inlined(node, blocks):
    """A schema with the blocks in place of the references to them; what stands beside a reference takes precedence."""
    if isinstance(node, list):
        return [_inlined(item, blocks) for item in node]
    if not isinstance(node, dict):
        return node
    block = blocks[node["$ref"].rpartition("/")[2]] if "$ref" in node else {}
    return {key: _inlined(value, blocks) for key, value in (block | node).items() if key != "$ref"}


def _as_read(node):
    """Pydantic's schema without titles and without null beside a block; for encoders, the kind selects the block."""
    if isinstance(node, list):
        return [_as_read(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _as_read(value) for key, value in node.items() if key != "title" or isinstance(value, dict)}
    options = node.pop("oneOf", node.get("anyOf"))
    if options is None:
        return node
    if kinds := node.pop("discriminator", None):
        return node | _by_kind(kinds["propertyName"], kinds["mapping"])
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    if len(options) == 2 and options[1] == {"type": "null"} and not {"anyOf", "allOf", "const"} & {*options[0]}:
        return rest | _or_null(options[0])
    return rest | {"anyOf": options}


def _or_null(option):
    """A schema that admits null too; for a block, the block's own schema does this."""
    types, enum = option.get("type"), option.get("enum")
    null = {"type": [*([types] if isinstance(types, str) else types), "null"]} if types else {}
    return option | null | ({"enum": [*enum, None]} if enum else {})


def _by_kind(key, mapping):
    """A choice among blocks by the value of a key; an editor's message is then about the chosen block alone."""
    kinds = {}
    for kind, block in mapping.items():
        kinds.setdefault(block, []).append(kind)
    chosen = [
        {"if": {"properties": {key: {"enum": names}}, "required": [key]}, "then": {"$ref": block}}
        for block, names in kinds.items()
    ]
    return {"type": "object", "properties": {key: {"enum": list(mapping)}}, "required": [key], "allOf": chosen}


def _name_sizes(whole):
    """A model needs a size, unless its name is one of the paper's."""
    model, built = ({"$ref": f"#/$defs/{block.__name__}"} for block in (Model, ForeignModel))
    needed = whole["$defs"][Model.__name__].pop("required")
    by_factory = {"if": {"type": "object", "required": ["factory"]}, "then": built}
    whole["properties"]["models"] |= {
        "properties": dict.fromkeys(SIZES, by_factory | {"else": model}),
        "additionalProperties": by_factory | {"else": model | {"type": "object", "required": needed}},
    }
