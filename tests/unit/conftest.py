"""What docs/api.md lists keeps to its annotations in these tests: types, dtypes and shapes."""

import functools
import re
import sys
from importlib.machinery import PathFinder, SourceFileLoader
from pathlib import Path
from types import FunctionType

import numpy as np
import torch
from beartype import BeartypeConf, BeartypeHintOverrides, beartype
from jaxtyping import TypeCheckError, jaxtyped

MODULES = re.findall(
    r"^::: (\S+)", (Path(__file__).parents[2] / "docs/api.md").read_text(encoding="utf-8"), re.MULTILINE
)
UNCHECKED = (
    "Part.__init__",
    "Plan.__init__",
)  # they hold what a configuration says until ``Plan.validate`` looks at it
# An int serves where a float is asked for, and NumPy's numbers where Python's are.
WHOLE, REAL = int | np.integer, float | int | np.integer | np.floating
NUMBERS = beartype(conf=BeartypeConf(hint_overrides=BeartypeHintOverrides({int: WHOLE, float: REAL})))


def checked(function):
    """The function, which raises TypeCheckError where arguments or what it returns are not of the annotated types.

    Its own refusal of bad arguments comes first: that is what its callers see. Dynamo follows no checks.
    """

    @functools.cache
    def strict():
        return jaxtyped(function, typechecker=NUMBERS)

    @functools.wraps(function)
    def call(*arguments, **named):
        if torch.compiler.is_compiling():
            return function(*arguments, **named)
        try:
            return strict()(*arguments, **named)
        except TypeCheckError:
            function(*arguments, **named)
            raise

    return call


def check(owner, module):
    """Put ``checked`` in place of the annotated functions and methods of a module or class."""
    for name, value in list(vars(owner).items()):
        if isinstance(value, functools.cached_property):
            value.func = checked(value.func)
        elif isinstance(value, classmethod | staticmethod):
            setattr(owner, name, type(value)(checked(value.__func__)))
        elif isinstance(value, property):
            setattr(owner, name, property(checked(value.fget), doc=value.__doc__))
        elif getattr(value, "__module__", None) != module:
            continue
        elif isinstance(value, type):
            check(value, module)
        elif isinstance(value, FunctionType) and value.__annotations__ and value.__qualname__ not in UNCHECKED:
            if hasattr(value, "__wrapped__"):  # by a decorator: the annotation of a context says what it yields
                continue
            setattr(owner, name, checked(value))


class Loader(SourceFileLoader):
    def exec_module(self, module):
        super().exec_module(module)
        check(module, module.__name__)


class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in MODULES:
            return None
        found = PathFinder.find_spec(name, path, target)
        found.loader = Loader(found.loader.name, found.loader.path)
        return found


sys.meta_path.insert(0, Finder)
