"""Kinds of values as people write them: numbers, names, paths, memory, durations, lists without repeats."""

import datetime
import math
import os
import re
import unicodedata
from decimal import Decimal
from functools import partial
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from twostage.sides import size_of

LARGEST_WHOLE = 2**63 - 1  # seeds and steps are stored as int64
LARGEST_REAL = 1e30  # far below the largest float32
LONGEST_NAME, LONGEST_RUN = 64, 100  # file names may have 255 bytes, and some join three names


def refuse(kind, expected):
    """A validator's error; ``expected`` is the text after "expected" in the line that the user reads."""
    return PydanticCustomError(kind, "{expected}", {"expected": expected})


# ------------------------------------------------------------------------------------------------------------- numbers


def _whole(value):
    """The int that 100000, 1e5 (which YAML reads as text) or 1.0e5 stands for."""
    try:
        number = Decimal(str(value).strip())
    except ArithmeticError:
        number = Decimal("NaN")
    if isinstance(value, bool) or not number.is_finite():
        raise refuse("whole", "a whole number")
    if number.adjusted() > 18 or abs(number) > LARGEST_WHOLE:
        raise refuse("whole", "a whole number below 2^63")
    if number != int(number):
        raise refuse("whole", "a whole number")
    return int(number)


def _no_boolean(value):
    if isinstance(value, bool):
        raise refuse("real", "a number")
    return value


def _in_range(value):
    if abs(value) > LARGEST_REAL:
        raise refuse("real", f"a number up to {LARGEST_REAL:g}")
    return value


def _inside(value):
    if not 0 < value < 1:
        raise refuse("share", "a number between 0 and 1, both excluded")
    return value


# Bounds stand before the validators, so that the JSON schema has them; config/README.md is made from it.
Natural = Annotated[int, Field(ge=0), BeforeValidator(_whole)]
Count = Annotated[int, Field(ge=1), BeforeValidator(_whole)]
Several = Annotated[int, Field(ge=2), BeforeValidator(_whole)]
Intervals = Annotated[int, Field(ge=10), BeforeValidator(_whole)]

_REAL = BeforeValidator(_no_boolean), AfterValidator(_in_range)
Real = Annotated[float, *_REAL]
Positive = Annotated[float, Field(gt=0), *_REAL]
NotNegative = Annotated[float, Field(ge=0), *_REAL]
Gain = Annotated[float, Field(gt=-1), *_REAL]
Time = Annotated[float, Field(ge=0, le=1), *_REAL]
Below1 = Annotated[float, Field(ge=0, lt=1), *_REAL]
Share = Annotated[
    float, AfterValidator(_inside), Field(json_schema_extra={"exclusiveMinimum": 0, "exclusiveMaximum": 1}), *_REAL
]
# Numbers in a user's own plans are kept as they are written (2, not 2.0), because they are params of finished jobs.
Number = Annotated[int | float, *_REAL]
Moment = Literal["split"] | Annotated[int | float, Field(ge=0, le=1), *_REAL]
Window = Literal["transition", "class"]  # an interval that the data name

# --------------------------------------------------------------------------------------------------- memory, durations

# As Snakemake reads `mem` and `runtime`: G is 1000^3 bytes, GiB 1024^3.
BYTES = {
    **{f"{unit}{end}": 1000**power for power, unit in enumerate("kmgtp", 1) for end in ("", "b")},
    **{f"{unit}ib": 1024**power for power, unit in enumerate("kmgtp", 1)},
}
SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "hours": 3600, "d": 86400, "days": 86400, "w": 7 * 86400}
QUANTITY = re.compile(r"(\d+(?:\.\d+)?) *([A-Za-z]+) *")


def _with_units(value, units, unit, examples, rounded):
    """Text such as "64G" or "1d 12h" as a number of ``unit``, ``rounded``; a bare number is returned as it is."""
    if not isinstance(value, str) or not re.search("[A-Za-z:]", re.sub(r"\d[eE][+-]?\d", "", value)):
        return value
    parts = QUANTITY.findall(value)
    if QUANTITY.sub("", value.strip()) or any(word.lower() not in units for _, word in parts):
        raise refuse("units", f"a number, or one with a unit: {examples}")
    return rounded(sum(float(number) * units[word.lower()] for number, word in parts) / unit)


def _memory(unit):
    return BeforeValidator(
        partial(_with_units, units=BYTES, unit=unit, examples="64G, 512M", rounded=lambda size: max(math.ceil(size), 1))
    )


def _time(rounded):
    return BeforeValidator(
        partial(_with_units, units=SECONDS, unit=60, examples="2d, 12h, 90m (minutes)", rounded=rounded)
    )


# For the JSON schema, which describes values as users write them.
_OR_TEXT = {"pattern": rf"^({QUANTITY.pattern})+$"}
_WHOLE_OR_TEXT = Field(json_schema_extra={"type": ["integer", "string"], **_OR_TEXT})
_REAL_OR_TEXT = Field(json_schema_extra={"type": ["number", "string"], **_OR_TEXT})
Megabytes = Annotated[Count, _memory(10**6), _WHOLE_OR_TEXT]
Mebibytes = Annotated[Count, _memory(2**20), _WHOLE_OR_TEXT]
Minutes = Annotated[Count, _time(lambda minutes: max(int(minutes), 1)), _WHOLE_OR_TEXT]
RealMinutes = Annotated[Positive, _time(float), _REAL_OR_TEXT]

# --------------------------------------------------------------------------------------------------------------- sides

# A number where both sides are equal, so that one image size has one spelling.
ImageSize = Annotated[
    Count | tuple[Count, Count],
    AfterValidator(lambda size: size if isinstance(size, int) else size_of(*size)),
]

# --------------------------------------------------------------------------------------------------------------- names


def as_text(value):
    """How to write, so that it is text, a value that YAML did not read as text."""
    if isinstance(value, datetime.date):
        return f'text; YAML reads {value} as a date: put it in quotes, "{value}"'
    if isinstance(value, bool):
        return "text; YAML reads yes, no, on and off as true and false: put it in quotes"
    if isinstance(value, int | float):
        return f'text: put it in quotes, "{value}"'
    return "text"


def _name(value, others="", longest=LONGEST_NAME):
    if not isinstance(value, str):
        raise refuse("name", as_text(value))
    allowed = f"A-Za-z0-9_{others}"
    if re.fullmatch(f"[A-Za-z0-9][{allowed}]{{0,{longest - 1}}}", value):
        return value
    if re.fullmatch(f"[A-Za-z0-9][{allowed}]*", value):
        raise refuse("name", f"at most {longest} characters, not {len(value)}: it is part of file names")
    plain = unicodedata.normalize("NFKD", value).encode("ascii", "ignore").decode()
    better = re.sub(f"[^{allowed}]+", "_", plain).strip("_-")[:longest]
    characters = "letters, digits, _ and -" if others else "letters, digits and _"
    write = f": write {better!r}" if better else ""
    raise refuse("name", f"a name of {characters}, a letter or digit first{write}")


# Models' names have no dash: they are part of rules' names, and in plans' names dashes separate them.
Name = Annotated[str, BeforeValidator(_name)]
DashedName = Annotated[str, BeforeValidator(partial(_name, others="-"))]
RunName = Annotated[str, BeforeValidator(partial(_name, others="-", longest=LONGEST_RUN))]

# --------------------------------------------------------------------------------------------------------------- paths


def _path(value):
    """A path with ~ and $VAR replaced; a path that exists as it is written is kept as it is."""
    path = value if os.path.exists(value) else os.path.expandvars(os.path.expanduser(value))
    if not path.strip():
        raise refuse("path", "a path")
    if path.startswith("~") and not os.path.exists(path):
        raise refuse("path", "a path; there is no such user's home folder")
    unset = re.search(r"\$(\w+|\{[^}]*\})", path)
    if unset and not os.path.exists(path):
        raise refuse("path", f"a path; the environment variable {unset[1].strip('{}')} is not set")
    if odd := re.search(r"[{}\x00-\x1f]", path):
        what = "braces, which Snakemake reads as wildcards" if odd[0] in "{}" else "control characters"
        raise refuse("path", f"a path without {what}: rename it, or make a link to it with another name")
    return path


PathText = Annotated[str, AfterValidator(_path)]

# -------------------------------------------------------------------------------------------------------------- colours


def _colour(value):
    if isinstance(value, str) and re.fullmatch("white|black|gr[ae]y|#[0-9a-f]{6}", value.lower()):
        return value.lower().replace("gray", "grey")
    raise refuse("colour", 'white, black, grey or "#rrggbb", six hex digits in quotes (# alone begins a comment)')


Colour = Annotated[str, BeforeValidator(_colour)]

# --------------------------------------------------------------------------------------------------------------- lists

Item = TypeVar("Item")


def _distinct(values):
    seen = set()
    for value in values:
        if value in seen:
            shown = list(value) if isinstance(value, tuple) else value
            raise refuse("distinct", f"values that differ; {shown} stands twice")
        seen.add(value)
    return values


Distinct = Annotated[list[Item], AfterValidator(_distinct), Field(json_schema_extra={"uniqueItems": True})]
