"""The place of a mistake: from pydantic's location, the key that a user wrote and the block in which it stands.

For a union, pydantic adds to the location its own name of the member that it tried. To find these parts, a location is
followed through the types of the blocks.
"""

from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Tag


class Place:
    """A location, followed from the block ``root``.

    key: the parts that a user wrote, list of str; block: the class of the block at which the location ends, or None
    where it ends at no block; field: pydantic's description of the last key, or None where there is no such key.
    """

    def __init__(self, location, root):
        self.key, self.field, here = [], None, root
        for part in location:
            members = _members(here)
            if len(members) > 1 and not isinstance(part, int):
                here = _named(part, members)
            else:
                self.key.append(str(part))
                self.field, here = _inside(members, part)
        blocks = [member for member in _members(here) if _is_block(member)]
        self.block = blocks[0] if len(blocks) == 1 else None


def _is_block(annotation):
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _members(annotation):
    """The types that a value may have, without null: the members of a union, else the one type."""
    while get_origin(annotation) is Annotated and get_origin(get_args(annotation)[0]) in (Annotated, Union, UnionType):
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        return [member for member in get_args(annotation) if member is not NoneType]
    return [] if annotation is None else [annotation]


def _named(name, members):
    """The member of a union that pydantic calls ``name``: a block, or else all members that are not blocks or words.

    A block with checks of its own is called "function-after[check(), Block]".
    """
    name = name.rpartition(", ")[2].removesuffix("]") if str(name).startswith("function-") else name
    for member in members:
        block = get_args(member)[0] if get_origin(member) is Annotated else member
        tags = [extra.tag for extra in getattr(member, "__metadata__", ()) if isinstance(extra, Tag)]
        if _is_block(block):
            kind = block.model_fields.get("kind")
            tags += [block.__name__, *(get_args(kind.annotation) if kind else ())]
        if name in tags:
            return block
    rest = [member for member in members if not _is_block(member) and get_origin(member) is not Literal]
    return Union[tuple(rest)] if rest else None  # noqa: UP007


def _inside(members, part):
    """The field and the type that ``part`` leads to from a type: a key of a block, a name in a mapping, an item."""
    for member in members:
        plain = get_args(member)[0] if get_origin(member) is Annotated else member
        if _is_block(plain):
            field = plain.model_fields.get(part)
            return field, field and field.annotation
        if get_origin(plain) in (dict, list, tuple):
            arguments = get_args(plain)
            return None, arguments[-1 if get_origin(plain) is dict else 0]
    return None, None
