"""The base of every block of the configuration: unknown keys are refused, and an empty block has its defaults."""

from typing import get_args

from pydantic import BaseModel, ConfigDict, model_validator


class Block(BaseModel):
    """A block: frozen, with the keys that it describes and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _empty_blocks_have_their_defaults(cls, raw):
        """An empty block (``oracle:``) counts as one that is left out."""
        if not isinstance(raw, dict):
            return raw
        empty = {key for key, value in raw.items() if value is None and _is_block(cls.model_fields.get(key))}
        return {key: value for key, value in raw.items() if key not in empty}


def _is_block(field):
    return field is not None and isinstance(field.default, Block)


def blocks_in(annotation):
    """The blocks in a type, list of classes: A and B for ``dict[str, A | B] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, Block):
        return [annotation]
    return [block for argument in get_args(annotation) for block in blocks_in(argument)]


def blocks_within(block):
    """A block and the blocks in it, each once, in the order of the keys: list of classes."""
    found = [block]
    for field in block.model_fields.values():
        for inner in blocks_in(field.annotation):
            found += blocks_within(inner)
    return list(dict.fromkeys(found))
