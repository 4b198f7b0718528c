"""The stage split of a latent space: one number with its source and interval, stored once and read everywhere.

It is measured from the space's posterior (transition.json), or fixed by the configuration. split.json holds it, and
samples whose plan uses it carry it too. Nothing here imports torch.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from twostage.provenance import PathLike, write_json, write_provenance

MEASURED, FIXED = "measured", "fixed"


@dataclass(frozen=True)
class Split:
    """A stage split.

    value: the time, in (0, 1); source: "measured" or "fixed"; low, high: ends of its 95% interval, NaN if there is no
    interval (for a fixed split, or if it is not known).

    >>> Split(0.48, low=0.46, high=0.5)
    Split(value=0.48, source='measured', low=0.46, high=0.5)
    """

    value: float
    source: str = MEASURED
    low: float = math.nan
    high: float = math.nan

    def __post_init__(self) -> None:
        if not 0 < self.value < 1:
            few = "" if self.value else ": one of at most two samples has half of the weight from the start"
            raise ValueError(f"the stage split is {self.value}{few}; expected a time inside (0, 1)")
        if self.source not in (MEASURED, FIXED):
            raise ValueError(f"the stage split's source is {self.source!r}; expected {MEASURED!r} or {FIXED!r}")

    def attributes(self) -> dict[str, float | str]:
        """The split as attributes of files of samples: split, split_source, split_low, split_high."""
        return {"split": self.value, "split_source": self.source, "split_low": self.low, "split_high": self.high}


def write_split(transition_path: PathLike, output: PathLike, *, fixed: float | None = None) -> Split:
    """Write split.json: the measured split of a transition.json, or the number ``fixed``; returns the ``Split``."""
    split = measured_split(transition_path) if fixed is None else Split(float(fixed), FIXED)
    content = {key: None if value != value else value for key, value in asdict(split).items()}
    write_json(output, {"space": Path(output).parent.name, **content})
    write_provenance(output, config={"split": fixed or MEASURED}, inputs=[transition_path])
    return split


def measured_split(path: PathLike) -> Split:
    """The ``Split`` that a transition.json measured. Raises ValueError, with the path, for a file without one."""
    content = _read(path, "split", "a transition.json: run the oracle stage again")
    return _made(path, content["split"], MEASURED, *(content.get("split_interval") or (None, None)))


def read_split(path: PathLike) -> Split:
    """The ``Split`` in a split.json. Raises ValueError, with the path, for a file that holds none."""
    content = _read(path, "value", "a split.json: run the rule split again")
    return _made(path, content["value"], content.get("source"), content.get("low"), content.get("high"))


def _made(path, value, source, low, high):
    low, high = (math.nan if end is None else end for end in (low, high))
    try:
        return Split(float(value), source, float(low), float(high))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None


def _read(path, key, expected):
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as JSON ({error}); expected {expected}") from None
    if not isinstance(content, dict) or key not in content:
        raise ValueError(f"{path} has no key {key!r}; expected {expected}")
    return content
