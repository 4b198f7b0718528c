"""The exact oracle of Theorem 2.1, all times at once, the transition law, and synthetic Gaussians.

``Oracle``, ``ClassOracle``, ``sweep`` and ``Sweep`` are loaded on first use, so that importing this costs nothing.
"""

import importlib
import sys
import types

_HOMES = {
    "Oracle": "twostage.oracle.posterior",
    "ClassOracle": "twostage.oracle.posterior",
    "sweep": "twostage.oracle.sweep",
    "Sweep": "twostage.oracle.sweep",
}
__all__ = ["ClassOracle", "Oracle", "Sweep", "sweep"]


class _Package(types.ModuleType):
    """Keeps ``twostage.oracle.sweep`` the function: importing the module of that name would rebind it."""

    def __getattr__(self, name):
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(_HOMES[name]), name)

    def __setattr__(self, name, value):
        if name != "sweep" or not isinstance(value, types.ModuleType):
            super().__setattr__(name, value)

    def __dir__(self):
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Package
