"""Functions in the user's own code, named as ``package.module:function``; nothing here imports torch.

Modules are looked for as Python does, and then in the folder in which the command runs.
"""

import importlib
import os
import symtable
import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

from twostage.spelling import did_you_mean

FUNCTION = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$"


def source_of(name):
    """The file of the module in which a function stands, a Path; None for a module that is no Python file.

    Nothing is imported, neither the module nor the packages around it. Raises ValueError, in one line, where there is
    no such module, or where no name of the module is the function's.
    """
    module, _, function = name.partition(":")
    package, *parts = module.split(".")
    spec = find_spec(package) or PathFinder.find_spec(package, [os.getcwd()])
    if spec is None:
        raise ValueError(f"{name!r}: no module {package!r} is installed, or lies in {os.getcwd()}")
    for part in parts:
        package, folders = f"{package}.{part}", spec.submodule_search_locations
        spec = PathFinder.find_spec(package, folders or [])
        if spec is None:
            raise ValueError(f"{name!r}: there is no module {package!r}")
    if not str(spec.origin).endswith(".py"):
        return None
    path = Path(spec.origin)
    names, open_ended = _names_in(path)
    if function not in names and not open_ended:
        raise ValueError(f"{name!r}: {path} has no {function}{did_you_mean(function, sorted(names))}")
    return path


def _names_in(path):
    """(names that a module's file gives, whether it may have others, by ``import *`` or ``__getattr__``)."""
    try:
        text = path.read_text(encoding="utf-8")
        table = symtable.symtable(text, str(path), "exec")
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"{path} is no Python file ({error})") from None
    names = {each.get_name() for each in table.get_symbols() if each.is_assigned() or each.is_imported()}
    return names, "import *" in text or "__getattr__" in names


def function_of(name):
    """The function, its module imported. Raises ValueError, in one line, where there is none or the import fails."""
    source_of(name)
    module, _, function = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # to stay: a function may import when it is called
    try:
        found = getattr(importlib.import_module(module), function, None)
    except (Exception, SystemExit) as error:  # a script that reads its command line ends the process
        raise ValueError(f"{name!r}: its module cannot be imported ({_short(error)})") from error
    if not callable(found):
        raise ValueError(f"{name!r} is {found!r}; expected a function")
    return found


def called(name, *arguments, **options):
    """What the function returns. Raises ValueError, in one line, where it fails."""
    function = function_of(name)
    try:
        return function(*arguments, **options)
    except (Exception, SystemExit) as error:
        raise ValueError(f"{name!r} failed ({_short(error)})") from error


def _short(error):
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
