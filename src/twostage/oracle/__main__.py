"""A split in the units of each Gaussian path: rectified t, sigma of EDM and VE, t of VP, s and log-SNR."""

import argparse
import math
import sys
from collections.abc import Sequence

from twostage.oracle.law import conventions
from twostage.split import FIXED, Split, read_split


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line per unit: its name, the split in it, and its 95% interval if it has one. Exit code 1 on an error."""
    parser = argparse.ArgumentParser(prog="python -m twostage.oracle", description=__doc__)
    parser.add_argument("split", help="a split.json of a run, or a time of the rectified path, such as 0.48")
    options = parser.parse_args(arguments)
    try:
        split = _split(options.split)
        columns = [conventions(time) for time in (split.value, split.low, split.high) if not math.isnan(time)]
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    width = max(map(len, columns[0]))
    for unit in columns[0]:
        value, *interval = (_text(column[unit]) for column in columns)
        # where time runs from data to noise, the ends change places
        ends = sorted(interval, key=float) if "not reached" not in interval else interval
        print(f"{unit:{width}s}  {value}" + (f"  ({ends[0]} to {ends[1]})" if ends else ""))
    return 0


def _split(text):
    try:
        time = float(text)
    except ValueError:
        return read_split(text)
    return Split(time, FIXED)


def _text(value):
    return "not reached" if value is None else f"{value:.4g}"


if __name__ == "__main__":
    sys.exit(main())
