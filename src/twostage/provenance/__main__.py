"""Provenance of a run's files."""

import argparse
import sys
from collections.abc import Sequence

from twostage.provenance.verify import verify


def main(arguments: Sequence[str] | None = None) -> int:
    """``verify RUN``: print a line per problem and a summary. Exit code: 0 without a problem; 1 otherwise, or where RUN
    is no run."""
    parser = argparse.ArgumentParser(prog="python -m twostage.provenance", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    text = "Recompute the sha256 of a run's files and of what they were made from, and compare."
    command = commands.add_parser("verify", help=text, description=text)
    command.add_argument("run", help="folder of the run, such as results/digits")
    options = parser.parse_args(arguments)
    try:
        found = verify(options.run)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("\n".join(found.lines()))
    return 1 if found.problems else 0


if __name__ == "__main__":
    sys.exit(main())
