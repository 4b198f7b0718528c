"""Intervals of time from the data, for guidance: where the posterior settles, and where the class is decided.

``transition``: where the law's curve, the predicted weight of the true sample within its class, pooled over the classes
(law.csv), goes from 0.1 to 0.9. ``class``: where I(Y; x_t), the information of x_t about its class over all data
(information.csv), goes from 5% to 95% of its end. windows.json holds both; samples whose plan names one record it.
Reading them does not import torch.
"""

import json
import math
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

from twostage.provenance import PathLike, write_json, write_provenance

TRANSITION, CLASS = "transition", "class"
WINDOWS = (TRANSITION, CLASS)
WEIGHTS = (0.1, 0.9)  # of the true sample, at the ends of the transition
SHARES = (0.05, 0.95)  # of the final value of I(Y; x_t), at the ends of the window of the class
SOURCES = {
    TRANSITION: "law.csv, predicted weight of the true sample within its class, pooled: {:g} to {:g}".format(*WEIGHTS),
    CLASS: "information.csv, I(Y; x_t) by the gap between the targets: {:g} to {:g} of its end".format(*SHARES),
}
NO_CLASS = "it has no rows of the class, which take two classes or more; expected data with classes to tell apart"


@dataclass(frozen=True)
class Window:
    """A window of times. low, high: its ends in [0, 1], low < high; source: the file and quantity that they come from.

    >>> Window(0.12, 0.53, "information.csv")
    Window(low=0.12, high=0.53, source='information.csv')
    """

    low: float
    high: float
    source: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and 0 <= self.low < self.high <= 1):
            raise ValueError(f"the window is [{self.low}, {self.high}]; expected low < high inside [0, 1]")

    @property
    def ends(self) -> tuple[float, float]:
        """(low, high)."""
        return self.low, self.high


def write_windows(
    law: PathLike, information: PathLike, output: PathLike, *, named: Collection[str] = WINDOWS
) -> dict[str, Window]:
    """Write windows.json from law.csv and information.csv; returns the windows that these hold, by name.

    named: those that plans name. Raises ValueError, with file and reason, where one of these cannot be found; for
    another window only the reason is written.
    """
    found, missing = {}, {}
    for name, path in ((TRANSITION, law), (CLASS, information)):
        try:
            found[name] = _transition(path) if name == TRANSITION else _class(path)
        except ValueError as error:
            missing[name] = f"{path}: no window {name!r}: {error}"
    for name in named:
        if name in missing:
            raise ValueError(f"{missing[name]}. Name another interval, or times, in the plans")
    content = {name: asdict(found[name]) if name in found else {"missing": missing[name]} for name in WINDOWS}
    write_json(output, {"space": Path(output).parent.name, **content})
    write_provenance(output, config={"weights": WEIGHTS, "shares": SHARES}, inputs=[law, information])
    return found


def read_windows(path: PathLike) -> dict[str, Window]:
    """{name: ``Window``} of a windows.json, without those it lacks. Raises ValueError, with the path, if it is none."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        return {name: Window(**content[name]) for name in WINDOWS if "missing" not in content[name]}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{path} cannot be read as windows ({error}); expected a windows.json: run the rule windows again"
        ) from None


def _table(path):
    import pandas as pd  # jobs that read windows.json alone need none

    return pd.read_csv(path, dtype={"label": str})


def _transition(path):
    table = _table(path)
    rows = table[(table["conditioning"] == "class") & (table["label"] == "pooled")]
    return _between(rows["t"], rows["predicted"], WEIGHTS, SOURCES[TRANSITION])


def _class(path):
    table = _table(path)
    rows = table[table["conditioning"] == "label"]
    if rows.empty or not rows["total"].iloc[-1] > 0:
        raise ValueError(NO_CLASS)
    return _between(rows["t"], rows["by_gap"], SHARES, SOURCES[CLASS])


def _between(times, curve, levels, source):
    from twostage.oracle.information import window

    order = times.argsort(kind="stable")
    low, high = window(times.iloc[order].to_numpy(), curve.iloc[order].to_numpy(), *levels)
    return Window(low, high, source)
