"""``python -m twostage.config`` prints config/README.md; with ``schema``, config/schema.json."""

import argparse

from twostage.config.reference import reference
from twostage.config.schema import schema

PAGES = {"reference": reference, "schema": schema}

parser = argparse.ArgumentParser(prog="python -m twostage.config", description=__doc__)
parser.add_argument(
    "page", nargs="?", choices=PAGES, default="reference", help="config/README.md or config/schema.json"
)
print(PAGES[parser.parse_args().page](), end="")
