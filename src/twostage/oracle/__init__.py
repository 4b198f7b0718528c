"""The exact oracle of Theorem 2.1, for all times at once; the transition law; synthetic Gaussians."""

from twostage.oracle.pairs import Sweep, sweep
from twostage.oracle.posterior import ClassOracle, Oracle

__all__ = ["ClassOracle", "Oracle", "Sweep", "sweep"]
